"""A job that nobody begins in time ends as expired, in whatever queue and state it waits."""

from __future__ import annotations

import datetime as dt
import math
import threading
from collections.abc import Callable

import pytest
from huey import signals
from huey.api import chord

from nephew import Nephew
from nephew.bell import ThreadBell
from nephew.errors import JobEnded
from nephew.expiry import BATCH, Expiry
from nephew.scheduler import Scheduler
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, fails, job

HOUR = 3600


def test_a_job_in_a_queue_that_nobody_serves_does_not_wait_for_ever(huey: Nephew):
    ran: list[int] = []
    result = huey.task(queue="nobody", expires=-60)(lambda: ran.append(1))()
    scheduler = Scheduler(huey, threading.Event(), 1, True, ThreadBell())

    scheduler.loop()
    scheduler.shutdown()

    assert (ran, result.state) == ([], "expired")
    with pytest.raises(JobEnded, match=f"job {result.id} has no result: it is expired \\(expired at .* UTC\\)"):
        result.get(blocking=True, timeout=5)
    assert huey.job(result.id).attempts == ()


def test_jobs_that_wait_for_their_time_or_their_next_attempt_expire_too(huey: Nephew, work: Work):
    task = huey.task(name="bad", retries=1, retry_delay=HOUR)(fails)
    retrying, scheduled, waiting = task(), task.schedule(delay=HOUR), task.schedule(delay=HOUR)
    work(huey)
    for result in (retrying, scheduled):
        assert huey.change(result.id, expires=dt.datetime(2020, 1, 1))

    Expiry(huey).step()

    assert [result.state for result in (retrying, scheduled, waiting)] == ["expired", "expired", "scheduled"]
    assert len(huey.job(retrying.id).attempts) == 1


def test_its_pipeline_its_chord_member_and_its_key_end_with_it(huey: Nephew, work: Work):
    step = huey.task(name="step", unique=True)(lambda text: text)
    total = huey.task(name="total")(lambda values: len(values))
    member, other = step.s("late").then(step, "after"), step.s("other")
    member.expires = -60
    called = huey.enqueue(chord([member, other], total.s()))

    Expiry(huey).step()
    work(huey)

    assert (huey.job(member.id).state, huey.job(member.on_complete.id).state) == ("expired", "cancelled")
    assert called.callback.get() == 2
    assert not step("late").duplicate


def test_receivers_are_told_once(huey: Nephew):
    told: list[tuple[str, str]] = []
    huey.signal()(lambda signal, task, *_: told.append((signal, task.id)))
    result = huey.task(expires=-60)(lambda: None)()
    expiry = Expiry(huey)

    expiry.step()
    expiry.step()

    assert [signal for signal, id in told if id == result.id] == [signals.SIGNAL_ENQUEUED, signals.SIGNAL_EXPIRED]


def test_what_has_begun_or_is_held_does_not_expire_any_more(huey: Nephew):
    hand = Hand(huey.backend)
    huey.backend.enqueue([job("held", expires_at=1.0), job("parked", expires_at=math.inf)])
    hand.claim()

    assert not Expiry(huey).step()

    assert huey.backend.row("held").state == "queued"


def test_a_job_whose_expiry_was_put_off_meanwhile_stays_where_it_was(huey: Nephew):
    result = huey.task(expires=-60)(lambda: None).schedule(delay=HOUR)
    expiry = Expiry(huey)
    token = huey.worker.next_claim()
    expiry._unanswered = token, [result.id]  # found, and not yet claimed
    huey.change(result.id, expires=HOUR)

    expiry.step()

    row = huey.backend.row(result.id)
    assert (row.state, row.worker) == ("scheduled", None)
    assert row.eta > huey.backend.now() + HOUR / 2


def test_a_claim_whose_reply_was_lost_is_asked_for_again(huey: Nephew):
    result = huey.task(expires=-60)(lambda: None)()
    expiry = Expiry(huey)
    expiry._unanswered = huey.worker.next_claim(), [result.id]
    huey.worker.claim(expiry._unanswered[0], 1, ids=[result.id])  # and nobody has heard of it

    expiry.step()

    assert result.state == "expired"


def test_more_than_one_step_can_end_are_ended_in_the_next(huey: Nephew):
    huey.task(name="demo")(lambda: None)
    task = huey.task(name="late", expires=-60)(lambda: None)
    results = [task() for _ in range(BATCH + 5)]
    expiry = Expiry(huey)

    assert (expiry.step(), expiry.step()) == (True, False)

    assert {result.state for result in results} == {"expired"}


def test_a_job_that_cannot_be_read_here_is_parked_for_those_who_can(make_huey: Callable[..., Nephew]):
    ours, theirs = make_huey(), make_huey()
    result = theirs.task(name="theirs", expires=-60)(lambda: None)()

    Expiry(ours).step()
    assert result.state == "parked"
    theirs.unpark_known()
    Expiry(theirs).step()

    assert result.state == "expired"


def test_of_several_schedulers_one_ends_it(make_huey: Callable[..., Nephew]):
    hueys = [make_huey() for _ in range(3)]
    told: list[str] = []
    for huey in hueys:
        task = huey.task(name="late", expires=-60)(lambda: None)
        huey.signal(signals.SIGNAL_EXPIRED)(lambda _, task: told.append(task.id))
    results = [task() for _ in range(20)]

    threads = [threading.Thread(target=_step, args=(huey,)) for huey in hueys]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert sorted(told) == sorted(result.id for result in results)


def _step(huey: Nephew) -> None:
    Expiry(huey).step()
    huey.backend.close()
