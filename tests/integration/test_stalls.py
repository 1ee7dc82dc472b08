"""Processes that stop and go on: SIGSTOP past the lease, and C calls during which nothing else runs."""

from __future__ import annotations

import os
import signal

from tests.consumers import Bench
from tests.eventually import eventually

#: A short lease; the heartbeat shows a worker whose own threads cannot run.
SHORT = {"lease": 1.2, "heartbeat": 0.3, "reaper": 0.3}


def test_a_stopped_workers_jobs_are_taken_over_and_its_late_end_is_dropped(bench: Bench) -> None:
    consumer = bench.consumer("process", 2, **SHORT)
    call = bench.tasks.spell.s("stalled", 0.5).then(bench.tasks.follow, "stalled")
    bench.huey.enqueue(call)
    first = bench.await_run("began", "stalled")

    os.kill(first.pid, signal.SIGSTOP)
    second = bench.await_run("ended", "stalled")
    os.kill(first.pid, signal.SIGCONT)

    assert second.pid != first.pid
    bench.await_run("ended", "stalled", 2)
    eventually(lambda: "had been taken over" in consumer.log())
    job = bench.await_state(call, "succeeded")
    assert (job.crashes, [attempt.outcome for attempt in job.attempts]) == (0, ["succeeded"])
    assert str(second.pid) in str(job.worker)
    bench.await_all("succeeded", 2)
    assert len(bench.runs("followed")) == 1


def test_a_worker_that_was_given_up_works_again_when_it_goes_on(sqlite_bench: Bench) -> None:
    """It was struck off while it was stopped: what it claims now must be settled, and not be stranded."""
    bench = sqlite_bench
    consumer = bench.consumer("process", 1, **SHORT)
    result = bench.tasks.spell("stalled", 0.2)
    (pid,) = consumer.worker_pids()
    bench.await_run("began", "stalled")
    os.kill(pid, signal.SIGSTOP)
    eventually(lambda: "has been stopped" in consumer.log(), 20)

    os.kill(pid, signal.SIGCONT)

    bench.await_state(result, "succeeded")
    later = [bench.tasks.note(f"later-{number}") for number in range(20)]
    for handle in later:
        bench.await_state(handle, "succeeded")
    assert len(bench.runs("ran")) == 20
    eventually(lambda: consumer.worker_pids() == [pid])


def test_a_stopped_consumer_is_taken_over_by_another(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    first = bench.consumer(kind, 1, **SHORT)
    result = bench.tasks.spell("stalled", 0.5)
    bench.await_run("began", "stalled")

    first.send_group(signal.SIGSTOP)
    bench.consumer(kind, 1, **SHORT, ready=False)
    bench.await_state(result, "succeeded")
    first.send_group(signal.SIGCONT)

    bench.await_run("ended", "stalled", 2)
    eventually(lambda: "had been taken over" in first.log())
    job = bench.job(result)
    assert (job.crashes, [attempt.outcome for attempt in job.attempts]) == (0, ["succeeded"])
    results = [bench.tasks.spell(f"later-{number}", 0.05) for number in range(20)]
    for handle in results:
        bench.await_state(handle, "succeeded")
    assert len(bench.runs("ended")) == 22


def test_a_job_inside_one_c_call_longer_than_its_lease_runs_once(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    bench.consumer(kind, 1, **SHORT)
    result = bench.tasks.hold("hold", 2.6)
    began = bench.await_run("began", "hold")
    bench.consumer(kind, 1, **SHORT)

    ended = bench.await_run("ended", "hold", timeout=90)

    assert ended.at - began.at > 1.5, "the call was shorter than the lease"
    job = bench.await_state(result, "succeeded")
    assert (len(bench.runs("began", "hold")), job.crashes) == (1, 0)
