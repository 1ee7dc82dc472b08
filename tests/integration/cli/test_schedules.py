"""Looking at schedules, and steering them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.integration.cli.shop import Shop, here, opened, refused, run_waiting_jobs

Capture = pytest.CaptureFixture[str]


def lines(capsys: Capture) -> list[str]:
    """What was printed, columns set apart by one blank."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def shown(capsys: Capture, *arguments: str) -> Any:
    capsys.readouterr()
    assert here("schedules", *arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


# -- looking ------------------------------------------------------------------------------------------
def test_schedules_are_listed_with_when_they_are_due_and_what_holds_of_them(
    everywhere: Shop, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    with opened(everywhere, monkeypatch) as module:
        module.huey.schedules.add("report-7", module.add, module.every(days=1), args=[7])
        assert here("schedules", "pause", "hourly") == 0
        listed = shown(capsys, "list")

    assert [(plan["name"], plan["task"], plan["schedule"]) for plan in listed] == [
        ("report-7", "shop.add", "every(days=1)"),
        ("shop.hourly", "shop.hourly", "every(hours=1)"),
    ]
    assert [(plan["added"], plan["paused_at"] is not None) for plan in listed] == [(True, False), (False, True)]
    assert [plan["next"][10:] for plan in listed] == ["T00:00:00+00:00", listed[1]["next"][10:]]


def test_a_schedule_is_shown_with_its_policy_its_next_runs_and_its_ticks(module: Any, capsys: Capture) -> None:
    schedules = module.huey.schedules
    schedules.add("report-7", module.add, module.every(hours=6), args=[7], overlap="queue", within=3600)
    schedules.run("report-7")
    run_waiting_jobs(module.huey)
    module.huey.backend.close_ticks()

    assert here("schedules", "show", "report-7") == 0

    head, *facts = lines(capsys)
    assert head == "Schedule report-7 is active"
    assert facts[:6] == [
        "task: shop.add",
        "schedule: every(hours=6)",
        "from: added at run time",
        "catch up: last, at most 1 h 0 min late",
        "overlap: queue",
        f"last success: {facts[5].partition(': ')[2]}",
    ]
    assert facts[6] == "arguments: 7"
    assert facts[8].startswith("Next: ") and facts[8].count(",") == 4
    (job,) = module.huey.jobs()
    assert facts[10] == "DUE FATE JOB STATE REASON"
    assert facts[11].endswith(f"enqueued {job.id} succeeded by hand")
    assert [tick["state"] for tick in shown(capsys, "show", "report-7")["ticks"]] == ["succeeded"]


def test_arguments_that_are_hidden_are_not_shown(module: Any, capsys: Capture) -> None:
    module.huey.schedules.add("login-7", module.login, module.every(hours=6), kwargs={"user": 7, "token": "geheim"})

    assert shown(capsys, "show", "login-7")["kwargs"] == {"user": 7, "token": "[redacted]"}


@pytest.mark.usefixtures("module")
def test_a_schedule_that_is_not_there_is_told_with_a_similar_one(shop: Shop) -> None:
    done = shop.run("schedules", "show", "hurly")

    assert done.returncode == 1
    assert "got 'hurly', which there is none of; did you mean 'shop.hourly'?" in done.stderr


# -- preview ------------------------------------------------------------------------------------------
def test_a_preview_tells_zone_and_utc_and_marks_gaps_and_folds(module: Any, capsys: Capture) -> None:
    module.huey.schedules.change("hourly", module.cron("30 2 * * *", tz="Europe/Berlin"))

    coming = shown(capsys, "preview", "hourly", "--days", "2")
    near = shown(capsys, "preview", "hourly", "--days", "366", "--around-dst")

    assert [entry["kind"] for entry in coming if entry["kind"] == "tick"] == ["tick", "tick"]
    assert {entry["kind"] for entry in near} == {"tick", "gap", "fold"}
    assert here("schedules", "preview", "hourly", "--around-dst") == 0
    gap, after = (line for line in lines(capsys) if "skips" in line)
    assert gap.endswith("gap clock forward from 02:00 to 03:00: skips 02:30, due when the gap ends")
    assert after.endswith("for 02:30, which the clock skips")


def test_a_preview_is_cut_and_says_so(module: Any, capsys: Capture) -> None:
    assert here("schedules", "preview", "hourly", "--limit", "3") == 0

    said = capsys.readouterr()
    assert len(said.out.splitlines()) == 4
    assert said.err == "These are the first 3 lines; --limit shows more.\n"


@pytest.mark.usefixtures("module")
def test_a_clock_that_does_not_change_is_exit_code_1(capsys: Capture) -> None:
    assert here("schedules", "preview", "hourly", "--around-dst") == 1
    assert capsys.readouterr().err == "The clock of its zone does not change in that time.\n"


# -- steering -----------------------------------------------------------------------------------------
def test_a_schedule_is_run_by_hand_also_while_it_is_paused(module: Any, capsys: Capture) -> None:
    assert here("schedules", "pause", "hourly") == 0
    assert here("schedules", "pause", "hourly") == 0
    assert here("schedules", "run", "hourly") == 0
    assert here("schedules", "resume", "shop.hourly") == 0

    (job,) = module.huey.jobs()
    assert lines(capsys) == ["hourly is paused.", "hourly is paused already.", job.id, "shop.hourly is resumed."]
    assert module.huey.schedules.get("hourly").paused_at is None


def test_what_can_be_done_is_done_and_the_rest_is_exit_code_1(module: Any, capsys: Capture) -> None:
    assert here("schedules", "run", "nothing", "hourly") == 1

    said = capsys.readouterr()
    assert said.err.startswith("Error: expected the name of a schedule, got 'nothing'")
    assert said.out == f"{module.huey.jobs()[0].id}\n"


def test_a_schedule_is_added_changed_and_removed(module: Any, capsys: Capture) -> None:
    cron = ("0 7 * * 1", "--tz", "Europe/Berlin", "--fold", "both", "--catch-up", "all", "--expect-within", "8d")
    assert here("schedules", "add", "report-7", "add", *cron[:1], '{"a": 7}', *cron[1:]) == 0
    added = module.huey.schedules.get("report-7")
    change = ("90s", "--jitter", "10s", "--overlap", "allow", "--expect-within", "never")
    assert here("schedules", "change", "report-7", *change) == 0
    changed = module.huey.schedules.get("report-7")
    assert here("schedules", "remove", "report-7") == 0

    assert lines(capsys) == [
        'report-7 is due by cron("0 7 * * 1", tz="Europe/Berlin", fold="both").',
        f"report-7 is due by {changed.schedule!r}.",
        "report-7 is removed.",
    ]
    assert (added.task, added.kwargs, added.policy.catch_up) == ("shop.add", {"a": 7}, "all")
    assert repr(changed.schedule).startswith("every(seconds=90, jitter=10)")
    assert (changed.policy.catch_up, changed.policy.overlap, changed.policy.expect_within) == ("all", "allow", None)
    assert [plan.name for plan in module.huey.schedules] == ["shop.hourly"]


def test_a_schedule_of_the_code_is_restored(module: Any, capsys: Capture) -> None:
    here("schedules", "change", "hourly", "@daily")
    assert module.huey.schedules.get("hourly").changed
    assert here("schedules", "restore", "hourly") == 0

    assert lines(capsys)[-1] == "hourly is what the code says: every(hours=1)."
    assert not module.huey.schedules.get("hourly").changed


@pytest.mark.usefixtures("module")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "x", "add", "0 2 * *", "[1]"), "SCHEDULE"),
        (("add", "x", "add", "0 2 * * *", "[]"), "missing a required argument: 'a'"),
        (("add", "x", "ad", "0 2 * * *", "[1]"), "no task is called 'ad'; did you mean shop.add?"),
        (("change", "hourly", "90s", "--tz", "Europe/Berlin"), "--tz goes with a cron expression, got '90s'"),
        (("change", "hourly", "@daily", "--jitter", "5"), "--jitter goes with a period such as 15m, got '@daily'"),
        (("change", "hourly", "--gap", "skip"), "--gap goes with a cron expression, got no schedule"),
        (("change", "hourly", "0 2 * * *", "--tz", "Mars"), "expected tz to be"),
        (("change", "hourly", "15m", "--anchor", "noon"), "expected a moment such as 2026-12-24T18:00Z, got 'noon'"),
        (("change", "hourly", "--within", "soon"), "expected a number of seconds"),
        (("change", "hourly"), "expected a SCHEDULE, or an option such as --overlap: what to change"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: tuple[str, ...], said: str) -> None:
    assert said in refused("schedules", *arguments)


def test_two_schedules_of_one_name_are_a_problem_that_check_tells(shop: Shop, module: Any) -> None:
    module.huey.schedules.add("shop.nightly", module.add, module.every(days=1), args=[1])
    text = (shop.folder / "shop.py").read_text()
    (shop.folder / "shop.py").write_text(f"{text}\n\nhuey.periodic_task(every(hours=2), name='nightly')(hourly)\n")

    done = shop.run("check")

    assert done.returncode == 1
    assert "two schedules are called 'shop.nightly'" in done.stdout
