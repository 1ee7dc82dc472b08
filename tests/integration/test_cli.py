"""The command `nephew` as a user runs it: real processes on a real database."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from nephew import Nephew
from nephew.cli import nephew
from nephew.cli.output import print_json
from nephew.version import __version__
from tests.eventually import eventually
from tests.places import DATABASES

ROOT = Path(__file__).resolve().parents[2]

SHOP = """\
import logging
import os
import signal
from nephew import Nephew, current_job, every

huey = Nephew(os.environ["SHOP_NAME"], os.environ["SHOP_URL"])

@huey.task(queue="mail", retries=2)
def add(a, b=1):
    return a + b

@huey.task()
def fail(text):
    current_job().progress(0.5, "half way")
    raise ValueError(text)

@huey.task(unique=True)
def once(number):
    pass

@huey.task(tags=lambda user, token: f"user:{user}", redact="token")
def login(user, token):
    logging.getLogger("shop").warning("%s comes with %s", user, token)
    raise ValueError(f"{token} is wrong")

@huey.task(context=True)
def identify(task=None):
    return task.id

@huey.task()
def crash():
    os.kill(os.getpid(), signal.SIGKILL)

@huey.periodic_task(every(hours=1))
def hourly():
    pass
"""

Done = subprocess.CompletedProcess[str]


class Shop:
    """A small application in a folder of its own, and the command line in that folder."""

    def __init__(self, folder: Path, name: str, url: str) -> None:
        self.folder, self.name, self.url = folder, name, url
        (folder / "shop.py").write_text(SHOP)

    def environment(self, **more: str) -> dict[str, str]:
        ours = {"SHOP_NAME": self.name, "SHOP_URL": self.url, "PYTHONPATH": str(ROOT), "NEPHEW_APP": "shop.huey"}
        return {**os.environ, **ours, **more}

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nephew", *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **more: str) -> Done:
        return ended(self.start(*arguments, **more))

    def see(self, columns: int, *arguments: str) -> str:
        """What a terminal of that width shows, without colours."""
        ours, theirs = pty.openpty()
        with open(ours, "rb", buffering=0) as terminal:
            process = subprocess.Popen(
                [sys.executable, "-m", "nephew", *arguments],
                cwd=self.folder,
                env=self.environment(COLUMNS=str(columns), TERM="xterm"),
                stdin=subprocess.DEVNULL,
                stdout=theirs,
            )
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # Linux's way to say that the other side is closed
                while part := terminal.read(4096):
                    shown += part
            assert process.wait(timeout=30) == 0
        return re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).replace("\r\n", "\n")

    def answer(self, line: str, *arguments: str) -> str:
        """What is said to somebody at a terminal who answers with that line."""
        ours, theirs = pty.openpty()
        with open(ours, "wb", buffering=0) as terminal:
            terminal.write(f"{line}\n".encode())
            done = subprocess.run(
                [sys.executable, "-m", "nephew", *arguments],
                cwd=self.folder,
                env=self.environment(),
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=30,
            )
            os.close(theirs)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return parsed(self.run(*arguments, "--json"))


def ended(process: subprocess.Popen[str]) -> Done:
    out, error = process.communicate(timeout=30)
    assert "Traceback (most recent call last)" not in error, error
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def parsed(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def shop(tmp_path: Path, name: str, sqlite_url: str) -> Shop:
    return Shop(tmp_path, name, sqlite_url)


@pytest.fixture
def everywhere(tmp_path: Path, name: str, backend_url: str) -> Shop:
    """The same on every backend."""
    return Shop(tmp_path, name, backend_url)


@contextlib.contextmanager
def opened(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application's module in this process: to enqueue, and to run jobs without a consumer."""
    monkeypatch.setenv("SHOP_NAME", shop.name)
    monkeypatch.setenv("SHOP_URL", shop.url)
    monkeypatch.chdir(shop.folder)
    monkeypatch.syspath_prepend(shop.folder)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    module = importlib.import_module("shop")
    try:
        yield module
    finally:
        del sys.modules["shop"]
        module.huey.sign_off()
        module.huey.backend.close()


@pytest.fixture
def module(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with opened(shop, monkeypatch) as found:
        yield found


def here(*arguments: str) -> int:
    """Run a command in this process, for tests of what is said: half a second less for each."""
    return int(nephew.main(["-A", "shop.huey", *arguments], standalone_mode=False) or 0)


def refused(*arguments: str) -> str:
    """What a command says that makes no sense, which is exit code 2."""
    with pytest.raises(click.UsageError) as caught:
        here(*arguments)
    return caught.value.format_message()


def run_waiting_jobs(huey: Nephew) -> None:
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


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


# -- the store ----------------------------------------------------------------------------------------
@pytest.mark.parametrize("backend_url", DATABASES, indirect=True)
def test_migrate_tells_the_versions_before_and_after(everywhere: Shop) -> None:
    first = everywhere.run("migrate")
    again = everywhere.run("migrate")

    assert (first.returncode, again.returncode) == (0, 0)
    if everywhere.url.startswith("sqlite"):
        assert "was version 0 and is version" in first.stdout
    assert ": up to date (version" in again.stdout


def test_check_finds_nothing_wrong_and_makes_nothing(shop: Shop) -> None:
    done = shop.run("check")

    assert done.returncode == 0, done.stdout
    assert "No problem found: 7 tasks" in done.stdout
    assert not (shop.folder / "nephew.db").exists()


def test_check_prints_every_problem_at_once(shop: Shop) -> None:
    done = shop.run(
        "check",
        NEPHEW_PREFETCH="many",
        NEPHEW_DRAIN="-1",
        NEPHEW_LEESE="60",
        NEPHEW_QUEUES="male,default",
        NEPHEW_URL="oracle:shop",
        NEPHEW_RUN_DIR=str(shop.folder / "shop.py" / "run"),
        SHOP_URL=f"sqlite:///{shop.folder}/nowhere/nephew.db",
    )

    assert done.returncode == 1
    problems = done.stdout.splitlines()
    for said in (
        "expected NEPHEW_PREFETCH to be a whole number, got 'many'",
        "expected drain to be 0 or more",
        "NEPHEW_LEESE is no setting; did you mean NEPHEW_LEASE?",
        "NEPHEW_QUEUES names 'male', which no task uses; did you mean mail?",
        "NEPHEW_URL: expected a URL like",
        "set NEPHEW_RUN_DIR to one that can",
    ):
        assert sum(said in problem for problem in problems) == 1, (said, done.stdout)
    assert f"{len(problems)} problems found" in done.stderr


def test_check_finds_a_store_that_cannot_be_reached_without_telling_its_password(shop: Shop) -> None:
    done = shop.run("check", SHOP_URL="postgresql://shop:se:cret@127.0.0.1:1/shop?sslpassword=hidden")

    assert done.returncode == 1
    assert "the store cannot be reached: postgresql" in done.stdout
    assert not any(secret in done.stdout + done.stderr for secret in ("cret", "hidden"))


def test_check_finds_tables_that_are_newer(shop: Shop, module: Any) -> None:
    module.huey.inspection.migrate()
    with contextlib.closing(sqlite3.connect(shop.folder / "nephew.db")) as database, database:
        database.execute("INSERT INTO nephew_schema (version) VALUES (1000)")

    checked, looked = shop.run("check"), shop.run("status")

    assert (checked.returncode, looked.returncode) == (1, 1)
    assert "got version 1000: this Nephew is older" in checked.stdout
    assert "got version 1000: this Nephew is older" in looked.stderr


def test_check_finds_two_schedules_of_one_name(shop: Shop) -> None:
    with (shop.folder / "shop.py").open("a") as file:
        file.write('huey.periodic_task(every(hours=2), name="hourly")(add.func)\n')

    done = shop.run("check")

    assert done.returncode == 1
    assert '"shop.hourly" (shop.py, line ' in done.stdout


# -- looking ------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("module")
def test_tasks_are_listed_with_queue_retries_and_schedule(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    table = shop.run("tasks")
    here("tasks", "--json")

    rows = [line.split(None, 3) for line in table.stdout.splitlines()]
    assert rows[0] == ["TASK", "QUEUE", "RETRIES", "SCHEDULE"]
    assert ["shop.hourly", "default", "0", "every(hours=1)"] in rows
    found = json.loads(capsys.readouterr().out)
    assert {"name": "shop.add", "queue": "mail", "retries": 2, "schedule": None} in found


def test_status_counts_jobs_and_tells_how_long_the_oldest_waits(
    shop: Shop, module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    module.add(1)
    module.add.schedule((2,), delay=3600)

    here("status")
    text = capsys.readouterr().out
    found = shop.json("status")

    assert (found["counts"]["queued"], found["counts"]["scheduled"], found["counts"]["failed"]) == (1, 1, 0)
    assert found["oldest_waiting_seconds"] >= 0
    assert found["workers"] == []
    assert "No worker is alive." in text


def test_jobs_are_listed_by_state_task_and_queue(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    mail, failed = module.add(1), module.fail("no such price")
    run_waiting_jobs(module.huey)
    waiting = module.once(1)

    def listed(*filters: str) -> list[str]:
        here("jobs", "list", "--json", *filters)
        return [job["id"] for job in json.loads(capsys.readouterr().out)]

    assert listed() == [waiting.id, failed.id, mail.id]
    assert listed("--state", "failed", "--state", "queued") == [waiting.id, failed.id]
    assert listed("--queue", "mail", "--task", "add") == [mail.id]
    assert listed("--limit", "1") == [waiting.id]


def test_a_wide_and_hostile_text_stays_whole_and_harmless_in_a_pipe(shop: Shop, module: Any) -> None:
    job = module.fail("no\x1b[31m such\nprice " + "!" * 200)
    run_waiting_jobs(module.huey)

    _, row = shop.run("jobs", "list").stdout.splitlines()

    assert job.id in row and "!" * 200 in row
    assert "\x1b" not in row


@pytest.mark.parametrize("columns", [80, 100])
def test_a_narrow_terminal_shows_a_job_in_one_line_with_its_whole_id(shop: Shop, module: Any, columns: int) -> None:
    jobs = [module.fail("no such price " * 20), module.add(1)]
    run_waiting_jobs(module.huey)

    shown = shop.see(columns, "jobs", "list").splitlines()

    assert shown[0].split() == ["ID", "STATE", "TASK", "ABOUT"]
    added, failed = shown[-2:]
    assert added.split()[:4] == [jobs[1].id, "succeeded", "add", "took"]
    assert failed.split()[:3] == [jobs[0].id, "failed", "fail"] and "no such" in failed and failed.endswith("…")
    assert len(shown) == 4 and max(map(len, shown)) <= columns


def test_an_id_stays_whole_in_a_terminal_that_is_too_small_for_a_row(shop: Shop, module: Any) -> None:
    job = module.add(1)

    assert job.id in shop.see(30, "jobs", "list")


def test_a_wide_terminal_shows_the_whole_name_and_the_queue(shop: Shop, module: Any) -> None:
    job = module.add(1)

    row = shop.see(140, "jobs", "list").split("\n")[3].split()

    assert row[:4] == [job.id, "queued", "shop.add", "mail"]


@pytest.mark.usefixtures("module")
def test_a_state_that_there_is_none_of_is_refused_with_the_known_ones() -> None:
    said = refused("jobs", "list", "--state", "fialed")

    assert "'fialed' is not one of" in said and "parked" in said


def test_nothing_found_is_exit_code_1(shop: Shop, module: Any) -> None:
    shown = shop.run("jobs", "show", "nothing")

    assert (shown.returncode, shown.stderr) == (1, "Error: there is no job nothing here\n")
    assert here("jobs", "list", "--state", "failed") == 1


def test_show_tells_arguments_attempts_progress_and_traceback(
    shop: Shop, module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job = module.fail("no such price")
    run_waiting_jobs(module.huey)

    text = shop.run("jobs", "show", job.id)
    here("jobs", "show", job.id, "--json")

    found = json.loads(capsys.readouterr().out)
    assert text.returncode == 0
    for said in ("is failed", "'no such price'", "50% half way", "Attempt 1 failed on", "ValueError: no such price"):
        assert said in text.stdout
    assert (found["state"], found["args"], found["progress"]["fraction"]) == ("failed", ["no such price"], 0.5)
    assert [attempt["outcome"] for attempt in found["attempts"]] == ["failed"]
    assert 0 <= found["attempts"][0]["duration"] < 30
    assert "Traceback" in found["attempts"][0]["traceback"]


def test_show_tells_the_cause_of_a_crash(shop: Shop) -> None:
    consumer = shop.start("run", "-k", "process", NEPHEW_MAX_CRASHES="1")
    try:
        called = shop.run("call", "crash", "--wait", "--timeout", "20")
        shown = shop.run("jobs", "show", called.stderr.splitlines()[0])
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=20)
    finally:
        consumer.kill()

    assert called.returncode == 1
    assert "Attempt 1 crashed" in shown.stdout
    assert "it was killed by SIGKILL" in shown.stdout
    (kind,) = shop.json("jobs", "errors")
    assert (kind["jobs"], kind["task"]) == (1, "shop.crash") and len(kind["fingerprint"]) == 12


def test_show_tells_family_tags_and_what_was_logged_but_nothing_that_is_hidden(
    shop: Shop, module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = module.huey.enqueue(module.login.s("ann", "tok-7391").then(module.add))
    run_waiting_jobs(module.huey)

    text = shop.run("jobs", "show", first.id, "--logs")
    here("jobs", "show", first.id, "--logs", "--json")
    told = capsys.readouterr().out
    listed = shop.run("jobs", "list", "--json").stdout
    here("jobs", "show", second.id)
    never = capsys.readouterr().out

    for said in ("'ann', '[redacted]'", "tags:        user:ann", f"followed by: {second.id}", "fingerprint: ",
                 "Attempt 1 logged:", "WARNING shop: ann comes with [redacted]", "[redacted] is wrong"):  # fmt: skip
        assert said in text.stdout, text.stdout
    assert f"follows:     {first.id} (chain)" in never
    found = json.loads(told)
    assert (found["args"], found["tags"], found["children"]) == (["ann", "[redacted]"], ["user:ann"], [second.id])
    assert [line["text"] for line in found["logs"][0]["lines"]] == ["ann comes with [redacted]"]
    assert "tok-7391" not in text.stdout + told + listed + never


def test_long_arguments_and_results_are_cut_for_people_and_whole_for_programs(
    module: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    job = module.add("x" * 5000, "y" * 5000)
    run_waiting_jobs(module.huey)

    here("jobs", "show", job.id)
    shown = capsys.readouterr().out
    here("jobs", "show", job.id, "--json")
    told = json.loads(capsys.readouterr().out)

    assert shown.count("characters; --json has them all)") == 2
    assert len(shown) < 10_000
    assert told["args"] == ["x" * 5000, "y" * 5000] and told["result"] == "x" * 5000 + "y" * 5000


def test_a_job_that_logged_nothing_says_so(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = module.add(1)

    here("jobs", "show", job.id, "--logs")

    assert "Nothing was logged." in capsys.readouterr().err


def test_failures_are_counted_by_kind(module: Any, shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    failed = [module.fail("x"), module.fail("y"), module.login("ann", "tok-7391")]
    run_waiting_jobs(module.huey)

    table = shop.run("jobs", "errors").stdout.splitlines()
    here("jobs", "errors", "--json", "--task", "fail")
    (kind,) = json.loads(capsys.readouterr().out)
    here("jobs", "list", "--error", kind["fingerprint"], "--json")

    assert [line.split()[1:2] for line in table] == [["JOBS"], ["2"], ["1"]]
    assert "ValueError('[redacted] is wrong')" in table[2]
    assert (kind["jobs"], kind["task"], kind["error"]) == (2, "shop.fail", "ValueError('y')")
    assert [job["id"] for job in json.loads(capsys.readouterr().out)] == [failed[1].id, failed[0].id]


@pytest.mark.usefixtures("module")
def test_without_failures_there_is_nothing_to_count(capsys: pytest.CaptureFixture[str]) -> None:
    assert here("jobs", "errors") == 1
    assert "No job has failed." in capsys.readouterr().err


def test_jobs_are_listed_by_tag_error_and_age(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ann, bob, job = module.login("ann", "tok-7391"), module.login("bob", "tok-7392"), module.add(1)
    run_waiting_jobs(module.huey)

    def listed(*filters: str) -> list[str]:
        here("jobs", "list", "--json", *filters)
        return [found["id"] for found in json.loads(capsys.readouterr().out)]

    assert listed("--tag", "user:bob") == [bob.id]
    assert listed("--error", "is wrong") == [bob.id, ann.id]
    assert listed("--newer-than", "1h", "--task", "add") == [job.id]
    assert listed("--older-than", "1.5d") == []
    assert "expected a number of seconds, or one with a unit" in refused("jobs", "list", "--older-than", "soon")


@pytest.mark.parametrize(
    ("encoding", "printed"),
    [("utf-8", '"12 € 🥛 \\u009b \\ud800"'), ("latin-1", '"12 \\u20ac \\ud83e\\udd5b \\u009b \\ud800"')],
)
def test_json_has_the_characters_that_can_be_printed_and_the_numbers_of_others(
    monkeypatch: pytest.MonkeyPatch, encoding: str, printed: str
) -> None:
    buffer = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(buffer, encoding))

    print_json("12 € 🥛 \x9b \ud800")

    sys.stdout.flush()
    assert buffer.getvalue().decode("ascii" if encoding == "latin-1" else encoding) == f"{printed}\n"
    assert json.loads(printed) == "12 € 🥛 \x9b \ud800"


def test_what_cannot_be_written_is_shown_all_the_same(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    huge = module.add(10**5000)

    here("jobs", "show", huge.id)
    shown = capsys.readouterr().out
    here("jobs", "show", huge.id, "--json")
    told = json.loads(capsys.readouterr().out)

    assert "arguments:   <unprintable int object>" in shown
    assert told["args"] == [hex(10**5000)]


# -- steering -----------------------------------------------------------------------------------------
def test_a_waiting_job_is_cancelled_and_put_back_and_leaves_no_registration(
    everywhere: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(everywhere, monkeypatch) as module:
        job = module.add(1)

        cancelled = everywhere.run("jobs", "cancel", job.id, job.id)
        record = module.huey.job(job.id)
        retried = everywhere.run("jobs", "retry", job.id, job.id)
        registered = module.huey.backend.workers()

    assert (record.state, record.reason) == ("cancelled", "cancelled by request")
    assert (cancelled.returncode, cancelled.stdout) == (1, f"Job {job.id} is cancelled.\n")
    assert "has ended already: it is cancelled" in cancelled.stderr
    assert (retried.returncode, retried.stdout) == (1, f"Job {job.id} is back in the queue.\n")
    assert "is queued; only an ended or parked job" in retried.stderr
    assert registered == []


def test_a_job_is_not_put_back_beside_one_with_its_unique_key(shop: Shop, module: Any) -> None:
    ended = module.once(7)
    run_waiting_jobs(module.huey)
    module.once(7)

    done = shop.run("jobs", "retry", ended.id)

    assert done.returncode == 1
    assert "an unfinished job has its unique key" in done.stderr


def test_a_job_is_deleted_once_it_has_ended(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    ended = module.add(1)
    run_waiting_jobs(module.huey)
    waiting = module.add(2)

    assert here("jobs", "delete", ended.id, waiting.id, "nothing") == 1

    said = capsys.readouterr()
    assert said.out == f"Job {ended.id} is deleted.\n"
    assert said.err.splitlines() == [
        f"Error: job {waiting.id} is queued; only an ended or parked job can be deleted, so cancel it first",
        "Error: there is no job nothing here",
    ]
    assert [job.id for job in module.huey.jobs()] == [waiting.id]


def test_a_job_is_run_again_as_a_new_one(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    job = module.add(1)

    assert here("jobs", "rerun", job.id, "nothing") == 1

    said = capsys.readouterr()
    again = module.huey.job(said.out.strip())
    assert (again.args, again.relation, again.parents) == ((1,), "retry", (job.id,))
    assert said.err == "Error: there is no job nothing here\n"


# -- many at once -------------------------------------------------------------------------------------
def test_all_that_a_filter_means_is_put_back_cancelled_and_deleted(
    everywhere: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(everywhere, monkeypatch) as module:
        failed = [module.fail(str(number)).id for number in range(250)]
        run_waiting_jobs(module.huey)
        other = module.add(1)

        done = [
            everywhere.run("jobs", action, "--task", "fail", "--newer-than", "1h", "--yes")
            for action in ("retry", "cancel", "delete")
        ]

        assert [job.id for job in module.huey.jobs(limit=None)] == [other.id]
    assert len(failed) == 250
    assert [each.stdout for each in done] == [
        "250 jobs are back in the queue, 0 refused.\n",
        "250 jobs are cancelled, 0 refused.\n",
        "250 jobs are deleted, 0 refused.\n",
    ]


def test_many_are_changed_only_after_a_question(shop: Shop, module: Any) -> None:
    module.fail("x")
    run_waiting_jobs(module.huey)

    declined = shop.answer("n", "jobs", "delete", "--state", "failed")
    kept = len(module.huey.jobs())
    agreed = shop.answer("y", "jobs", "delete", "--state", "failed")

    assert (declined, kept) == ("Delete 1 job? [y/N]: Nothing was changed.\n", 1)
    assert (agreed, len(module.huey.jobs())) == ("Delete 1 job? [y/N]: 1 job is deleted, 0 refused.\n", 0)


def test_without_anybody_to_ask_nothing_is_changed(shop: Shop, module: Any) -> None:
    module.add(1)

    done = shop.run("jobs", "cancel", "--task", "add")

    assert done.returncode == 2
    assert "Cancel 1 job? There is nobody to ask; say --yes to do it" in done.stderr
    assert [job.state for job in module.huey.jobs()] == ["queued"]


def test_those_that_are_refused_are_counted(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    module.once(1)
    run_waiting_jobs(module.huey)
    module.once(1)

    code = here("jobs", "retry", "--task", "once", "--state", "succeeded", "--yes")

    assert (code, capsys.readouterr().out) == (1, "0 jobs are back in the queue, 1 refused.\n")


@pytest.mark.usefixtures("module")
def test_many_at_once_wants_ids_or_a_filter_and_not_both() -> None:
    for arguments in ([], ["some-id", "--state", "failed"]):
        assert "expected either IDs or a filter such as --state failed" in refused("jobs", "delete", *arguments)


def test_a_filter_that_means_nothing_is_exit_code_1(module: Any, capsys: pytest.CaptureFixture[str]) -> None:
    module.add(1)

    assert here("jobs", "delete", "--task", "add", "--yes") == 1
    assert capsys.readouterr().err == "No such job.\n"


def test_a_held_lock_is_listed_and_broken(shop: Shop, module: Any) -> None:
    module.huey.backend.acquire_lock("till", "owner", "host:1:thread", 60)

    listed = shop.json("locks", "list")
    broken = shop.run("locks", "break", "till", "till")

    assert [(lock["name"], lock["held_by"]) for lock in listed] == [("till", "host:1:thread")]
    assert (broken.returncode, broken.stdout) == (1, "Lock till is broken.\n")
    assert broken.stderr == "Nobody holds a lock till.\n"
    assert not module.huey.is_locked("till")


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


# -- running ------------------------------------------------------------------------------------------
def test_run_runs_what_call_waits_for_until_sigterm(everywhere: Shop) -> None:
    consumer = everywhere.start("run", "-w", "2", "-k", "thread", "-l", "consumer.log")
    try:
        added = everywhere.run("call", "add", '{"a": 1, "b": 2}', "--wait", "--timeout", "20")
        failed = everywhere.run("call", "shop.fail", '["sold out"]', "--wait", "--timeout", "20")
        identified = everywhere.run("call", "identify", "--wait", "--timeout", "20")
        workers = everywhere.json("status")["workers"]
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=20)
    finally:
        consumer.kill()

    assert (added.returncode, added.stdout) == (0, "3\n")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "sold out" in failed.stderr and "nephew jobs show" in failed.stderr
    assert json.loads(identified.stdout) == identified.stderr.strip()
    assert [(worker["type"], worker["pid"]) for worker in workers] == [("thread", consumer.pid)]
    assert consumer.returncode == 0
    log = (everywhere.folder / "consumer.log").read_text()
    assert "2 thread workers" in log and "INFO:huey.consumer:MainThread:" in log


def test_a_consumer_started_as_a_module_restarts_itself_on_sighup(shop: Shop) -> None:
    log = shop.folder / "consumer.log"

    def starts() -> int:
        return log.read_text().count("Scheduler runs every") if log.exists() else 0

    consumer = shop.start("run", "-n", "-l", str(log))
    try:
        eventually(lambda: starts() == 1)
        consumer.send_signal(signal.SIGHUP)
        eventually(lambda: starts() == 2)
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=20)
    finally:
        consumer.kill()

    assert consumer.returncode == 0


def test_greenlet_workers_run_an_application_that_knows_nothing_of_gevent(shop: Shop) -> None:
    with (shop.folder / "shop.py").open("a") as file:
        file.write(
            "import sys, threading\n"
            "monkey = sys.modules.get('gevent.monkey')\n"
            "patched = monkey is not None and monkey.is_module_patched('threading')\n"
            "both = threading.Barrier(2)\n"
            "@huey.task()\n"
            "def meet():\n"
            "    both.wait(20)\n"
            "    return patched\n"
        )
    log = shop.folder / "consumer.log"
    consumer = shop.start("run", "-k", "greenlet", "-w", "2", "-l", str(log))
    try:
        shop.run("call", "meet")
        met = shop.run("call", "meet", "--wait", "--timeout", "20")
        (worker,) = {(worker["type"], worker["pid"]) for worker in shop.json("status")["workers"]}
        consumer.send_signal(signal.SIGHUP)
        eventually(lambda: log.read_text().count("Scheduler runs every") == 2)
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=20)
    finally:
        consumer.kill()

    assert met.stdout == "true\n", met.stderr
    assert worker == ("greenlet", consumer.pid), "it is the same process"
    assert "patch" not in log.read_text(), "Huey warns of nothing"
    assert consumer.returncode == 0


def test_greenlet_workers_without_gevent_say_what_to_install(shop: Shop) -> None:
    (shop.folder / "sitecustomize.py").write_text("import sys\nsys.modules['gevent'] = None\n")

    done = shop.run("run", "-k", "greenlet", PYTHONPATH=f"{shop.folder}{os.pathsep}{ROOT}")

    assert done.returncode == 1
    assert "run `pip install gevent`" in done.stderr


def test_waiting_in_vain_ends_at_the_timeout_and_leaves_the_job(shop: Shop, module: Any) -> None:
    done = shop.run("call", "add", "[1]", "--wait", "--timeout", "0.1")

    assert done.returncode == 1
    assert "timed out" in done.stderr and "the job goes on" in done.stderr
    assert [job.state for job in module.huey.jobs()] == ["queued"]


def test_ctrl_c_while_waiting_is_quiet(shop: Shop, module: Any) -> None:
    waiting = shop.start("call", "add", "[1]", "--wait")
    try:
        eventually(lambda: len(module.huey.jobs()) == 1)
        waiting.send_signal(signal.SIGINT)
        out, error = waiting.communicate(timeout=20)
    finally:
        waiting.kill()

    assert waiting.returncode == 130
    assert out == ""
    assert error.strip() in ("", module.huey.jobs()[0].id)


def test_a_log_file_that_cannot_be_written_is_an_error_of_one_line(shop: Shop) -> None:
    done = shop.run("run", "-l", "nowhere/consumer.log")

    assert done.returncode == 1
    assert done.stderr.startswith("Error: the log file cannot be written:")
