"""What must not be drawn into another's trouble: jobs beside a suspect, a worker whose hook exits, a first call."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from nephew import Nephew, lane
from nephew.backends.records import Died
from nephew.lane import Lane
from nephew.worker import Worker
from tests.contract.conftest import Work
from tests.contract.jobs import Hand


@pytest.fixture
def worker(huey: Nephew) -> Iterator[Worker]:
    worker = Worker(huey, slots=2)
    yield worker
    worker.retire()


def suspect_of(huey: Nephew) -> str:
    """A job whose worker has died."""
    result = huey.task(name="suspect")(lambda: "ran")()
    victim = Hand(huey.backend)
    victim.dies(*victim.claim(ids=[result.id]))
    return str(result.id)


def test_while_a_suspect_runs_alone_its_siblings_claim_nothing(huey: Nephew, worker: Worker):
    result = huey.task()(lambda: None)()
    sibling = Lane(worker)

    with worker.gate.alone(0):
        taken = sibling.next()
        barred = sibling.barred
    later = sibling.next()

    assert (taken, barred) == (None, True)
    assert later is not None and later.id == result.id
    assert not sibling.barred


def test_what_a_sibling_has_in_hand_goes_back_in_order(huey: Nephew, worker: Worker):
    task = huey.task()(lambda: None)
    ids = [task().id for _ in range(3)]
    sibling = Lane(worker)
    sibling.waiting.extend(worker.claim(worker.next_claim(), 3))
    first = sibling.taken()
    assert first is not None

    with worker.gate.alone(0):
        sibling.run(first)
        elsewhere = [claimed.id for claimed in Hand(huey.backend).claim(3)]

    assert elsewhere == ids
    assert [huey.job(id).attempts for id in ids] == [()] * 3


def test_a_suspect_keeps_a_busy_process_from_work_for_a_moment_only(huey: Nephew, worker: Worker):
    job_id = suspect_of(huey)
    (suspect,) = worker.claim(worker.next_claim(), 1)

    with worker.gate.together():
        start = time.monotonic()
        Lane(worker).run(suspect)
        waited = time.monotonic() - start

    assert suspect.alone
    assert waited < 3
    assert not worker.gate.closed
    assert huey.job(job_id).state == "scheduled"


def test_a_suspect_waits_longer_each_time_that_it_waited_in_vain(
    huey: Nephew, worker: Worker, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(lane, "PATIENCE", 0.01)
    monkeypatch.setattr(lane, "LONGEST_PATIENCE", 0.5)
    job_id = suspect_of(huey)
    trying = Lane(worker)
    waits: list[float] = []

    with worker.gate.together():
        for _ in range(5):
            (suspect,) = worker.claim(worker.next_claim(), 1, ids=[job_id])
            worker.gate._open_until = 0.0
            start = time.monotonic()
            trying.run(suspect)
            waits.append(time.monotonic() - start)
    with worker.gate.alone(0) as granted:
        pass

    least = [0.01, 0.04, 0.16, 0.5, 0.5]
    assert all(waited >= wanted for waited, wanted in zip(waits, least, strict=True)), waits
    assert waits[0] < 0.16
    assert (granted, worker.gate.refused) == (True, 0)


@pytest.mark.parametrize("place", ["pre_execute", "executing"])
def test_a_hook_that_exits_before_the_job_fails_that_job(huey: Nephew, work: Work, place: str):
    def leave(*arguments: object) -> None:
        sys.exit("enough")

    if place == "executing":
        huey.signal(place)(leave)
    else:
        huey.pre_execute()(leave)
    ran: list[str] = []
    result = huey.task(name="job")(lambda: ran.append("ran"))()

    assert work(huey) == 1

    job = huey.job(result.id)
    assert (job.state, ran) == ("failed", [])
    assert "SystemExit" in job.error
    assert [attempt.outcome for attempt in job.attempts] == ["failed"]


@pytest.mark.parametrize("place", ["post_execute", "complete"])
@pytest.mark.parametrize("by_hand", [False, True])
def test_a_hook_that_exits_after_the_job_changes_nothing(huey: Nephew, work: Work, place: str, by_hand: bool):
    def leave(*arguments: object) -> None:
        sys.exit("enough")

    if place == "complete":
        huey.signal(place)(leave)
    else:
        huey.post_execute()(leave)
    task = huey.task(name="job")(lambda number: number)
    results = [task(1), task(2)]

    if by_hand:
        values = [huey.execute(huey.dequeue()) for _ in results]
        assert values == [1, 2]
    else:
        assert work(huey) == 2

    assert [result.get() for result in results] == [1, 2]


@pytest.mark.parametrize("call", ["cancel", "dequeue", "execute"])
def test_a_process_that_was_taken_for_dead_is_answered_rightly_the_first_time(huey: Nephew, call: str):
    task = huey.task(name="job")(lambda: "ran")
    number = huey.worker.number
    result = task()
    Hand(huey.backend).is_reaped(Died(number, {}, "cut off", False))

    if call == "cancel":
        assert huey.cancel(result.id)
        assert result.state == "cancelled"
    elif call == "dequeue":
        assert huey.dequeue().id == result.id
    else:
        assert huey.execute(task.s()) == "ran"
