"""Jobs that wait can be changed; jobs that are held, have ended or are parked cannot."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pytest

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.backends.records import Change
from nephew.errors import NephewError
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, again, job, jobs, parked, succeeded

HOUR = 3600


def order(backend: Backend) -> list[str]:
    return [claimed.id for claimed in Hand(backend).claim(100)]


def test_a_job_of_higher_priority_is_claimed_first(backend: Backend):
    backend.enqueue(jobs("a", "b", "c"))

    assert backend.change("b", Change(priority=5.0))
    assert backend.change("a", Change(priority=-1.0))

    assert order(backend) == ["b", "c", "a"]


def test_a_job_is_moved_to_another_queue(backend: Backend):
    backend.enqueue(jobs("a", "b"))

    assert backend.change("a", Change(queue="mail"))

    hand = Hand(backend)
    assert [claimed.id for claimed in hand.claim(9, queues=["mail"])] == ["a"]
    assert [claimed.id for claimed in hand.claim(9, queues=["default"])] == ["b"]


def test_a_job_that_is_told_to_run_now_goes_behind_those_that_wait_already(backend: Backend):
    backend.enqueue([job("later", eta=backend.now() + HOUR), *jobs("a", "b")])

    assert backend.change("later", Change(eta=backend.now()))
    backend.enqueue(jobs("c"))

    assert order(backend) == ["a", "b", "later", "c"]


def test_a_job_that_waits_for_a_worker_keeps_its_place_when_it_is_told_to_run_now(backend: Backend):
    backend.enqueue(jobs("a", "b"))

    assert backend.change("a", Change(eta=backend.now()))

    assert order(backend) == ["a", "b"]


def test_a_job_is_given_another_time(huey: Nephew):
    task = huey.task()(lambda: None)
    queued, scheduled = task(), task.schedule(delay=10 * HOUR)
    before = huey.backend.now()

    assert huey.change(queued.id, delay=HOUR)
    assert huey.change(scheduled.id, delay=2 * HOUR)

    assert (queued.state, scheduled.state) == ("scheduled", "scheduled")
    etas = [huey.job(result.id).eta.timestamp() - before for result in (queued, scheduled)]
    assert etas == pytest.approx([HOUR, 2 * HOUR], abs=5)
    assert huey.backend.promote(before + HOUR + 10) == 1
    assert (queued.state, scheduled.state) == ("queued", "scheduled")


def test_an_attempt_that_waits_can_be_run_now_or_later(huey: Nephew, work: Work):
    ran: list[int] = []

    @huey.task(retries=1, retry_delay=HOUR)
    def flaky() -> None:
        ran.append(1)
        if len(ran) == 1:
            raise ValueError("oops")

    result = flaky()
    work(huey)
    assert huey.change(result.id, delay=2 * HOUR)
    assert result.state == "retrying"

    assert huey.run_now(result.id)
    work(huey)

    assert (ran, result.state) == ([1, 1], "succeeded")


@pytest.mark.parametrize("utc", [True, False])
def test_a_naive_moment_is_meant_as_the_instance_says(make_huey: Callable[..., Nephew], utc: bool):
    huey = make_huey(utc=utc)
    result = huey.task()(lambda: None)()
    now = dt.datetime.now(dt.UTC) if utc else dt.datetime.now()

    huey.change(result.id, eta=now.replace(tzinfo=None) + dt.timedelta(hours=3), expires=dt.timedelta(hours=4))

    row = huey.backend.row(result.id)
    assert row.eta == pytest.approx(huey.backend.now() + 3 * HOUR, abs=10)
    assert row.expires_at == pytest.approx(huey.backend.now() + 4 * HOUR, abs=10)


@pytest.mark.parametrize("utc", [True, False])
@pytest.mark.parametrize("zone", [None, dt.UTC, dt.timezone(dt.timedelta(hours=-14))])
def test_the_first_and_the_last_moment_that_there_are_can_be_told(
    make_huey: Callable[..., Nephew], work: Work, utc: bool, zone: dt.tzinfo | None
):
    huey = make_huey(utc=utc)
    task = huey.task()(lambda: None)
    late, lasting, first = task(), task(), task()
    end = dt.datetime.max.replace(tzinfo=zone)

    huey.change(late.id, eta=end)
    huey.change(lasting.id, expires=end)
    huey.change(first.id, eta=dt.datetime.min.replace(tzinfo=dt.timezone(dt.timedelta(hours=14))))
    work(huey)

    found = {job.id: job for job in huey.jobs()}
    assert (found[late.id].state, found[late.id].eta.year) == ("scheduled", 9999)
    assert (found[lasting.id].state, found[lasting.id].expires.year) == ("succeeded", 9999)


def test_the_expiry_that_a_job_is_given_wins_over_what_its_call_said(huey: Nephew, work: Work):
    ran: list[str] = []
    task = huey.task(name="note")(ran.append)
    saved, never, doomed = task.s("saved"), task.s("never"), task.s("doomed")
    saved.expires = never.expires = -60
    doomed.expires = HOUR
    for each in (saved, never, doomed):
        huey.enqueue(each)

    assert huey.change(saved.id, expires=HOUR)
    assert huey.change(never.id, expires=math.inf)
    assert huey.change(doomed.id, expires=dt.datetime(2020, 1, 1))
    work(huey)

    assert ran == ["saved", "never"]
    assert [huey.job(each.id).state for each in (saved, never, doomed)] == ["succeeded", "succeeded", "expired"]
    assert huey.job(never.id).expires is None


def test_a_job_that_is_held_has_ended_or_is_parked_is_not_changed(backend: Backend):
    backend.enqueue(jobs("held", "ended", "parked", "again"))
    hand = Hand(backend)
    _, ended, kept, failing = hand.claim(4)
    hand.settle(succeeded(ended), parked(kept, "unknown"), again(failing))
    before = {id: backend.row(id) for id in ("held", "ended", "parked")}

    changed = [backend.change(id, Change(1.0, "mail", 5.0, 6.0)) for id in ("held", "ended", "parked", "none", "again")]

    assert changed == [False, False, False, False, True]
    assert {id: backend.row(id) for id in before} == before


def test_a_job_is_either_changed_or_claimed(make_huey: Callable[..., Nephew]):
    backend = make_huey().backend
    backend.enqueue(jobs(*map(str, range(40))))
    hand = Hand(backend)

    def act(index: int) -> list[str]:
        if index:
            return [claimed.id for _ in range(20) for claimed in hand.claim(1)]
        return [id for id in map(str, range(40)) if backend.change(id, Change(eta=backend.now() + HOUR))]

    changed, claimed = at_once(backend, 2, act)

    assert not set(changed) & set(claimed)
    assert {backend.row(id).state for id in changed} <= {"scheduled"}


def test_a_changed_job_wakes_those_who_wait_and_runs_by_hand(huey: Nephew):
    """Its message still says its first time."""
    ran: list[int] = []
    result = huey.task()(lambda: ran.append(1)).schedule(delay=HOUR)

    assert huey.run_now(result.id)
    huey.execute(huey.dequeue())

    assert (ran, result.state) == ([1], "succeeded")


def test_in_immediate_mode_it_runs_at_once(name: str):
    huey = Nephew(name, "memory://", immediate=True)
    result = huey.task()(lambda: 5).schedule(delay=HOUR)
    assert result.state == "scheduled"

    assert huey.run_now(result.id)

    assert result.get() == 5
    huey.sign_off()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "expected a priority, queue, delay, eta or expires to change a job to, got none of them"),
        ({"priority": "high"}, "expected priority to be a number, got 'high'; nothing was changed"),
        ({"priority": math.nan}, "expected priority to be a number, got nan"),
        ({"queue": " "}, "expected queue to be a name, got ' '"),
        ({"delay": True}, "expected delay to be a number, got True"),
        ({"delay": -1}, "expected delay to be 0 seconds or more, before the year 10000, got -1"),
        ({"delay": dt.datetime(2030, 1, 1)}, "expected delay to be seconds, .* a moment is given as eta"),
        ({"eta": 60}, "expected eta to be a datetime, got 60; seconds are given as delay"),
        ({"eta": dt.datetime(2030, 1, 1), "delay": 1}, "expected delay or eta, got both"),
        ({"expires": "never"}, "expected expires to be a number, got 'never'"),
        ({"expires": 1e300}, "before the year 10000, got 1e\\+300"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(huey: Nephew, changes: dict[str, Any], message: str):
    result = huey.task()(lambda: None)()
    before = huey.backend.row(result.id)

    with pytest.raises(NephewError, match=message):
        huey.change(result.id, **changes)

    assert huey.backend.row(result.id) == before
