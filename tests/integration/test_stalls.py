"""Processes that stop and go on: SIGSTOP past the lease, and C calls during which nothing else runs."""

from __future__ import annotations

import os
import re
import signal
from typing import Any

from huey.api import chord

from tests.consumers import Bench, Consumer
from tests.eventually import eventually
from tests.failpoints import Failpoints

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
    eventually(lambda: late_ends(consumer, call) == ["succeeded"])
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


def test_a_stalled_worker_that_dies_while_it_is_struck_off_leaves_no_file(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    points = Failpoints(bench.folder / "points")
    stalled = bench.consumer("thread", 1, **SHORT)
    (file,) = bench.run_dir.iterdir()
    bench.consumer("thread", 1, **SHORT, environment=points.variables)
    points.hold("reaped")
    stalled.send(signal.SIGSTOP)
    points.await_held("reaped")

    stalled.kill()
    points.let_go("reaped")

    eventually(lambda: not file.exists())


def test_nothing_that_a_stopped_consumer_brings_later_counts(cell: tuple[Bench, str]) -> None:
    """Another has taken over its jobs: its results, failures, follow-ups, chord members and unique keys are void."""
    bench, kind = cell
    stall, follow, gather = bench.tasks.stall, bench.tasks.follow, bench.tasks.gather
    first = bench.consumer(kind, 5, **SHORT, environment={"TEST_FAILS": "1"})
    step = stall.s("step").then(follow, "step")
    members = [stall.s(key) for key in ("member", "fails-member")]
    bench.huey.enqueue(step)
    callback = bench.huey.enqueue(chord(members, gather.s())).callback
    results = [stall("passes"), stall("fails"), step, *members]
    for result in results:
        bench.await_state(result, "running")  # nobody is in the middle of a write

    first.send_group(signal.SIGSTOP)
    second = bench.consumer(kind, 5, **SHORT, ready=False)
    bench.await_all("succeeded", 7)
    replaced = [bench.job(result) for result in results]
    waiting = stall.schedule(("passes",), delay=600)
    first.send_group(signal.SIGCONT)

    late = [["succeeded"], ["queued"], ["succeeded"], ["succeeded"], ["queued"]]
    eventually(lambda: [late_ends(first, result) for result in results] == late)
    assert [bench.job(result) for result in results] == replaced
    assert {job.result for job in replaced} <= set(second.group())
    assert all([attempt.outcome for attempt in job.attempts] == ["succeeded"] for job in replaced)
    assert bench.job(callback).result == [replaced[3].result, replaced[4].result]
    assert stall("passes").id == waiting.id
    assert waiting.cancel()
    bench.await_state(bench.tasks.note("later"), "succeeded")
    assert (len(bench.runs("ended")), len(bench.runs("followed")), len(bench.runs("ran", "gather"))) == (10, 1, 1)
    assert bench.huey.backend.counts() == {"succeeded": 8, "cancelled": 1}


def late_ends(consumer: Consumer, job: Any) -> list[str]:
    """What a consumer has brought too late, as its log tells with its claim and the one that replaced it."""
    line = rf"Job {job.id} ended as (\w+), but its claim \d+ had been taken over by claim \d+ of worker \d+"
    return re.findall(line, consumer.log())


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
