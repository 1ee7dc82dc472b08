"""Jobs that end without being run: expired, revoked, cancelled, or behind one that failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from huey.api import chord
from huey.exceptions import TaskException

from nephew import JobCancelled, Nephew, current_job
from nephew.errors import JobEnded
from nephew.job import State
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, again, fails, given_back, succeeded

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


def test_a_job_can_be_cancelled_until_it_has_ended(huey: Nephew, work: Work):
    task = huey.task()(lambda: None)
    waiting, scheduled, ended = task(), task.schedule(delay=HOUR), task.schedule(delay=-1)
    work(huey)

    early = [result.cancel() for result in (task(), scheduled)]

    assert early == [True, True]
    assert [waiting.state, scheduled.state, ended.state] == ["succeeded", "cancelled", "succeeded"]
    assert not any(result.cancel() for result in (waiting, scheduled, ended))
    assert not huey.cancel("unknown")


def test_a_job_that_a_worker_holds_is_cancelled_by_whoever_takes_it_next(huey: Nephew, work: Work):
    ran: list[int] = []
    task = huey.task()(lambda: ran.append(1))
    hand, held = Hand(huey.backend), task()
    (claimed,) = hand.claim(ids=[held.id])

    told = huey.cancel(held.id, "not wanted any more")
    asked = huey.backend.asked_to_stop(hand.number)
    hand.settle(given_back(claimed))
    work(huey)

    assert told
    assert asked == [(claimed.seq, claimed.claim, "not wanted any more")]
    assert (ran, held.state, huey.job(held.id).reason) == ([], "cancelled", "not wanted any more")


def test_a_job_that_is_to_end_does_not_wait_for_its_next_attempt(huey: Nephew, work: Work):
    hand = Hand(huey.backend)
    task = huey.task(name="task", retries=1)(fails)
    held = task()
    (claimed,) = hand.claim(ids=[held.id])

    huey.cancel(held.id)
    hand.settle(again(claimed, state=State.RETRYING, eta=huey.backend.now() + HOUR, payload=claimed.payload))
    work(huey)

    assert (held.state, huey.job(held.id).reason) == ("cancelled", "cancelled by request")


@pytest.mark.parametrize("function", [lambda: "done", fails], ids=["succeeds", "fails"])
def test_a_job_that_comes_to_its_end_though_it_was_cancelled_is_cancelled(
    huey: Nephew, work: Work, function: Callable[[], Any]
):
    ran: list[Any] = []
    told: list[str] = []
    task = huey.task(name="task", unique=True)(lambda: (huey.cancel(current_job().id, "too late?"), function())[1])
    following = huey.task(name="following")(lambda *values: ran.append(values))
    total = huey.task(name="total")(len)
    huey.signal()(lambda signal, task, *rest: told.append(signal))

    first, then = huey.enqueue(task.s().then(following).error(following))
    called = huey.enqueue(chord([task.s()], total.s()))
    work(huey)

    job = huey.job(first.id)
    assert (job.state, job.reason, job.error, job.result) == ("cancelled", "too late?", None, None)
    assert [attempt.outcome for attempt in job.attempts] == ["cancelled"]
    assert (then.state, ran) == ("cancelled", [])
    assert called.callback.get() == 1
    assert "canceled" in told and told.count("complete") == 1
    with pytest.raises(JobEnded, match="too late"):
        first.get(blocking=True, timeout=5)


def test_what_a_settle_did_not_write_is_told_again_when_it_is_repeated(huey: Nephew):
    task = huey.task(name="task")(lambda: None)
    hand, results = Hand(huey.backend), [task(), task()]
    claims = hand.claim(2)
    huey.cancel(results[0].id, "not wanted")
    outcomes = [succeeded(claimed) for claimed in claims]

    replies = [huey.backend.settle(hand.number, 1, outcomes) for _ in range(2)]

    assert replies[0] == replies[1]
    assert replies[0].stopped == {(claims[0].seq, claims[0].claim): "not wanted"}
    assert [result.state for result in results] == ["queued", "succeeded"]


def test_a_job_run_by_hand_can_ask_whether_it_was_cancelled(huey: Nephew):
    heard: list[str] = []

    @huey.task()
    def cancels_itself() -> str:
        current_job().raise_if_cancelled()
        huey.cancel(current_job().id, "by itself")
        try:
            current_job().raise_if_cancelled()
        except JobCancelled as error:
            heard.append(str(error))
            raise
        return "never"

    result = cancels_itself()
    value = huey.execute(huey.dequeue())

    assert (value, heard) == (None, ["by itself"])
    assert (result.state, huey.job(result.id).reason) == ("cancelled", "by itself")


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
