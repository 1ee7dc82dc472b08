"""`nephew jobs change`, `run-now` and `prune`, as a user runs them."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.consumers import ROOT, Bench
from tests.contract.jobs import Hand

HOUR = 3600

Done = subprocess.CompletedProcess[str]


def nephew(bench: Bench, *arguments: str) -> Done:
    command = [sys.executable, "-m", "nephew", "-A", "tests.integration.apps.plain.huey", *arguments]
    environment = os.environ | bench.environment
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_waiting_jobs_are_changed_and_others_refused_with_the_reason(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    held, waiting, ended = (bench.tasks.note(key).id for key in ("held", "waiting", "ended"))
    hand = Hand(bench.huey.backend)
    hand.claim(ids=[held])
    bench.huey.cancel(ended)

    options = ("--priority", "7", "--queue", "mail", "--delay", "15m", "--expires", "never")
    done = nephew(bench, "jobs", "change", held, waiting, ended, "unknown", *options)

    assert (done.returncode, done.stdout) == (1, f"Job {waiting} is changed.\n")
    assert done.stderr.splitlines() == [
        f"Error: job {held} is queued and a worker has it; only a job that waits can be changed",
        f"Error: job {ended} has ended already: it is cancelled",
        "Error: there is no job unknown here",
    ]
    row = bench.huey.backend.row(waiting)
    assert row is not None
    assert (row.state, row.priority, row.queue, row.expires_at) == ("scheduled", 7.0, "mail", float("inf"))
    bench.huey.backend.retire(hand.number)


def test_jobs_are_run_now_by_their_ids_or_by_a_filter(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    first, *others = (bench.tasks.note.schedule((key,), delay=HOUR) for key in ("a", "b", "c"))

    one = nephew(bench, "jobs", "run-now", first.id)
    refused = nephew(bench, "jobs", "run-now", "--task", "note")
    all_ = nephew(bench, "jobs", "run-now", "--task", "note", "--yes")

    assert one.stdout == f"Job {first.id} is due now.\n"
    assert "Run 2 jobs now? There is nobody to ask; say --yes to do it" in refused.stderr
    assert all_.stdout == "2 jobs are due now, 0 refused.\n"
    assert {result.state for result in (first, *others)} == {"queued"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "expected --priority, --queue, --delay, --eta or --expires: what to change"),
        (("--delay", "soon"), "expected a number of seconds, or one with a unit such as 90s"),
        (("--eta", "soon"), "expected a moment such as 2026-12-24T18:00, got 'soon'"),
        (("--expires", "soon"), "expected a time such as 90s or 12h, a moment such as 2026-12-24T18:00, or never"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(sqlite_bench: Bench, options: tuple[str, ...], message: str) -> None:
    done = nephew(sqlite_bench, "jobs", "change", "id", *options)

    assert done.returncode == 2
    assert message in " ".join(done.stderr.split())


def test_running_jobs_are_stopped_by_a_filter_with_a_reason(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.consumer("process", 2)
    running = [bench.tasks.spin(key, 60) for key in ("a", "b")]
    for result in running:
        bench.await_state(result, "running")

    done = nephew(bench, "jobs", "cancel", "--state", "running", "--reason", "too many", "--yes")

    assert done.stdout == "2 jobs are cancelled or asked to stop, 0 refused.\n"
    assert [bench.await_state(result, "cancelled").reason for result in running] == ["too many"] * 2


def test_pruning_counts_asks_and_deletes(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    for key in ("a", "b", "c"):
        bench.huey.cancel(bench.tasks.note(key).id)

    by_settings = nephew(bench, "prune", "--json")
    nothing = nephew(bench, "prune", "--keep", "3")
    counted = nephew(bench, "prune", "--keep", "1", "--dry-run")
    refused = nephew(bench, "prune", "--keep", "1")
    left = bench.huey.backend.counts()
    deleted = nephew(bench, "prune", "--state", "cancelled", "--keep", "1", "--yes")

    assert nothing.returncode == 0, "there is nothing to ask about"
    assert json.loads(by_settings.stdout) == {"succeeded": 0, "failed": 0, "cancelled": 0, "expired": 0}
    assert [line.split() for line in counted.stdout.splitlines()][3] == ["cancelled", "2"]
    assert (refused.returncode, left) == (2, {"cancelled": 3})
    assert "Delete 2 jobs? There is nobody to ask; say --yes to do it" in refused.stderr
    assert deleted.stdout.split() == ["STATE", "DELETED", "cancelled", "2"]
    assert bench.huey.backend.counts() == {"cancelled": 1}
    bench.enqueued.clear()
