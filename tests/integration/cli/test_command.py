"""The command itself, and calling a task with it."""

from __future__ import annotations

from typing import Any

import pytest

from nephew.version import __version__
from tests.integration.cli.shop import Shop, refused


# -- the command itself -------------------------------------------------------------------------------
def test_the_version_is_told_without_an_application(shop: Shop) -> None:
    done = shop.run("--version", NEPHEW_APP="")

    assert (done.returncode, done.stdout.split()[:2]) == (0, ["nephew", __version__])


def test_a_command_without_an_instance_says_how_to_name_one(shop: Shop) -> None:
    done = shop.run("status", NEPHEW_APP="")

    assert done.returncode == 2
    assert "-A (or the variable NEPHEW_APP)" in done.stderr


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("shop", "expected a path such as app.main.huey, got 'shop'; did you mean shop.huey?"),
        ("shpo.huey", "no module shpo here; did you mean shop.huey?"),
        ("shop.hewy", "module shop has no 'hewy'; did you mean shop.huey?"),
        ("shop.add", "expected shop.add to be a nephew.Nephew, got a nephew.task.Task; did you mean shop.huey?"),
    ],
)
def test_a_wrong_path_says_what_was_expected_and_what_comes_near(path: str, said: str) -> None:
    assert said in refused("tasks", "-A", path)


def test_an_application_that_raises_is_told_by_error_and_line(shop: Shop) -> None:
    (shop.folder / "broken.py").write_text("import shop\n1 / 0\n")

    done = shop.run("-A", "broken.huey", "tasks")

    assert done.returncode == 1
    assert done.stderr == "Error: broken cannot be imported: ZeroDivisionError: division by zero (broken.py, line 2)\n"


# -- calling ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("[1, 2, 3]", "too many positional arguments; expected shop.add(a, b=1)"),
        ('{"c": 1}', "missing a required argument: 'a'"),
        ("5", "expected a JSON list or object of arguments, got 5"),
        ("{1}", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_enqueued(
    module: Any, arguments: str, said: str
) -> None:
    assert said in refused("call", "add", arguments)
    assert module.huey.jobs() == []


@pytest.mark.parametrize("arguments", [("call", "add", '"\x9b31m"'), ("import", "redis://[\x9b31m")])
def test_what_an_error_repeats_is_harmless(shop: Shop, arguments: tuple[str, ...]) -> None:
    done = shop.run(*arguments)

    assert "\\x9b31m" in done.stderr
    assert "\x9b" not in done.stderr


@pytest.mark.usefixtures("module")
def test_an_unknown_task_is_refused_with_a_similar_name(shop: Shop) -> None:
    done = shop.run("call", "ad", "[1]")

    assert done.returncode == 2
    assert "no task is called 'ad'; did you mean shop.add?" in done.stderr


def test_an_ambiguous_task_is_refused_with_the_whole_names(module: Any) -> None:
    module.huey.task(name="other.add")(lambda: None)

    assert f"several tasks end with 'add': shop.add, {__name__}.other.add" in refused("call", "add")


def test_a_duplicate_of_a_unique_job_prints_the_id_of_the_first(shop: Shop, module: Any) -> None:
    first = module.once(1)

    second = shop.run("call", "once", "[1]")

    assert second.stdout == f"{first.id}\n"
    assert "same unique key" in second.stderr
