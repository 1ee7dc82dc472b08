"""Jobs that end without being run: expired, revoked, cancelled, or behind one that failed."""

from __future__ import annotations

from typing import Any

import pytest
from huey.api import chord
from huey.exceptions import TaskException

from nephew import Nephew, current_job
from nephew.errors import JobEnded
from nephew.job import State
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, fails

HOUR = 3600


def test_an_expired_job_is_not_run(huey: Nephew, work: Work):
    ran: list[int] = []
    task = huey.task(expires=-60)(lambda: ran.append(1))

    result = task()
    work(huey)

    assert (ran, result.state) == ([], State.EXPIRED)
    with pytest.raises(JobEnded, match=f"job {result.id} has no result: it is expired \\(expired at"):
        result.get(blocking=True, timeout=5)
    assert huey.job(result.id).attempts == ()


def test_a_revoked_job_is_not_run(huey: Nephew, work: Work):
    ran: list[int] = []
    task = huey.task()(lambda: ran.append(1))
    revoked, restored = task(), task()

    revoked.revoke()
    restored.revoke()
    restored.restore()
    work(huey)

    assert ran == [1]
    assert (revoked.state, restored.state) == (State.CANCELLED, State.SUCCEEDED)
    with pytest.raises(JobEnded, match=r"it is cancelled \(revoked\)"):
        revoked.get(blocking=True, timeout=5)


def test_all_jobs_of_a_task_can_be_revoked(huey: Nephew, work: Work):
    task = huey.task(name="a")(lambda: None)
    other = huey.task(name="b")(lambda: None)
    task.revoke()
    results = [task(), task(), other()]

    work(huey)

    assert [result.state for result in results] == ["cancelled", "cancelled", "succeeded"]


def test_a_revocation_that_came_too_late_is_forgotten(huey: Nephew, work: Work):
    task = huey.task(name="late")(lambda: None)

    @huey.task(name="revokes")
    def revokes() -> None:
        huey.revoke_by_id(current_job().id)

    revokes()
    result = task()
    work(huey)

    assert result.state == State.SUCCEEDED
    assert huey.backend.items() == {}


def test_a_cancelled_job_ends_with_its_pipeline_its_chord_member_and_its_key(huey: Nephew, work: Work):

    ran: list[Any] = []
    step = huey.task(name="step", unique=True)(ran.append)
    total = huey.task(name="total")(lambda values: ran.append(len(values)))
    member, other = step.s("cancelled").then(step, "after"), step.s("other")
    called = huey.enqueue(chord([member, other], total.s()))

    cancelled = huey.cancel(member.id, "not needed")

    work(huey)
    assert cancelled
    assert ran == ["other", 2]
    assert (huey.job(member.id).state, huey.job(member.id).reason) == ("cancelled", "not needed")
    assert huey.job(member.on_complete.id).state == "cancelled"
    assert called.callback.state == "succeeded"
    assert not step("cancelled").duplicate


def test_a_job_can_be_cancelled_while_it_waits_and_not_afterwards(huey: Nephew, work: Work):
    task = huey.task()(lambda: None)
    waiting, scheduled, ended = task(), task.schedule(delay=HOUR), task.schedule(delay=-1)
    hand = Hand(huey.backend)
    held = task()
    hand.claim(ids=[held.id])

    early = [result.cancel() for result in (waiting, scheduled, held)]
    work(huey)

    assert early == [True, True, False]
    assert ended.state == "succeeded" and not ended.cancel()
    assert not waiting.cancel()
    assert not huey.cancel("unknown")


def test_a_pipeline_that_fails_cancels_its_later_steps_with_the_error_as_their_result(huey: Nephew, work: Work):
    ran: list[int] = []
    number = huey.task(name="number")(lambda: 1)
    bad = huey.task(name="bad")(fails)
    never = huey.task(name="never")(ran.append)

    results = list(huey.enqueue(number.s().then(bad).then(never).then(never)))
    work(huey)

    assert [result.state for result in results] == ["succeeded", "failed", "cancelled", "cancelled"]
    assert ran == []
    for result in results[1:]:
        with pytest.raises(TaskException, match="oops"):
            result.get(blocking=True, timeout=5)
    assert f"{results[1].id}, a step before it, failed" in huey.job(results[3].id).reason


def test_a_pipeline_hands_each_value_on(huey: Nephew, work: Work):
    add = huey.task()(lambda value, more: value + more)

    results = huey.enqueue(add.s(1, 2).then(add, 10).then(add, 100))
    work(huey)

    assert [result.get() for result in results] == [3, 13, 113]
