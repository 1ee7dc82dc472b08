"""What a prototype of this design fell into, each trap with a test."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.consumers import Bench
from tests.eventually import eventually
from tests.servers import PostgresServer


def test_a_retry_goes_to_the_back_of_the_queue(bench: Bench) -> None:
    retried = bench.tasks.fail_first.s("retried", 1)
    bench.huey.enqueue_many([retried, *(bench.tasks.note.s(f"other-{number}") for number in range(5))])

    bench.consumer("thread", 1)

    job = bench.await_state(retried, "succeeded")
    assert [attempt.outcome for attempt in job.attempts] == ["failed", "succeeded"]
    order = [run.key for run in bench.runs("ran")]
    assert order == ["retried", *(f"other-{number}" for number in range(5)), "retried"]


def test_each_attempt_has_an_error_handler_of_its_own(bench: Bench) -> None:
    """Huey's error handlers of several attempts would share one id, and all but one be swallowed."""
    bench.huey.store_intermediate_errors = True
    bench.consumer("process", 2, environment={"TEST_STORE_ERRORS": "1"})

    call = bench.tasks.fail.s("failing").error(bench.tasks.handle, "failing")
    bench.huey.enqueue(call)

    job = bench.await_state(call, "failed")
    assert [attempt.outcome for attempt in job.attempts] == ["failed"] * 3
    eventually(lambda: len(bench.runs("handled")) == 3)
    assert sorted(run.key for run in bench.runs("handled")) == [
        f"failing_fails_in_attempt_{attempt}" for attempt in (1, 2, 3)
    ]
    bench.await_all("succeeded", 3)


@pytest.mark.parametrize("kind", ["thread", "process", pytest.param("greenlet", marks=pytest.mark.long)])
def test_a_database_that_goes_away_loses_and_fails_nothing(
    postgres_bench: Bench, postgres: PostgresServer, kind: str
) -> None:
    bench = postgres_bench
    consumer = bench.consumer(kind, 2)
    results = [bench.tasks.spell(f"job-{number}", 0.15) for number in range(30)]
    bench.await_run("ended", "job-3")
    bench.huey.backend.close()

    postgres.stop()
    try:
        eventually(lambda: consumer.log().count("trying again") >= 2, 30)
    finally:
        postgres.start()

    bench.await_all("succeeded", 30)
    jobs = [bench.job(result) for result in results]
    assert {(job.state, job.crashes, len(job.attempts)) for job in jobs} == {("succeeded", 0, 1)}
    assert len(bench.runs("ended")) == 30, "what was settled late was run again"
    assert consumer.is_running()
    later = bench.tasks.note("later")
    bench.await_state(later, "succeeded")


def test_a_consumer_started_before_its_database_waits_for_it(postgres_bench: Bench, postgres: PostgresServer) -> None:
    bench = postgres_bench
    result = bench.tasks.note("early")
    bench.huey.backend.close()
    postgres.stop()
    try:
        consumer = bench.consumer("process", 1, ready=False)
        eventually(lambda: "trying again in 1 s" in consumer.log(), 30)
    finally:
        postgres.start()

    bench.await_state(result, "succeeded")


def test_on_sqlite_a_fork_shares_no_open_database_and_no_thread(sqlite_bench: Bench) -> None:
    """Forked at the start, and again after a worker was killed."""
    bench = sqlite_bench
    consumer = bench.consumer("process", 2, environment={"TEST_FORKS": "1"})
    result = bench.tasks.spell("victim", 0.5)
    victim = bench.await_run("began", "victim")
    os.kill(victim.pid, signal.SIGKILL)
    bench.await_state(result, "succeeded")
    eventually(lambda: len(consumer.worker_pids()) == 2)

    forks = bench.runs("fork")

    assert len(forks) == 4  # two workers, the scheduler, the replacement
    assert {fork.key for fork in forks} == {"1,0"}
    assert {fork.pid for fork in forks} == {consumer.pid}
    assert len(os.listdir(f"/proc/{consumer.pid}/task")) == 1
    links = [os.readlink(f"/proc/{consumer.pid}/fd/{n}") for n in os.listdir(f"/proc/{consumer.pid}/fd")]
    assert not [link for link in links if "nephew.db" in link]


def test_short_jobs_before_a_long_one_are_settled_while_it_runs(bench: Bench, long: bool) -> None:
    """By their age, not when the hand is empty."""
    bench.consumer("process", 1)
    for number in range(200):
        bench.tasks.note(f"warm-{number}")
    bench.await_all("succeeded", 200)

    calls = [bench.tasks.note.s(f"short-{number}") for number in range(10)]
    calls.append(bench.tasks.spell.s("long", 30))
    bench.huey.enqueue_many(calls)
    began = bench.await_run("began", "long")
    for call in calls[:-1]:
        bench.await_state(call, "succeeded")
    seen = time.time()

    assert seen - began.at < (0.5 if long else 5), "not settled by age"  # 50 ms on a quiet machine
    assert not bench.runs("ended", "long")
    bench.huey.cancel(calls[-1].id)


def test_short_jobs_behind_a_long_one_are_given_to_others_in_order(bench: Bench) -> None:
    bench.consumer("process", 1)
    for number in range(200):
        bench.tasks.note(f"warm-{number}")
    bench.await_all("succeeded", 200)

    calls = [bench.tasks.spell.s("long", 30), *(bench.tasks.note.s(f"short-{n}") for n in range(30))]
    bench.huey.enqueue_many(calls)
    bench.await_run("began", "long")
    bench.consumer("thread", 1)
    for call in calls[1:]:
        bench.await_state(call, "succeeded")

    assert not bench.runs("ended", "long")
    ran = [run.key for run in bench.runs("ran") if run.key.startswith("short")]
    assert ran == [f"short-{number}" for number in range(30)]
    bench.huey.cancel(calls[0].id)
