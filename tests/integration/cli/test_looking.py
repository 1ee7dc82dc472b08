"""Looking at tasks and jobs."""

from __future__ import annotations

import io
import json
import signal
import sys
from typing import Any

import pytest

from nephew.cli.output import print_json
from tests.integration.cli.shop import Shop, here, refused, run_waiting_jobs


@pytest.mark.usefixtures("module")
def test_tasks_are_listed_with_queue_retries_and_schedule(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    table = shop.run("tasks")
    here("tasks", "--json")

    rows = [line.split(None, 3) for line in table.stdout.splitlines()]
    assert rows[0] == ["TASK", "QUEUE", "RETRIES", "SCHEDULE"]
    assert ["shop.hourly", "default", "0", "every(hours=1)"] in rows
    found = json.loads(capsys.readouterr().out)
    assert {"name": "shop.add", "queue": "mail", "retries": 2, "schedule": None, "aliases": []} in found


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
    assert "it was killed by SIGKILL (signal 9); peak memory" in shown.stdout
    assert "WARNING shop: the very last word" in shown.stdout
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
