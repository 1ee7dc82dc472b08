"""Transactional jobs in real consumers: killed, stopped, late, and in each other's way."""

from __future__ import annotations

import os
import random
import signal
from contextlib import suppress

import pytest

from nephew.job import Job
from tests.consumers import Bench
from tests.eventually import eventually
from tests.places import DATABASES, on

PLACES = DATABASES
backend_url = on(*PLACES)


@pytest.fixture(autouse=True)
def bookings(request: pytest.FixtureRequest) -> None:
    """The table that the jobs write to."""
    names = {"bench", "sqlite_bench", "postgres_bench"} & set(request.fixturenames)
    bench = request.getfixturevalue(names.pop()) if names else request.getfixturevalue("cell")[0]
    bench.huey.backend.migrate()
    bench.huey.backend.database.execute_sql("CREATE TABLE IF NOT EXISTS booking (title TEXT)")


def booked(bench: Bench, prefix: str) -> list[str]:
    return [row[0] for row in bench.huey.backend.read("SELECT title FROM booking WHERE title LIKE ?", (f"{prefix}%",))]


def test_a_transactional_job_that_is_killed_is_written_once(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    key = bench.huey.name
    consumer = bench.consumer(kind, 2)
    short = [bench.tasks.book(f"{key}-{number}") for number in range(20)]
    for result in short:
        bench.await_state(result, "succeeded")
    result = bench.tasks.book(f"{key}-long", 0.5)
    victim = bench.await_run("began", f"{key}-long")

    os.kill(victim.pid, signal.SIGKILL)

    if kind != "process":
        consumer.kill()
        bench.consumer(kind, 2)
    job = bench.await_state(result, "succeeded")
    assert job.crashes == 1
    assert sorted(booked(bench, key)) == sorted([*(f"{key}-{number}" for number in range(20)), f"{key}-long"])


def test_a_transactional_job_that_takes_too_long_is_undone(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    key = bench.huey.name
    bench.consumer(kind, 1)

    late = bench.tasks.book_too_long(key)
    following = bench.tasks.note("following")

    job = bench.await_state(late, "failed")
    assert [attempt.outcome for attempt in job.attempts] == ["timed out"]
    bench.await_state(following, "succeeded")
    assert booked(bench, key) == []


def test_a_transactional_job_that_outlives_the_drain_is_undone_and_runs_again(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    key = bench.huey.name
    consumer = bench.consumer(kind, 1, drain=0.3)
    result = bench.tasks.book(key, 2)
    bench.await_run("began", key)

    assert consumer.stop() == 0

    assert bench.job(result).state == "queued"
    bench.consumer(kind, 1)
    job = bench.await_state(result, "succeeded")
    assert (job.crashes, booked(bench, key)) == (0, [key])


def test_on_postgresql_a_running_transactional_job_is_shown_and_can_be_cancelled(postgres_bench: Bench) -> None:
    bench = postgres_bench
    key = bench.huey.name
    bench.consumer("process", 1)
    result = bench.tasks.book(key, 60)

    bench.await_state(result, "running")
    eventually(lambda: bench.job(result).progress is not None)
    result.cancel()

    bench.await_state(result, "cancelled")
    assert booked(bench, key) == []


def test_on_sqlite_others_wait_for_a_long_transactional_job_and_nobody_takes_it_over(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    key = bench.huey.name
    bench.consumer("process", 2, heartbeat=0.5, lease=1)
    bench.consumer("thread", 2, heartbeat=0.5, lease=1)
    result = bench.tasks.book(key, 1.5)
    bench.await_run("began", key)

    others = [bench.tasks.note(f"other-{number}") for number in range(4)]

    job = bench.await_state(result, "succeeded")
    for other in others:
        bench.await_state(other, "succeeded")
    assert (job.crashes, len(bench.runs("began", key)), booked(bench, key)) == (0, 1, [key])
    eventually(lambda: "kept everybody else from writing" in bench.logs())
    assert "cannot be reached" not in bench.logs()


def test_on_sqlite_the_other_greenlets_wait_without_keeping_a_transactional_job_from_its_end(
    sqlite_bench: Bench,
) -> None:
    bench = sqlite_bench
    key = bench.huey.name
    bench.consumer("greenlet", 2)
    result = bench.tasks.book(key, 1.0)
    bench.await_run("began", key)

    other = bench.tasks.note("other")

    bench.await_state(result, "succeeded")
    bench.await_state(other, "succeeded")


def test_a_storm_of_kills_never_leaves_a_row_without_its_job_or_a_job_without_its_row(bench: Bench, long: bool) -> None:
    kills, jobs = (200, 2000) if long else (8, 200)
    key = bench.huey.name
    consumer = bench.consumer("process", 2, max_crashes=1000)
    results = {f"{key}-{number}": bench.tasks.book(f"{key}-{number}", 0.002) for number in range(jobs)}

    for _ in range(kills):
        count = len(bench.runs("began")) + random.randrange(10)
        eventually(lambda: len(bench.runs("began")) >= min(count, jobs), 30)  # noqa: B023
        for pid in consumer.worker_pids()[:1]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    bench.await_all("succeeded", jobs, 300)
    ended: list[Job] = [bench.job(result) for result in results.values()]
    assert sorted(booked(bench, key)) == sorted(results)
    for job in ended:
        assert [attempt.outcome for attempt in job.attempts if attempt.outcome != "crashed"] == ["succeeded"]
