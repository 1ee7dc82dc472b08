"""Timeouts of process workers and greenlets stop the code, whatever it waits for."""

from __future__ import annotations

import pytest

from tests.consumers import Bench


@pytest.mark.parametrize("kind", ["process", pytest.param("greenlet", marks=pytest.mark.long)])
def test_a_timeout_stops_the_code(bench: Bench, kind: str) -> None:
    bench.consumer(kind, 1)
    result = bench.tasks.oversleep_always("asleep")

    job = bench.await_state(result, "failed")

    assert [attempt.outcome for attempt in job.attempts] == ["timed out"]
    assert "TaskTimeout" in str(job.error)
    duration = job.attempts[0].duration
    assert duration is not None and 1 <= duration < 5


@pytest.mark.parametrize("kind", ["process", "greenlet"])
def test_a_job_that_timed_out_is_tried_again(bench: Bench, kind: str) -> None:
    bench.consumer(kind, 1)

    result = bench.tasks.oversleep("asleep")
    after = bench.tasks.note("after")

    job = bench.await_state(result, "succeeded")
    assert [attempt.outcome for attempt in job.attempts] == ["timed out", "succeeded"]
    assert (job.result, job.crashes) == ("asleep", 0)
    bench.await_state(after, "succeeded")
