"""Ends that the store does not take, ends that come twice, replies that are lost, interruptions inside a step."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator

import pytest
from huey.api import chord
from huey.exceptions import TaskTimeout

from nephew import Nephew
from nephew.endings import Finished, given_back
from nephew.errors import JobCancelled
from nephew.shield import Shield, my_shield
from nephew.stops import by_exception
from tests.contract.jobs import succeeded


def test_an_end_that_the_store_refuses_fails_its_job_and_holds_up_no_other(huey: Nephew):
    ran = []
    worker = huey.worker

    @huey.task()
    def short(number: int) -> int:
        ran.append(number)
        return number

    results = [short(number) for number in range(3)]
    claims = worker.claim(worker.next_claim(), 3)
    ends = [succeeded(claimed) for claimed in claims]
    ends[1] = ends[1]._replace(reason="x", finished_at="no number, and no database makes one of it\ud800")
    entries = [worker.ledger.add(Finished(end)) for end in ends]
    worker.ledger.flush()

    states = [str(huey.job(result.id).state) for result in results]
    assert states[0] == states[2] == "succeeded"
    assert all(entry.settled for entry in entries)
    assert len(worker.ledger) == 0


def test_a_claim_that_is_ended_and_given_back_at_once_ends_once(huey: Nephew):
    @huey.task()
    def job() -> str:
        return "done"

    result = job()
    worker = huey.worker
    (claimed,) = worker.claim(worker.next_claim(), 1)
    first = worker.ledger.add(Finished(succeeded(claimed)))
    second = worker.ledger.add(Finished(given_back(claimed)))

    worker.ledger.flush()

    assert (first.lost, second.lost) == (False, True)
    assert huey.job(result.id).state == "succeeded"
    assert huey.dequeue() is None


def test_steps_of_pipelines_and_members_of_chords_are_not_subject_to_uniqueness(huey: Nephew):
    @huey.task(unique=True)
    def one(number: int) -> int:
        return number

    @huey.task()
    def five() -> int:
        return 5

    @huey.task(unique=True)
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    one.schedule((5,), delay=1000)
    first, second, third = huey.enqueue(five.s().then(one).then(one))
    summed = huey.enqueue(chord([one.s(1), one.s(1), one.s(2)], total.s()))
    while (task := huey.dequeue()) is not None:
        huey.execute(task)

    assert [handle.get() for handle in (first, second, third)] == [5, 5, 5]
    assert summed.get() == 4


def test_a_long_unique_key_is_kept(huey: Nephew):
    @huey.task(unique=lambda key: key)
    def job(key: str) -> None: ...

    key = "".join(chr(33 + (number * 7) % 90) for number in range(9000))

    assert (job(key).duplicate, job(key).duplicate) == (False, True)


def test_what_strikes_inside_a_step_is_raised_when_the_step_has_ended():
    shield, steps = Shield(), []

    def code(_: object) -> None:
        with shield:
            with shield:
                shield.strike(TaskTimeout("now"))
                steps.append("inner")
            steps.append("outer")
        steps.append("after")

    with pytest.raises(TaskTimeout):
        shield.expose(object(), code)

    assert steps == ["inner", "outer"]
    shield.strike(TaskTimeout("the engine's own code is not struck"))


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Hypothesis has the garbage collector call Python code; what strikes in there is lost, as in any finalizer."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_collection")
def test_a_thread_is_struck_only_while_it_runs_the_job_that_was_meant():
    stop = by_exception()
    job, other = object(), object()
    struck: list[object] = []

    def code(_: object) -> int:
        count = 0
        for _ in range(100_000):
            count += 1
        return count

    enough = threading.Event()

    def strike_all() -> None:
        while not enough.wait(0.0005):  # a lock is not fair: without a pause the other thread would hardly get it
            stop(other, TaskTimeout("meant for another"))
            stop(job, JobCancelled("meant for this one"))

    striker = threading.Thread(target=strike_all)
    striker.start()
    try:
        while len(struck) < 100:
            try:
                my_shield().expose(job, code)
            except JobCancelled as error:
                struck.append(error)
    finally:
        enough.set()
        striker.join()

    assert my_shield().exposed is None


def test_what_strikes_a_job_while_it_runs_another_by_hand_is_raised_after_that_one(huey: Nephew):
    seen: list[str] = []
    job = object()
    stop = by_exception()

    def strike() -> None:
        striker = threading.Thread(target=stop, args=(job, JobCancelled("now")))
        striker.start()
        striker.join()

    @huey.task()
    def other() -> str:
        strike()
        return "done"

    def code(_: object) -> None:
        result = other()
        try:
            huey.execute(huey.dequeue())
        finally:
            seen.append(str(result.state))
        seen.append("after")

    def later(_: object) -> None:
        other_result = other()
        huey.execute(huey.dequeue())
        seen.append(str(other_result.state))

    with pytest.raises(JobCancelled):
        my_shield().expose(job, code)
    my_shield().expose(object(), later)

    assert seen == ["succeeded", "succeeded"]
    assert my_shield().exposed is None
