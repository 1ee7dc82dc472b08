"""Deleting what is not kept, by real consumers and by the command, beside jobs that run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import NamedTuple

import pytest

from nephew.endings import Finished
from nephew.worker import Worker
from tests.consumers import ROOT, Bench
from tests.contract.jobs import job, succeeded
from tests.eventually import eventually
from tests.places import DATABASES, on

backend_url = on(*DATABASES)

REPORTS = ROOT / "docs" / "reports"

DAY = 86400.0
#: Jobs in one transaction of the filling.
CHUNK = 500_000
#: Half of them are older than succeeded jobs are kept, half are younger.
FILL = (
    "INSERT INTO nephew_job"
    " (name, id, task, queue, state, priority, payload, result, enqueued_at, finished_at, attempts)"
    " SELECT ?, 'filled-' || i, 'filled', 'default', 'succeeded', 0, {payload}, {payload}, {moment}, {moment}, 1"
    " FROM {numbers}"
)
SQLITE = {
    "payload": "zeroblob(100)",
    "moment": "? - CASE WHEN i <= ? THEN 8 ELSE 6 END * 86400.0",
    "numbers": "(WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i FROM n)",
}
POSTGRES = SQLITE | {
    "payload": "decode(repeat('00', 100), 'hex')",
    "moment": "?::float8 - CASE WHEN i <= ? THEN 8 ELSE 6 END * 86400.0",
    "numbers": "generate_series(?::bigint, ?::bigint) AS n(i)",
}


class Pace(NamedTuple):
    """How fast one worker claims and settles, ten jobs at a time.

    :ivar rate: jobs a second.
    :ivar p99: seconds that the slowest hundredth of the claims took at least, with their settle.
    """

    rate: float
    p99: float


def fill(bench: Bench, count: int) -> None:
    backend = bench.huey.backend
    backend.migrate()
    parts = SQLITE if bench.url.startswith("sqlite") else POSTGRES
    now = backend.now()
    for start in range(1, count + 1, CHUNK):
        end = min(start + CHUNK - 1, count)
        values = (bench.huey.name, now, count // 2, now, count // 2, start, end)
        backend.write(lambda run: run(FILL.format(**parts), values))  # noqa: B023


def empty(bench: Bench) -> None:
    bench.huey.backend.write(lambda run: run("DELETE FROM nephew_job WHERE name = ?", (bench.huey.name,)))


def pace(worker: Worker, seconds: float) -> Pace:
    times: list[float] = []
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        worker.backend.enqueue([job() for _ in range(10)])
        began = time.monotonic()
        claimed = worker.claim(worker.next_claim(), 10)
        assert len(claimed) == 10
        for each in claimed:
            worker.ledger.add(Finished(succeeded(each, finished_at=worker.backend.now())))
        worker.ledger.flush()
        times.append(time.monotonic() - began)
    return Pace(10 * len(times) / (time.monotonic() - started), sorted(times)[len(times) * 99 // 100])


@pytest.mark.timeout(3600)
def test_claims_are_not_held_up_while_a_consumer_deletes_what_is_not_kept(bench: Bench, long: bool) -> None:
    count, seconds = (10_000_000, 30.0) if long else (100_000, 2.0)
    fill(bench, count)
    worker = bench.huey.worker

    def pruned() -> bool:
        return not bench.column(f"SELECT 1 FROM nephew_job WHERE name = ? AND id = 'filled-{count // 2}'")

    alone = pace(worker, seconds)
    started = time.monotonic()
    bench.consumer("process", 1, queues="elsewhere")
    beside = pace(worker, seconds)
    eventually(pruned, 3000 if long else 60)
    took = time.monotonic() - started

    left = bench.scalar("SELECT count(*) FROM nephew_job WHERE name = ? AND task = 'filled'")
    print(f"alone {alone}, beside {beside}, {took:.1f} s")
    assert left == count - count // 2
    assert beside.p99 < 5 * alone.p99 + 0.05
    assert beside.rate > alone.rate / 5
    empty(bench)
    if long:
        _report(bench, count, took, alone, beside)


def _report(bench: Bench, count: int, took: float, alone: Pace, beside: Pace) -> None:
    name = "sqlite" if bench.url.startswith("sqlite") else "postgresql"
    rows = {
        "jobs in the table": f"{count:,}",
        "of these not kept, and deleted": f"{count // 2:,}",
        "seconds until the last was deleted": f"{took:.0f}",
        "deleted in a second": f"{count / 2 / took:,.0f}",
        "claimed and settled in a second, before": f"{alone.rate:,.0f}",
        "claimed and settled in a second, beside it": f"{beside.rate:,.0f}",
        "a claim of ten with its settle, 99th percentile, before": f"{alone.p99 * 1000:.1f} ms",
        "a claim of ten with its settle, 99th percentile, beside it": f"{beside.p99 * 1000:.1f} ms",
    }
    text = [
        f"# Deleting what is not kept: {name}",
        "",
        "Written by `tests/integration/test_pruning.py` (`./run_tests.sh --long`): a consumer deletes by itself, while",
        "for the first half minute another process enqueues, claims and settles jobs as fast as it can.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in rows.items()),
    ]
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"prune-{name}.md").write_text("\n".join(text) + "\n")


def test_nothing_is_lost_while_everything_that_has_ended_is_deleted_at_once(bench: Bench) -> None:
    """`nephew prune`, over and over, beside jobs that run, fail, and are tried again."""
    bench.consumer("process", 2)
    keys = [f"job-{number}" for number in range(900)]

    for start in range(0, len(keys), 300):
        for key in keys[start : start + 300]:
            bench.tasks.note(key)
        assert "succeeded" in prune(bench, "--older-than", "0", "--yes")

    eventually(lambda: len(bench.runs("ran")) >= len(keys), 30)
    eventually(lambda: set(bench.huey.backend.counts()) <= {"succeeded"}, 30)
    prune(bench, "--keep", "0", "--yes")
    assert sorted(run.key for run in bench.runs("ran")) == sorted(keys)
    assert bench.huey.backend.counts() == {}
    bench.enqueued.clear()  # they are deleted, and not lost


def prune(bench: Bench, *arguments: str) -> str:
    command = [sys.executable, "-m", "nephew", "-A", "tests.integration.apps.plain.huey", "prune", *arguments]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | bench.environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_consumer_ends_a_job_that_nobody_begins_in_time(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    bench.consumer("process", 1, queues="mail")
    call = bench.tasks.note.s("late")
    call.expires = 0.5
    result = bench.huey.enqueue(call)

    assert "expired at" in str(bench.await_state(result, "expired", 10).reason)

    assert bench.runs("ran", "late") == []
