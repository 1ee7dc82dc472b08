"""What cannot be run here is kept, and released when it can."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.codec import Codec
from nephew.errors import JobEnded
from nephew.job import State
from nephew.parking import STEP, Parking
from tests.contract import jobs
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, job


def test_a_renamed_task_is_parked_and_released_when_it_is_known_again(make_huey, work: Work):
    old, new = make_huey(), make_huey()
    result = old.task(name="before")(lambda: "ran")()

    work(new)
    parked = new.job(result.id)
    unknown = new.unpark_known()
    new.task(name="before")(lambda: "ran by its old name")
    released = new.unpark_known()
    work(new)

    assert parked.state == State.PARKED and "before" in parked.reason
    assert (unknown, released) == (0, 1)
    assert result.get() == "ran by its old name"


def test_a_parked_job_is_released_by_hand(make_huey, work: Work):
    old, new = make_huey(), make_huey()
    result = old.task(name="before")(lambda: "ran")()
    work(new)
    with pytest.raises(JobEnded, match="it is parked"):
        result.get(blocking=True, timeout=0)

    assert new.retry(result.id)

    work(old)
    assert result.get() == "ran"


#: What newer versions may write: another format, more fields, values of a new kind.
NEWER = [
    b'\xfc["id","task",[],{}]',
    b'\xfa["id","task",[],{},0,0,null,0,null,null,null,null,"more"]',
    b'\xf9{"!":["newer",1]}',
]


@pytest.mark.parametrize("data", [b"", b"\x80\x04no job", b"not a job \xff", b'["half', *NEWER])
def test_bytes_that_are_not_a_job_are_parked_and_kept(huey: Nephew, work: Work, data: bytes):
    result = huey.task()(lambda: "ran")
    huey.backend.enqueue([job("odd", payload=data)])
    following = result()

    work(huey)

    row = huey.backend.row("odd")
    assert (row.state, row.payload) == ("parked", data)
    assert "DecodeError" in row.reason
    assert huey.job("odd").args is None
    assert following.get() == "ran"
    assert huey.cancel("odd")


class NewerCodec(Codec):
    """Writes what `Codec` does in a format of its own, and reads both."""

    def serialize(self, value: Any) -> bytes:
        return b"\xfc" + super().serialize(value)

    def deserialize(self, data: bytes) -> Any:
        return super().deserialize(data.removeprefix(b"\xfc"))


def test_a_message_of_a_newer_format_waits_for_a_consumer_that_reads_it(make_huey, work: Work):
    old, new = make_huey(), make_huey(serializer=NewerCodec())
    old.task(name="send")(lambda to: f"old to {to}")
    result = new.task(name="send")(lambda to: f"new to {to}")("Ada")
    work(old)

    parked, released = new.job(result.id), (old.unpark_known(), new.unpark_known())
    work(new)

    assert parked.state == State.PARKED and "DecodeError" in parked.reason
    assert (released, result.get()) == ((0, 1), "new to Ada")


def test_a_step_that_is_unknown_here_parks_its_pipeline_until_somebody_knows_it(make_huey, work: Work):
    old, new = make_huey(), make_huey()
    first, second = (new.task(name=name)(lambda *given: len(given)) for name in ("first", "second"))
    old.task(name="first")(lambda: None)
    steps = new.enqueue(first.s().then(second))
    work(old)

    released = old.unpark_known(), new.unpark_known()
    work(new)

    assert (released, steps.get()) == ((0, 1), [0, 1])


def test_of_many_parked_jobs_those_that_can_run_are_released_in_short_steps(make_huey, work: Work):
    old, new = make_huey(), make_huey()
    known, unknown = (old.task(name=name)(lambda number: number) for name in ("known", "unknown"))
    handles = [task(number) for number in range(2) for task in (unknown, known)]
    work(new)
    new.task(name="known")(lambda number: number)
    short, long = Parking(new, seconds=0), Parking(new, seconds=60)

    steps = [short.step() for _ in range(5)], long.step()
    work(new)

    assert steps == ([True, True, True, True, False], False)
    assert (short.released, long.released) == (2, 0)
    assert [handle.state for handle in handles[-2:]] == [State.PARKED, State.SUCCEEDED]


def test_a_long_line_of_jobs_that_stay_parked_holds_up_nobody_behind_it(make_huey, work: Work):
    old, new = make_huey(), make_huey()
    known, unknown = (old.task(name=name)(lambda number: number) for name in ("known", "unknown"))
    unknown.map(range(STEP + 1))
    last = known(1)
    work(new)
    new.task(name="known")(lambda number: number)
    parking = Parking(new, seconds=60)

    parking.step()

    assert (parking.released, last.state) == (1, State.QUEUED)


def test_parked_jobs_are_found_in_their_order_however_large_they_are(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job(id, payload=b"x" * 3_000_000) for id in ("1", "2", "3", "4")])
    hand.settle(*(jobs.parked(claimed, "a test") for claimed in hand.claim(3)))
    found: list[tuple[int, str, str]] = []

    while some := backend.parked(found[-1][0] if found else 0, 2):
        found += some

    assert [(job_id, task) for _, job_id, task in found] == [("1", "demo"), ("2", "demo"), ("3", "demo")]


def test_bytes_of_no_known_task_are_tried_by_each_consumer_once(make_huey, work: Work):
    old, new = make_huey(), make_huey(serializer=NewerCodec())
    result = new.task(name="send")(lambda to: f"new to {to}")("Ada")
    payload = new.backend.row(result.id).payload
    new.cancel(result.id)
    old.storage.enqueue(payload)
    early = Parking(new)
    early.step()
    work(old)

    early.step()
    Parking(new).step()

    assert (early.released, new.backend.counts()["queued"]) == (0, 1)


def test_a_call_that_a_decorator_completes_is_released_and_run(make_huey, work: Work):
    def with_session(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def completed(*args: Any) -> Any:
            return function("session", *args)

        return completed

    old, new = make_huey(), make_huey()
    result = new.task(name="send")(with_session(lambda session, to: f"{to} in a {session}"))("Ada")
    work(old)

    released = new.unpark_known()
    work(new)

    assert (released, result.get()) == (1, "Ada in a session")


def test_a_parked_job_keeps_nobody_else_from_running_by_hand(huey: Nephew):
    huey.backend.enqueue([job("odd", payload=b"no job")])
    result = huey.task()(lambda: "ran")()

    huey.execute(huey.dequeue())

    assert huey.dequeue() is None
    assert result.get() == "ran"
