"""What a job costs, counted in function calls, not in seconds: they are the same on every machine."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest

from nephew import Nephew
from nephew.lane import Lane

#: Calls of functions in Python, each job's share of its batch's included: 61, 71 and 3.4 when this was written.
PER_RUN, PER_CALL, PER_MAPPED_CALL = 66, 74, 5
#: How many jobs are counted; the difference of two counts leaves out what is once for all.
FEW, MANY = 200, 600


@pytest.fixture
def huey() -> Iterator[Nephew]:
    huey = Nephew("calls", "memory://")
    huey.backend.migrate()
    yield huey
    huey.sign_off()
    huey.backend.close()


def calls(step: Callable[[], Any]) -> int:
    """How many functions of Python are called by a step."""
    found: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: Any) -> None:
        found[event] += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        step()
    finally:
        sys.setprofile(before)
    return found["call"]


def each(step: Callable[[int], Any]) -> float:
    """How many calls one more job costs."""
    return (calls(lambda: step(MANY)) - calls(lambda: step(FEW))) / (MANY - FEW)


def test_running_a_job_takes_few_calls(huey: Nephew):
    noop = huey.task(name="noop")(lambda number: None)
    lane = Lane(huey.worker)

    def drain(count: int) -> None:
        for _ in range(count):
            claimed = lane.next()
            assert claimed is not None
            lane.run(claimed)

    noop.map(range(FEW))
    drain(FEW)  # the hands have grown
    noop.map(range(FEW + MANY))
    cost = each(drain)
    lane.close()

    assert cost <= PER_RUN


def test_enqueueing_a_job_takes_few_calls(huey: Nephew):
    noop = huey.task(name="noop")(lambda number: None)
    noop(0)

    assert each(lambda count: [noop(number) for number in range(count)]) <= PER_CALL
    assert each(lambda count: noop.map(range(count))) <= PER_MAPPED_CALL
