"""Calls that are stored together by `map`: the same as calls one by one, whatever their task wants."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from huey import signals as S
from huey.api import Task as HueyTask
from huey.serializer import Serializer

from nephew import Nephew
from nephew.errors import EncodeError

ITEMS = [1, ("two", 2), [3], (), ({"four": 4},)]


@pytest.fixture
def huey() -> Iterator[Nephew]:
    yield from opened(Nephew("mapping", "memory://", max_bytes=2000, warn_bytes=1000))


def opened(huey: Nephew) -> Iterator[Nephew]:
    huey.backend.migrate()
    yield huey
    huey.sign_off()
    huey.backend.close()


def echo(*args: Any) -> Any:
    return list(args)


def arguments(item: Any) -> tuple[Any, ...]:
    return item if isinstance(item, tuple) else (item,)


def work_off(huey: Nephew) -> None:
    while (task := huey.dequeue()) is not None:
        huey.execute(task)


def test_the_handles_of_a_mapped_task_are_those_of_its_jobs_in_order(huey: Nephew):
    results = huey.task(name="echo", expires=60)(echo).map(ITEMS)

    assert len(results) == len(ITEMS)
    assert [result.task.args for result in results] == list(map(arguments, ITEMS))
    assert [huey.job(result.id).args for result in results] == list(map(arguments, ITEMS))
    assert all(huey.job(result.id).expires.replace(tzinfo=None) == result.task.expires_resolved for result in results)

    work_off(huey)
    assert results.get() == [list(arguments(item)) for item in ITEMS]


def test_what_is_mapped_is_stored_as_what_is_called(huey: Nephew):
    task = huey.task(name="echo", queue="own", priority=3, retries=2, retry_delay=5, tags="some", expires=60)(echo)

    (mapped,) = (huey.job(result.id) for result in task.map([(1, "two")]))
    called = huey.job(task(1, "two").id)

    ours = ("task", "queue", "state", "priority", "args", "kwargs", "eta", "tags", "unique_key", "relation", "parents")
    assert [getattr(mapped, name) for name in ours] == [getattr(called, name) for name in ours]
    assert called.expires - mapped.expires < dt.timedelta(seconds=10)


def test_every_mapped_job_is_told_of(huey: Nephew):
    told: list[tuple[str, tuple[Any, ...]]] = []
    huey.signal(S.SIGNAL_ENQUEUED)(lambda signal, task: told.append((task.id, task.args)))

    results = huey.task(name="echo")(echo).map(ITEMS)

    assert told == [(result.id, result.task.args) for result in results]


def test_each_mapped_call_has_its_own_key_tags_and_hidden_arguments(huey: Nephew):
    once = huey.task(name="once", unique=True)(echo)
    tagged = huey.task(name="tagged", tags=lambda number: [f"number-{number}"])(lambda number: None)
    hiding = huey.task(name="hiding", redact="word")(lambda word: None)

    first, second, again = once.map([1, 2, 1])

    assert (first.duplicate, second.duplicate, again.duplicate) == (False, False, True)
    assert again.id == first.id
    assert [huey.job(result.id).tags for result in tagged.map([1, 2])] == [("number-1",), ("number-2",)]
    assert all("open sesame" not in repr(huey.job(result.id)) for result in hiding.map(["open sesame"]))


@pytest.mark.parametrize("bad", [object(), "x" * 3000])
def test_of_calls_of_which_one_cannot_be_stored_none_is(huey: Nephew, bad: Any):
    task = huey.task(name="echo")(echo)

    with pytest.raises(EncodeError, match="echo"):
        task.map([1, bad, 2])

    assert huey.jobs() == []


def test_a_serializer_of_hueys_may_be_used():
    for huey in opened(Nephew("mapping-pickled", "memory://", serializer=Serializer())):
        results = huey.task(name="echo")(echo).map(ITEMS)
        work_off(huey)
        assert results.get() == [list(arguments(item)) for item in ITEMS]


def test_in_immediate_mode_mapped_jobs_have_run():
    for huey in opened(Nephew("mapping-immediate", immediate=True)):
        assert huey.task(name="echo")(echo).map([1, 2]).get() == [[1], [2]]


def test_nothing_can_be_mapped(huey: Nephew):
    assert list(huey.task(name="echo")(echo).map([])) == []


class Weighed(HueyTask):
    """A class of the application's own, which makes something of the arguments of each call."""

    def __init__(self, args: Any = None, *rest: Any, **more: Any) -> None:
        super().__init__(args, *rest, **more)
        self.priority = args[0] if args else None


def test_a_class_of_calls_of_the_applications_own_makes_each_call(huey: Nephew):
    task = huey.task(name="weighed", task_base=Weighed)(echo)

    results = task.map([5, 7])

    assert [huey.job(result.id).priority for result in results] == [5, 7]
