"""SIGTERM, SIGINT and SIGHUP: running jobs may finish, the others go back uncounted and in order."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.consumers import Bench
from tests.eventually import eventually


@pytest.mark.parametrize(
    "signum",
    [
        pytest.param(signal.SIGINT, id="SIGINT"),
        # The next test sends it to the consumer and its workers, and every other one when it is over.
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.long),
    ],
)
def test_the_drain_lets_the_running_job_finish(cell: tuple[Bench, str], signum: int) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 1)
    running = bench.tasks.spell("running", 0.5)
    bench.await_run("began", "running")
    waiting = bench.tasks.note("waiting")

    assert consumer.stop(signum) == 0

    assert bench.job(running).state == "succeeded"
    assert bench.job(waiting).state == "queued"
    assert not bench.runs("ran", "waiting")
    assert bench.job(waiting).attempts == ()


def test_a_signal_to_the_whole_process_group_does_not_make_children_claim_again(
    cell: tuple[Bench, str],
) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 2)
    running = [bench.tasks.spell(f"running-{number}", 0.5) for number in range(2)]
    for number in range(2):
        bench.await_run("began", f"running-{number}")
    waiting = [bench.tasks.note(f"waiting-{number}") for number in range(20)]

    consumer.send_group(signal.SIGTERM)

    assert consumer.wait() == 0
    assert [bench.job(result).state for result in running] == ["succeeded"] * 2
    assert {bench.job(result).state for result in waiting} == {"queued"}
    assert not bench.runs("ran")


def test_a_hail_of_signals_ends_it_at_once_and_in_order(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    consumer = bench.consumer("process", 1)
    long = bench.tasks.spell("long", 30)
    bench.await_run("began", "long")

    for _ in range(200):
        consumer.send(signal.SIGINT)
        consumer.send(signal.SIGTERM)

    assert consumer.wait(7) == 0
    assert (bench.job(long).state, bench.job(long).crashes) == ("queued", 0)


def test_what_a_worker_held_that_is_killed_in_the_drain_goes_back_at_once(bench: Bench) -> None:
    consumer = bench.consumer("process", 1)
    long = bench.tasks.spell("long", 30)
    worker = bench.await_run("began", "long").pid
    consumer.send(signal.SIGTERM)
    eventually(lambda: "Shutting down" in consumer.log())

    os.kill(worker, signal.SIGKILL)

    assert consumer.wait() == 0
    job = bench.job(long)
    assert (job.state, job.crashes, bench.claimed(), bench.huey.backend.workers()) == ("queued", 1, 0, [])


def test_a_job_that_outlasts_the_drain_goes_back_uncounted(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 1, "-t", "1")
    long = bench.tasks.spell("long", 30)
    bench.await_run("began", "long")

    asked = time.monotonic()
    assert consumer.stop() == 0
    took = time.monotonic() - asked

    assert 0.9 < took < 10
    assert not bench.runs("ended", "long")
    job = bench.job(long)
    assert (job.state, job.attempts, job.crashes, job.started_at) == ("queued", (), 0, None)


@pytest.mark.parametrize(
    "signals",
    [
        pytest.param((signal.SIGTERM, signal.SIGINT), id="SIGTERM-SIGINT"),
        pytest.param((signal.SIGINT, signal.SIGINT), id="SIGINT-SIGINT", marks=pytest.mark.long),
    ],
)
def test_a_second_signal_ends_it_at_once(cell: tuple[Bench, str], signals: tuple[int, int]) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 2, "-t", "60")
    long = bench.tasks.spell("long", 60)
    bench.await_run("began", "long")

    consumer.send(signals[0])
    eventually(lambda: "Shutting down" in consumer.log())
    asked = time.monotonic()
    consumer.send(signals[1])

    assert consumer.wait() == 0
    assert time.monotonic() - asked < 10
    job = bench.job(long)
    assert (job.state, job.attempts, job.crashes) == ("queued", (), 0)


def test_what_was_claimed_ahead_goes_back_in_order(bench: Bench) -> None:
    """Short jobs are claimed many at once; the long one among them is what the shutdown finds running."""
    consumer = bench.consumer("process", 1, "-t", "0.5")
    for number in range(200):
        bench.tasks.note(f"warm-{number}")
    bench.await_all("succeeded", 200)
    calls = [bench.tasks.spell.s("long", 30), *(bench.tasks.note.s(f"waiting-{n}") for n in range(30))]
    bench.huey.enqueue_many(calls)
    bench.await_run("began", "long")

    assert consumer.stop() == 0
    assert [bench.job(call).attempts for call in calls] == [()] * 31

    bench.tasks.note("last")
    bench.huey.cancel(calls[0].id)
    bench.consumer("process", 1)
    bench.await_run("ran", "last")
    ran = [run.key for run in bench.runs("ran") if not run.key.startswith("warm")]
    assert ran == [*(f"waiting-{number}" for number in range(30)), "last"]


def test_a_drained_consumer_and_its_successor_lose_nothing(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    results = [bench.tasks.spell(f"job-{number}", 0.01) for number in range(120)]
    first = bench.consumer(kind, 2)
    eventually(lambda: len(bench.runs("began")) >= 20)

    assert first.stop() == 0
    assert bench.claimed() == 0
    bench.consumer(kind, 2)
    bench.await_all("succeeded", 120)

    assert len(bench.runs("began")) == len(bench.runs("ended")) == len(results)


def test_sighup_starts_it_anew_with_the_same_process_id(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 2)
    pid = consumer.pid
    old = {row.incarnation for row in bench.huey.backend.workers()}
    running = bench.tasks.spell("running", 0.5)
    bench.await_run("began", "running")

    consumer.send(signal.SIGHUP)
    waiting = [bench.tasks.spell(f"waiting-{number}", 0.01) for number in range(20)]
    eventually(lambda: consumer.log().count("Nephew ") >= 2, 30)
    bench.await_all("succeeded", 21)

    consumer.await_ready()
    assert consumer.is_running() and consumer.pid == pid
    assert bench.job(running).state == "succeeded"
    assert {bench.job(result).state for result in waiting} == {"succeeded"}
    assert len(bench.runs("began")) == 21
    assert not old & {row.incarnation for row in bench.huey.backend.workers()}
    assert bench.claimed() == 0


def test_sighup_with_a_job_that_outlasts_the_drain_strands_nothing(cell: tuple[Bench, str]) -> None:
    """The new incarnation has the process id and the start time of the old one, whose claim is not its own."""
    bench, kind = cell
    consumer = bench.consumer(kind, 1, "-t", "0.3")
    long = bench.tasks.spell("long", 0.8)
    bench.await_run("began", "long")

    consumer.send(signal.SIGHUP)

    bench.await_run("began", "long", 2)
    job = bench.await_state(long, "succeeded")
    assert [attempt.outcome for attempt in job.attempts] == ["succeeded"]
    assert len(bench.runs("ended", "long")) == 1
    assert os.path.exists(f"/proc/{consumer.pid}")
