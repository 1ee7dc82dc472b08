"""Schedules as values: what all kinds of them have in common, and what becomes one."""

import pickle
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from huey import MemoryHuey, crontab
from hypothesis import example, given
from hypothesis import strategies as st

from nephew.errors import ConfigError
from nephew.schedules import Asked, Cron, Every, Schedule, as_schedule, coming, cron, every, latest
from tests.unit.zones import DAY, HOUR, utc

EXPRESSIONS = ["0 * * * *", "30 2 * * *", "* 2 * * *", "0 5 * * 1", "*/20 0 12,18 * * *", "0 0 1 * *"]


@pytest.mark.parametrize("schedule", [cron("@hourly"), every(hours=1), Asked(crontab(minute="0"))])
def test_a_naive_moment_is_refused(schedule: Schedule) -> None:
    naive = datetime(2025, 1, 1)

    with pytest.raises(ValueError, match="with a time zone"):
        schedule.next_after(naive)
    with pytest.raises(ValueError, match="with a time zone"):
        schedule.between(naive, utc("2025-01-01"))


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        (cron("0 2 * * *", tz="Europe/Berlin"), 'cron("0 2 * * *", tz="Europe/Berlin")'),
        (cron(" 0  2 * * *"), 'cron("0 2 * * *")'),
        (every(minutes=15), "every(minutes=15)"),
        (every(seconds=900), "every(minutes=15)"),
        (every(hours=1.5), "every(minutes=90)"),
        (every(days=1, hours=12), "every(hours=36)"),
        (every(seconds=0.1), "every(seconds=0.1)"),
        (every(seconds=100), "every(seconds=100)"),
        (every(days=7, anchor=utc("2025-01-01T08:00")), "every(days=7, anchor=2025-01-01T08:00:00+00:00)"),
        (every(minutes=5, jitter=2.5), "every(minutes=5, jitter=2.5)"),
        (every(minutes=5, jitter=60).salted("mail"), "every(minutes=5, jitter=60).salted('mail')"),
        (cron("0 2 * * *", gap="skip", fold="both"), 'cron("0 2 * * *", gap="skip", fold="both")'),
    ],
)
def test_a_schedule_reads_as_it_is_written(schedule: Schedule, text: str) -> None:
    assert repr(schedule) == text
    assert str(schedule) == text


def test_schedules_are_values() -> None:
    berlin = cron("0 2 * * *", tz="Europe/Berlin")

    assert berlin == cron("0 2 * * *", tz=ZoneInfo.no_cache("Europe/Berlin"))
    assert berlin != cron("0 2 * * *")
    assert every(seconds=90) == every(minutes=1.5)
    assert len({berlin, cron("0 2 * * *", tz="Europe/Berlin"), every(hours=1), every(minutes=60)}) == 2
    assert pickle.loads(pickle.dumps(berlin)) == berlin
    with pytest.raises(AttributeError):
        berlin.expression = "* * * * *"  # type: ignore[misc]


@pytest.mark.parametrize("schedule", [cron("0 2 * * *"), cron("0 2 * * *", tz="Asia/Tokyo"), every(days=1)])
def test_time_itself_ends_with_the_year_9999(schedule: Schedule) -> None:
    assert schedule.next_after(utc("9999-12-31T23:00")) is None


@pytest.mark.parametrize(
    "schedule", [cron("*/10 * * * * *", tz="Europe/Berlin"), every(seconds=0.1), Asked(lambda moment: True)]
)
def test_due_times_are_found_one_at_a_time(schedule: Schedule) -> None:
    centuries = schedule.between(utc("2025-01-01"), utc("2925-01-01"))

    assert len(list(islice(centuries, 3))) == 3


@pytest.mark.parametrize("schedule", [cron("0 * * * *"), every(hours=1), Asked(crontab(minute="0"))])
def test_between_leaves_out_its_start_and_includes_its_end(schedule: Schedule) -> None:
    due = schedule.between(utc("2025-01-01T12:00"), utc("2025-01-01T14:00"))

    assert list(due) == [utc("2025-01-01T13:00"), utc("2025-01-01T14:00")]
    assert list(schedule.between(utc("2025-01-01T14:00"), utc("2025-01-01T12:00"))) == []


def test_hueys_own_way_to_read_periodic_tasks_works_with_our_values() -> None:
    huey = MemoryHuey(utc=True)
    for name, schedule in {"daily": cron("0 2 * * *", tz="Europe/Berlin"), "often": every(minutes=5)}.items():
        huey.periodic_task(schedule, name=name)(lambda: None)

    def due(moment: datetime) -> set[str]:
        return {task.name for task in huey.read_periodic(moment)}

    assert due(datetime(2025, 7, 1, 0, 0, 59)) == {"daily", "often"}
    assert due(datetime(2025, 7, 1, 0, 1)) == set()
    assert due(datetime(2025, 7, 1, 2, 0)) == {"often"}


def test_a_schedule_is_due_in_the_minute_of_its_tick_only() -> None:
    late_in_the_minute = cron("59 30 12 * * *")

    assert late_in_the_minute(datetime(2025, 1, 1, 12, 30))
    assert not late_in_the_minute(datetime(2025, 1, 1, 12, 29, 59))
    assert not late_in_the_minute(datetime(2025, 1, 1, 12, 31))
    assert every(seconds=0.5)(datetime(2025, 1, 1, 12, 30, 59, 999_999))
    assert cron("0 2 * * *")(datetime(2025, 1, 1, 11, tzinfo=ZoneInfo("Asia/Tokyo")))


def test_anything_that_huey_takes_becomes_a_schedule() -> None:
    def at_noon(moment: datetime) -> bool:
        return moment.hour == 12

    table, daily = crontab(minute="0"), cron("@daily")

    assert as_schedule(daily) is daily
    assert as_schedule(every(hours=1)) == Every(HOUR)
    assert as_schedule(table, utc=False) == Asked(table, utc=False)
    assert as_schedule(at_noon) == Asked(at_noon)
    assert "at_noon" in repr(as_schedule(at_noon))


class OwnSchedule:
    """A schedule as a user may write one: each full hour, from 2000 on."""

    def next_after(self, moment: datetime) -> datetime | None:
        return next(self.between(moment, utc("2999-01-01")), None)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        hour = max(start, utc("2000-01-01") - HOUR).replace(minute=0, second=0, microsecond=0) + HOUR
        while hour <= end:
            yield hour
            hour += HOUR

    def __call__(self, timestamp: datetime) -> bool:
        return False


def test_a_schedule_of_the_users_own_is_taken_as_it_is() -> None:
    own = OwnSchedule()

    assert as_schedule(own) is own
    assert latest(own, utc("2000-01-01"), utc("2025-01-01"), 2) == [utc("2024-12-31T23:00"), utc("2025-01-01")]
    assert latest(own, utc("2000-01-01"), utc("2000-01-01T01:30"), 2) == [utc("2000-01-01T01:00")]


@given(
    schedule=st.sampled_from(
        [
            *(cron(text, tz=zone) for zone in (None, "Europe/Berlin", "Australia/Lord_Howe") for text in EXPRESSIONS),
            cron("30 2 * * *", tz="Europe/Berlin", fold="both"),
            every(hours=5),
            every(hours=1, jitter=3599),
            Asked(crontab(minute="30")),
            OwnSchedule(),
        ]
    ),
    end=st.datetimes(datetime(2024, 3, 1), datetime(2024, 11, 30), timezones=st.just(UTC)),
    days=st.floats(0, 20),
    count=st.integers(1, 300),
)
@example(schedule=cron("0 * * * *", tz="Australia/Lord_Howe"), end=utc("2024-10-06"), days=1, count=10)
def test_the_latest_due_times_are_the_end_of_all(schedule: Schedule, end: datetime, days: float, count: int) -> None:
    start = end - timedelta(days=days)

    assert latest(schedule, start, end, count) == list(schedule.between(start, end))[-count:]


@pytest.mark.parametrize("schedule", [cron("0 2 * * *", tz="Europe/Berlin"), every(days=1), Asked(crontab(minute="0"))])
def test_nothing_is_due_in_no_time_or_backwards(schedule: Schedule) -> None:
    noon = utc("2025-01-01T12:00")

    assert latest(schedule, noon, noon, 5) == []
    assert latest(schedule, noon + DAY, noon, 5) == []


def test_the_coming_due_times_are_found_as_far_as_there_are_some() -> None:
    assert coming(every(hours=1), utc("2025-01-01"), 2) == [utc("2025-01-01T01:00"), utc("2025-01-01T02:00")]
    assert coming(cron("@yearly"), utc("9998-06-01"), 5) == [utc("9999-01-01")]


def no_argument() -> bool:
    return True


@pytest.mark.parametrize("value", ["0 2 * * *", None, 5, HOUR, no_argument, Cron, cron, every, crontab])
def test_anything_else_is_refused_saying_what_was_expected(value: Callable[..., Any] | Any) -> None:
    with pytest.raises(ConfigError, match="expected a schedule such as"):
        as_schedule(value)
