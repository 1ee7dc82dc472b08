"""What cannot be run here is kept, and released when it can."""

from __future__ import annotations

import pytest

from nephew import Nephew
from nephew.errors import JobEnded
from nephew.job import State
from tests.contract.conftest import Work
from tests.contract.jobs import job


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


@pytest.mark.parametrize("data", [b"", b"\x80\x04no job", b"not a job \xff", b'["half'])
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


def test_a_parked_job_keeps_nobody_else_from_running_by_hand(huey: Nephew):
    huey.backend.enqueue([job("odd", payload=b"no job")])
    result = huey.task()(lambda: "ran")()

    huey.execute(huey.dequeue())

    assert huey.dequeue() is None
    assert result.get() == "ran"
