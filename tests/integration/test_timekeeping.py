"""Ticks, delayed jobs and parked ones, with real consumers."""

from __future__ import annotations

import time
from collections import Counter

from tests.consumers import Bench
from tests.eventually import eventually
from tests.integration.apps import jobs

CLOCK = {"TEST_CLOCK": "1"}


def test_two_consumers_enqueue_each_tick_once(bench: Bench) -> None:
    bench.consumer("process", 1, environment=CLOCK)
    bench.consumer("thread", 1, environment=CLOCK)

    eventually(lambda: len(bench.runs("tick")) >= 3, 30)

    ticks = bench.runs("tick")
    assert max(Counter(round(tick.at) for tick in ticks).values()) == 1, ticks
    for consumer in bench.consumers:
        assert consumer.stop() == 0
    rows = bench.huey.backend.ticks("tests.integration.apps.jobs.tick", 100)
    late = sorted(row.written_at - row.due for row in rows)
    assert late[-1] < 0.5 and late[len(late) // 2] < 0.1, late  # within 10 ms on a quiet machine
    jobs = sum(bench.huey.backend.counts().values())
    waiting = bench.huey.backend.waiting_count()
    assert jobs == len(bench.runs("tick")) + waiting


def test_delayed_jobs_run_at_their_time(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    bench.consumer(kind, 2)
    due = {}
    for number in range(8):
        delay = 0.4 + number * 0.15
        due[f"delayed-{number}"] = time.time() + delay
        bench.tasks.note.schedule((f"delayed-{number}",), delay=delay)
    assert bench.huey.backend.counts() == {"scheduled": 8}

    bench.await_all("succeeded", 8)

    runs = bench.runs("ran")
    assert [run.key for run in runs] == list(due)
    late = [run.at - due[run.key] for run in runs]
    # Not before, either: but for what two clocks can be told apart.
    assert all(-0.01 < seconds < 0.5 for seconds in late), late
    assert sorted(late)[4] < 0.1, late  # within 50 ms on a quiet machine


def test_a_delayed_retry_runs_when_it_asked_to(bench: Bench) -> None:
    bench.consumer("process", 1)

    result = bench.tasks.retry_later("retried")

    bench.await_state(result, "succeeded")
    first, second = bench.runs("ran")
    assert 0.3 <= second.at - first.at < 1


def test_a_parked_job_is_released_when_a_consumer_knows_its_task(bench: Bench) -> None:
    added_later = bench.huey.task()(jobs.added_later)
    older = bench.consumer("process", 1)
    result = added_later("early")
    job = bench.await_state(result, "parked")
    assert "added_later" in str(job.reason)
    assert older.stop() == 0

    started = time.time()
    bench.consumer("process", 1, app="newer")

    job = bench.await_state(result, "succeeded")
    assert job.result == "early"
    assert bench.runs("ran")[0].at - started < 4, "not released at the start, but by a later look"
