"""Jobs whose arguments do not fit their function, which has changed since they were stored, or not yet."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from huey.api import Task as HueyTask
from huey.api import chord
from huey.exceptions import TaskException

from nephew import Nephew
from nephew.current import Running
from nephew.errors import JobEnded
from nephew.job import Job, State
from nephew.middleware import Run
from tests.contract.conftest import Work
from tests.places import DATABASES, on

Make = Callable[..., Nephew]

database_url = on(*DATABASES)


def parked(huey: Nephew, work: Work, job_id: str) -> Job:
    """The record of a job that was tried here and parked."""
    work(huey)
    job = huey.job(job_id)
    assert job is not None and job.state == State.PARKED
    return job


def test_the_job_is_parked_uncounted_with_what_was_expected_and_what_came(make_huey: Make, work: Work):
    old, new = make_huey(), make_huey()
    new.task(name="send", retries=2)(lambda to, subject, copy=None: f"{to}: {subject}")
    result = old.task(name="send", retries=2, redact="password")(lambda to, password: None)("Ada", password="secret")

    job = parked(new, work, result.id)

    assert (job.attempts, job.kwargs) == ((), {"password": "[redacted]"})
    assert job.reason == (
        "UnfitArguments: expected send(to, subject, copy=None), got 1 by place and by name password"
        " (missing a required argument: 'subject')"
    )
    with pytest.raises(JobEnded, match="it is parked"):
        result.get(blocking=True, timeout=0)


def test_it_is_released_by_whoever_takes_its_arguments_and_by_nobody_else(make_huey: Make, work: Work):
    old, new, other = make_huey(), make_huey(), make_huey()
    old.task(name="send")(lambda to: f"to {to}")
    other.task(name="send")(lambda: None)
    result = new.task(name="send")(lambda to, subject: f"{subject} to {to}")("Ada", "Hello")
    parked(old, work, result.id)

    released = [huey.unpark_known() for huey in (old, other, new, new)]
    work(new)

    assert released == [0, 0, 1, 0]
    assert result.get() == "Hello to Ada"


def test_a_function_that_was_entered_has_failed(huey: Nephew, work: Work):
    def helper(value: int) -> int:
        return value

    def again(value: int, depth: int = 0) -> None:
        again(*[1] * depth * 3)

    tasks = [
        huey.task(name="wrong")(lambda value: value + "text"),
        huey.task(name="inner")(lambda value: helper(value, value)),  # type: ignore[call-arg]
        huey.task(name="again")(lambda value: again(value, 1)),
    ]
    again_itself = huey.task(name="itself")(again)
    results = [task(1) for task in tasks] + [again_itself(1, 1)]

    work(huey)

    assert [result.state for result in results] == [State.FAILED] * 4


@pytest.mark.parametrize("timeout", [None, 60])
def test_a_task_class_of_ones_own_fails_with_its_error_and_is_tried_again(
    huey: Nephew, work: Work, timeout: float | None
):
    tries: list[int] = []

    class Own(HueyTask):
        def execute(self) -> str:
            tries.append(1)
            if len(tries) == 1:
                raise TypeError("Own() is not ready")
            return "ran"

    huey._registry.register(Own)
    result = huey.enqueue(Own(retries=1, timeout=timeout))

    work(huey)

    assert result.get() == "ran"
    assert huey.job(result.id).attempts[0].error == "TypeError('Own() is not ready')"


def test_what_is_around_the_function_makes_no_difference(make_huey: Make, work: Work):
    def outermost(job: Running, call_next: Run) -> object:
        return call_next(job)

    huey = make_huey(middleware=[outermost])
    lock = huey.lock("one at a time")
    locked = huey.task(name="locked")(lock(lambda value: value))
    timed = huey.task(name="timed", timeout=10)(lambda value: value)
    told = huey.task(name="told", context=True)(lambda value, task: value)
    results = [task(1, 2) for task in (locked, timed, told)] + [told(1)]

    work(huey)

    assert [result.state for result in results] == [State.PARKED] * 3 + [State.SUCCEEDED]
    assert not huey.backend.locks()


def test_a_job_that_may_begin_only_once_has_not_begun(make_huey: Make, work: Work):
    old, new = make_huey(), make_huey()
    old.task(name="dial", at_most_once=True)(lambda: None)
    result = new.task(name="dial", at_most_once=True)(lambda number: f"dialled {number}")(42)
    parked(old, work, result.id)

    new.unpark_known()
    work(new)

    assert (result.get(), len(new.job(result.id).attempts)) == ("dialled 42", 1)


def test_a_transactional_job_is_parked_as_well(database_url: str, make_huey: Make, work: Work):
    old, new = make_huey(url=database_url), make_huey(url=database_url)
    old.task(name="book", transactional=True)(lambda: None)
    result = new.task(name="book", transactional=True)(lambda seat: f"seat {seat}")(7)
    parked(old, work, result.id)

    new.unpark_known()
    work(new)

    assert result.get() == "seat 7"


def test_a_chords_callback_is_given_its_values_once_somebody_takes_them(make_huey: Make, work: Work):
    old, new = make_huey(), make_huey()
    for huey in (old, new):
        huey.task(name="member")(lambda value: value)
    old.task(name="total")(lambda: None)
    total = new.task(name="total")(lambda values, label: f"{label} {sum(values)}")
    member = new._registry.string_to_task(f"{__name__}.member")
    called = new.enqueue(chord([member((1,)), member((2,))], total.s(label="makes")))
    parked(old, work, called.callback.id)

    released = old.unpark_known(), new.unpark_known()
    work(new)

    assert released == (0, 1)
    assert called.callback.get() == "makes 3"


def test_a_retry_that_no_longer_fits_keeps_the_retries_it_has(make_huey: Make, work: Work):
    old, new = make_huey(), make_huey()
    tries: list[int] = []

    def send(to: str) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ConnectionError(to)
        return f"to {to}"

    result = old.task(name="send", retries=1)(send)("Ada")
    old.execute(old.dequeue())
    new.task(name="send", retries=1)(lambda to, subject: None)
    job = parked(new, work, result.id)

    old.unpark_known()
    work(old)

    assert [attempt.outcome for attempt in job.attempts] == ["failed"]
    assert (result.get(), len(tries)) == ("to Ada", 2)


def test_without_a_consumer_that_could_take_it_the_call_fails(url: str, name: str):
    huey = Nephew(name, url, immediate=True)

    result = huey.task()(lambda value: value)()  # type: ignore[call-arg]

    with pytest.raises(TaskException, match="missing 1 required positional argument"):
        result.get()
