"""Schedules: what becomes of each due time is decided once, whoever looks, and can be seen in the ledger."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huey import crontab

from nephew import Middleware, Nephew, cron, every
from nephew.asked import Asked
from tests.contract.conftest import Work
from tests.contract.jobs import job
from tests.contract.timekeeping import DAY, HOUR, MINUTE, NOON, Clock, at, reasons, rows, ticker, timekeeper, write

HOURLY = cron("0 * * * *")


@pytest.fixture
def clock() -> Clock:
    return Clock()


def scheduled(huey: Nephew, schedule: Any = HOURLY, **options: Any) -> list[str]:
    """A schedule called hourly; what its jobs leave when they run."""
    ran: list[str] = []
    huey.periodic_task(schedule, name="hourly", **options)(lambda: ran.append("ran"))
    return ran


# -- each once ----------------------------------------------------------------------------------------
def test_two_schedulers_that_see_the_same_tick_enqueue_one_job(make_huey: Callable[..., Nephew], work: Work):
    instances, clock = [make_huey(), make_huey()], Clock()
    ran = [scheduled(huey) for huey in instances]
    tickers = [ticker(huey, clock) for huey in instances]

    clock.now = NOON
    write(*tickers, *tickers)

    assert rows(instances[0]) == [(0, "enqueued")]
    assert work(instances[0]) == 1
    assert ran == [["ran"], []]


def test_each_tick_is_a_job_of_its_own(huey: Nephew, clock: Clock, work: Work):
    ran = scheduled(huey, every(minutes=15), overlap="allow")
    keeper = ticker(huey, clock)

    for minutes in (0, 15, 15, 30):
        clock.now = NOON + minutes * MINUTE
        write(keeper)

    assert rows(huey) == [(0, "enqueued"), (15 * MINUTE, "enqueued"), (30 * MINUTE, "enqueued")]
    assert (work(huey), len(ran)) == (3, 3)


def test_a_new_schedule_starts_now(huey: Nephew, clock: Clock):
    scheduled(huey)
    clock.now = NOON + 5

    ticker(huey, clock)

    assert rows(huey) == []


# -- catching up --------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("policy", "fates"),
    [
        ({}, ["missed", "missed", "enqueued"]),
        ({"catch_up": "none"}, ["missed", "missed", "missed"]),
        ({"catch_up": "all", "overlap": "allow"}, ["enqueued", "enqueued", "enqueued"]),
        ({"catch_up": "all", "overlap": "allow", "within": 1.5 * HOUR}, ["missed", "enqueued", "enqueued"]),
        ({"catch_up": "all"}, ["enqueued", "skipped", "skipped"]),
        ({"catch_up": "all", "overlap": "queue"}, ["enqueued", "waiting", "waiting"]),
    ],
    ids=str,
)
def test_after_a_downtime_over_three_ticks_the_policy_says_what_is_made_up_for(
    huey: Nephew, clock: Clock, policy: dict[str, Any], fates: list[str]
):
    scheduled(huey, **policy)
    ticker(huey, clock)

    clock.now = NOON + 2 * HOUR + 5 * MINUTE
    ticker(huey, clock)

    assert rows(huey) == [(number * HOUR, fate) for number, fate in enumerate(fates)]
    assert huey.backend.waiting_count() == fates.count("enqueued")


def test_three_years_of_ten_seconds_are_decided_at_once(huey: Nephew, clock: Clock, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    scheduled(huey, every(seconds=10))
    ticker(huey, clock)

    clock.now = NOON + 3 * 365 * DAY
    began = time.process_time()
    ticker(huey, clock)
    took = time.process_time() - began

    first, *others = huey.schedules.ticks("hourly", 1000)[::-1]
    assert (first.due, first.until, first.fate) == (at(NOON - 10), others[0].due - dt.timedelta(seconds=10), "missed")
    assert [tick.fate for tick in others] == ["missed"] * 100 + ["enqueued"]
    assert (huey.backend.waiting_count(), caplog.text.count("were missed")) == (1, 1)
    assert took < 1, "years are not walked through"


def test_a_clock_that_is_set_an_hour_back_and_forth_repeats_nothing_and_loses_nothing(
    huey: Nephew, clock: Clock, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    scheduled(huey, every(minutes=20), catch_up="all", overlap="allow")
    keeper = ticker(huey, clock)

    for minutes in (0, 20, -40, -20, 0, 40, 100, 40, 60, 120):
        clock.now = NOON + minutes * MINUTE
        write(keeper)
        write(ticker(huey, clock))  # another one, which comes only now

    assert rows(huey) == [(number * 20 * MINUTE, "enqueued") for number in range(7)]
    assert caplog.text.count("The clock was set back") == 2 + 5, "by the one that saw it, and by those that came then"


# -- what is in the way -------------------------------------------------------------------------------
def test_a_tick_is_skipped_while_the_job_of_an_earlier_one_has_not_ended(huey: Nephew, clock: Clock, work: Work):
    ran = scheduled(huey)
    keeper = ticker(huey, clock)

    for hour in range(3):
        clock.now = NOON + hour * HOUR
        write(keeper)
        if hour == 1:
            work(huey)

    assert rows(huey) == [(0, "enqueued"), (HOUR, "skipped"), (2 * HOUR, "enqueued")]
    assert (len(ran), huey.schedules.ticks("hourly")[-1].state) == (1, "succeeded")
    assert "queued" in reasons(huey)[1]


def test_ticks_that_queue_come_one_after_the_other(huey: Nephew, clock: Clock, work: Work):
    ran = scheduled(huey, overlap="queue")
    keeper = ticker(huey, clock)
    for hour in range(3):
        clock.now = NOON + hour * HOUR
        write(keeper)

    counts = []
    for _ in range(4):
        keeper.release()
        counts.append((work(huey), [fate for _, fate in rows(huey)].count("waiting")))

    assert counts == [(1, 2), (1, 1), (1, 0), (0, 0)]
    assert (len(ran), rows(huey)) == (3, [(hour * HOUR, "enqueued") for hour in range(3)])


def test_a_tick_that_waits_is_skipped_when_its_job_cannot_be_made_any_more(huey: Nephew, clock: Clock, work: Work):
    allowed = [True]
    scheduled(huey, overlap="queue", unique=lambda: allowed[0] or 1 // 0)
    keeper = ticker(huey, clock)
    for hour in range(2):
        clock.now = NOON + hour * HOUR
        write(keeper)

    allowed[0] = False
    work(huey)
    keeper.release()

    assert rows(huey) == [(0, "enqueued"), (HOUR, "skipped")]
    assert "ZeroDivisionError" in reasons(huey)[1]


def test_a_task_that_takes_longer_than_its_period_does_not_pile_up(huey: Nephew, clock: Clock, work: Work):
    scheduled(huey, every(seconds=10))
    keeper = ticker(huey, clock)

    for _ in range(12):
        clock.now += 5
        write(keeper)
    work(huey)

    fates = [fate for _, fate in rows(huey)]
    assert fates == ["enqueued", *["skipped"] * 5]


def test_a_middleware_may_keep_a_tick_from_being_enqueued(name: str, url: str, clock: Clock):
    class Door(Middleware):
        def enqueue(self, job: Any, call_next: Any) -> Any:
            return None

    huey = Nephew(name, url, middleware=[Door()])
    scheduled(huey)
    keeper = ticker(huey, clock)

    clock.now = NOON
    write(keeper)

    assert (rows(huey), reasons(huey)) == ([(0, "skipped")], ["a middleware did not let its job pass"])
    huey.backend.close()


def test_an_unfinished_job_with_the_same_unique_key_stands_for_a_tick(huey: Nephew, clock: Clock):
    other = huey.periodic_task(HOURLY, name="hourly", unique=True)(lambda: None)()
    keeper = ticker(huey, clock)

    clock.now = NOON
    write(keeper)

    assert rows(huey) == [(0, "skipped")]
    assert other.id in reasons(huey)[0]


# -- schedules that are asked -------------------------------------------------------------------------
def test_hueys_crontab_has_all_of_it_too(huey: Nephew, clock: Clock):
    scheduled(huey, crontab(minute="0"), catch_up="all", overlap="allow")
    keeper = ticker(huey, clock)

    for minutes in (0, 1, 2, 150):
        clock.now = NOON + minutes * MINUTE
        write(keeper)

    assert rows(huey) == [(0, "enqueued"), (HOUR, "enqueued"), (2 * HOUR, "enqueued")]


def test_a_function_is_asked_once_for_each_minute(huey: Nephew, clock: Clock):
    asked: list[dt.datetime] = []

    def never(moment: dt.datetime) -> bool:
        asked.append(moment)
        return False

    scheduled(huey, never)
    keeper = ticker(huey, clock)
    for seconds in range(0, 600, 7):
        clock.now = NOON + seconds
        write(keeper)
    clock.now = NOON + 5 * HOUR
    write(keeper)
    clock.now += MINUTE
    ticker(huey, clock)

    assert len(asked) == len(set(asked)) == 302


def test_a_function_that_raises_loses_its_minute_and_nothing_else(huey: Nephew, clock: Clock):
    def bad(moment: dt.datetime) -> bool:
        if moment.minute == 1:
            raise ValueError("no idea")
        return True

    scheduled(huey, bad, overlap="allow")
    assert isinstance(huey.schedules.get("hourly").schedule, Asked)
    keeper = ticker(huey, clock)

    for minute in range(3):
        clock.now = NOON + minute * MINUTE
        write(keeper)

    assert rows(huey) == [(0, "enqueued"), (MINUTE, "skipped"), (2 * MINUTE, "enqueued")]
    assert "no idea" in reasons(huey)[1]


# -- what is not due ----------------------------------------------------------------------------------
class Distant:
    """Due in a year, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0

    def next_after(self, moment: dt.datetime) -> dt.datetime:
        self.asked += 1
        return moment + dt.timedelta(days=365)

    def between(self, start: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
        return iter(())

    def __call__(self, timestamp: dt.datetime) -> bool:
        return False


def test_a_schedule_is_asked_once_for_its_next_due_time_however_often_somebody_looks(huey: Nephew, clock: Clock):
    schedules = [Distant() for _ in range(100)]
    for number, schedule in enumerate(schedules):
        huey.periodic_task(schedule, name=f"distant_{number}")(lambda: None)
    keeper = ticker(huey, clock)

    for _ in range(50):
        clock.now += HOUR
        write(keeper)
    huey.schedules.pause("distant_7")
    write(keeper)

    assert {schedule.asked for schedule in schedules} == {1}
    assert keeper.next_look() == NOON - 20 + 365 * DAY


# -- the rest of a scheduler --------------------------------------------------------------------------
def test_a_scheduler_moves_due_jobs(huey: Nephew, work: Work):
    @huey.task()
    def later() -> str:
        return "ran"

    result = later.schedule(delay=3600)
    soon, then = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=seconds) for seconds in (10, 3700))

    timekeeper(huey).loop(soon.replace(tzinfo=None))
    early = work(huey)
    timekeeper(huey).loop(then.replace(tzinfo=None))

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

    timekeeper(huey).loop(at(NOON).replace(tzinfo=None))

    assert result.state == "parked"
