"""Schedules: their due times are enqueued once, by whichever consumer is first."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable

from huey import crontab

from nephew import Nephew, cron, every
from nephew.backends.contract import Backend
from nephew.bell import ThreadBell
from nephew.scheduler import Scheduler
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.contract.jobs import job

#: A moment in the past, on the full hour.
NOON = dt.datetime(2026, 3, 1, 12, tzinfo=dt.UTC)


def scheduler(huey: Nephew) -> Scheduler:
    return Scheduler(huey, threading.Event(), 1, True, ThreadBell())


def test_a_tick_is_enqueued_once(backend: Backend):
    written = [backend.tick("nightly", due, job()) for due in (100.0, 100.0, 200.0, 100.0)]
    other = backend.tick("hourly", 100.0, job())

    assert (written, other) == ([True, False, True, False], True)
    assert backend.waiting_count() == 3


def test_of_many_who_write_the_same_tick_at_once_one_does(backend: Backend):
    for due in range(10):
        written = at_once(backend, 6, lambda _: backend.tick("nightly", float(due), job()))  # noqa: B023

        assert written.count(True) == 1

    assert backend.waiting_count() == 10


def test_two_schedulers_that_see_the_same_tick_enqueue_one_job(make_huey: Callable[..., Nephew], work: Work):
    instances = [make_huey(), make_huey()]
    ran: list[str] = []
    for huey in instances:
        huey.periodic_task(cron("0 * * * *"), name="hourly")(lambda: ran.append("hourly"))
    schedulers = [scheduler(huey) for huey in instances]

    written = [one.write_ticks(NOON.timestamp()) for one in schedulers * 2]

    assert written == [1, 0, 0, 0]
    assert work(instances[0]) == 1
    assert ran == ["hourly"]


def test_ticks_of_different_times_are_different_jobs(huey: Nephew, work: Work):
    ran: list[int] = []

    @huey.periodic_task(every(minutes=15))
    def quarterly() -> None:
        ran.append(1)

    looks = [NOON + dt.timedelta(minutes=minutes) for minutes in (0, 15, 15, 30)]
    written = [scheduler(huey).write_ticks(look.timestamp()) for look in looks]

    assert written == [1, 1, 0, 1]
    assert work(huey) == 3
    assert len(ran) == 3


def test_hueys_crontab_is_a_schedule_too(huey: Nephew, work: Work):
    @huey.periodic_task(crontab(minute="0", hour="12"))
    def daily() -> None:
        pass

    written = [scheduler(huey).write_ticks((NOON + dt.timedelta(hours=hour)).timestamp()) for hour in (0, 1)]

    assert written == [1, 0]


def test_a_scheduler_moves_due_jobs(huey: Nephew, work: Work):
    @huey.task()
    def later() -> str:
        return "ran"

    result = later.schedule(delay=3600)
    soon, then = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds) for seconds in (10, 3700))

    scheduler(huey).loop(soon.replace(tzinfo=None))
    early = work(huey)
    scheduler(huey).loop(then.replace(tzinfo=None))

    assert (early, work(huey)) == (0, 1)
    assert result.get() == "ran"


def test_a_job_that_stays_parked_is_not_released_over_and_over(huey: Nephew, work: Work):
    @huey.task()
    def known() -> None:
        pass

    result = known()
    row = huey.backend.row(result.id)
    huey.backend.delete_jobs([result.id])
    huey.backend.enqueue([job(result.id, task=row.task, payload=b"no job at all")])
    work(huey)

    timekeeper = scheduler(huey)
    timekeeper.loop(NOON.replace(tzinfo=None))

    assert result.state == "parked"
