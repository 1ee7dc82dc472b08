"""Running jobs are stopped: by their timeout, and by a cancel from another process."""

from __future__ import annotations

import time

import pytest
from huey.exceptions import TaskException

from nephew.errors import JobEnded
from tests.consumers import Bench

Cell = tuple[Bench, str]


def test_a_running_job_is_cancelled_from_another_process(cell: Cell) -> None:
    bench, kind = cell
    bench.consumer(kind, 1)
    first, following = bench.huey.enqueue(bench.tasks.spin.s("long", 60).then(bench.tasks.follow, "after"))
    next_one = bench.tasks.note("next")
    bench.await_run("began", "long")

    asked = time.monotonic()
    told = first.cancel()

    job = bench.await_state(first, "cancelled")
    assert told
    assert time.monotonic() - asked < 5
    bench.await_run("tidied", "long")
    bench.await_state(following, "cancelled")
    bench.await_state(next_one, "succeeded")
    assert [attempt.outcome for attempt in job.attempts] == ["cancelled"]
    assert (job.reason, job.result, job.error) == ("cancelled by request", None, None)
    assert bench.runs("ended", "long") == bench.runs("followed") == []
    with pytest.raises(JobEnded, match="cancelled by request"):
        first.get(blocking=True, timeout=5)
    assert not first.cancel()


def test_a_timeout_stops_the_code_of_a_thread(bench: Bench) -> None:
    bench.consumer("thread", 2)
    others = [bench.tasks.spin(f"other-{number}", 2.5) for number in range(1)]

    late = bench.tasks.spin_too_long("late")

    job = bench.await_state(late, "failed")
    assert [attempt.outcome for attempt in job.attempts] == ["timed out"]
    duration = job.attempts[0].duration
    assert duration is not None and 1 <= duration < 3
    with pytest.raises(TaskException, match=r"TaskTimeout\('timeout \(1s\)'\)"):
        late.get(blocking=True, timeout=5)
    for other in others:
        bench.await_state(other, "succeeded")


def test_a_function_that_swallows_the_exception_is_told_again_and_ends_cancelled(cell: Cell) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 1)
    result = bench.tasks.swallow("deaf", 2)
    bench.await_run("began", "deaf")

    assert result.cancel()

    bench.await_state(result, "cancelled")
    assert len(bench.runs("swallowed", "deaf")) == 2
    assert bench.job(result).result is None
    assert "was told to stop and goes on; it is told again" in consumer.log()


def test_a_function_can_ask_whether_it_was_cancelled(cell: Cell) -> None:
    bench, kind = cell
    bench.consumer(kind, 1)
    result = bench.tasks.ask("polite")
    bench.await_run("began", "polite")

    result.cancel()

    bench.await_state(result, "cancelled")
    assert len(bench.runs("heard", "polite")) == 1


def test_a_job_that_waits_in_a_call_of_c_is_cancelled_at_once_or_when_that_returns(cell: Cell) -> None:
    bench, kind = cell
    bench.consumer(kind, 1)
    result = bench.tasks.spell("asleep", 3)
    began = bench.await_run("began", "asleep")

    result.cancel()

    job = bench.await_state(result, "cancelled")
    took = job.finished_at.timestamp() - began.at
    assert took < 2.5 if kind != "thread" else 2.5 < took < 5
    assert bench.runs("ended", "asleep") == []


def test_what_may_run_at_most_once_is_recorded_as_lost_when_its_worker_dies(cell: Cell) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 1)
    first, following = bench.huey.enqueue(bench.tasks.die_once.s("doomed").then(bench.tasks.follow, "after"))
    bench.await_run("began", "doomed")
    if kind != "process":
        consumer.wait()
        bench.consumer(kind, 1)

    job = bench.await_state(first, "failed")

    bench.await_state(following, "cancelled")
    assert [attempt.outcome for attempt in job.attempts] == ["lost"]
    assert job.attempts[0].started_at is not None
    assert "may be begun only once: whether it was done is not known" in str(job.reason)
    death = job.attempts[0].death
    assert death is not None
    assert death.signal == "SIGKILL" if kind == "process" else death.last_seen is not None
    assert len(bench.runs("began", "doomed")) == 1
    bench.await_state(bench.tasks.once("fine"), "succeeded")


def test_what_may_run_at_most_once_is_lost_when_a_shutdown_cuts_it_off(cell: Cell) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 1, "-t", "1")
    result = bench.tasks.once("cut", 30)
    bench.await_run("began", "cut")

    consumer.stop()

    job = bench.await_state(result, "failed")
    assert [attempt.outcome for attempt in job.attempts] == ["lost"]
    assert len(bench.runs("began", "cut")) == 1


def test_what_may_run_at_most_once_is_cancelled_like_any_other(cell: Cell) -> None:
    bench, kind = cell
    bench.consumer(kind, 1)
    result = bench.tasks.once("long", 30)
    bench.await_run("began", "long")

    result.cancel()

    job = bench.await_state(result, "cancelled")
    assert [attempt.outcome for attempt in job.attempts] == ["cancelled"]
    assert bench.runs("ended", "long") == []


def test_what_a_shutdown_interrupts_may_tidy_up_and_goes_back(cell: Cell) -> None:
    bench, kind = cell
    consumer = bench.consumer(kind, 1, "-t", "1")
    result = bench.tasks.spin("cut", 60)
    bench.await_run("began", "cut")

    consumer.stop()

    assert len(bench.runs("tidied", "cut")) == 1
    assert bench.runs("ended", "cut") == []
    assert (bench.job(result).state, bench.job(result).attempts) == ("queued", ())
    result.cancel()
