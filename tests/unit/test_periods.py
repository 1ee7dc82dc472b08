"""Fixed periods: their due times, their jitter, and what is refused."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nephew.errors import ConfigError
from nephew.schedules import cron, every, salted
from tests.unit.zones import utc

MICROSECOND = timedelta(microseconds=1)


def test_a_period_counts_from_the_epoch_so_that_all_agree() -> None:
    due = every(minutes=15).between(utc("2025-01-01T12:00"), utc("2025-01-01T13:00"))

    assert [tick.minute for tick in due] == [15, 30, 45, 0]


def test_a_period_counts_from_its_anchor_in_both_directions() -> None:
    weekly = every(days=7, anchor=datetime(2025, 1, 1, 9, tzinfo=ZoneInfo("Asia/Tokyo")))

    assert weekly.next_after(utc("2025-01-01T00:00")) == utc("2025-01-08T00:00")
    assert weekly.next_after(utc("2024-12-30")) == utc("2025-01-01T00:00")
    assert weekly.next_after(utc("2024-12-24")) == utc("2024-12-25T00:00")


@given(
    seconds=st.floats(0.1, 1e7),
    moment=st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_a_period_is_due_within_one_period_and_from_then_on_evenly(seconds: float, moment: datetime) -> None:
    schedule = every(seconds=seconds)

    due = list(islice(schedule.between(moment, moment + 4 * schedule.period), 3))

    assert moment < due[0] <= moment + schedule.period
    assert {later - earlier for earlier, later in pairwise(due)} == {schedule.period}
    assert schedule.next_after(due[0]) == due[1]
    assert schedule.next_after(due[1] - timedelta(microseconds=1)) == due[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "expected seconds, minutes, hours or days"),
        ({"seconds": 0}, "expected seconds to be a number greater than 0, got 0"),
        ({"minutes": -1}, "expected minutes"),
        ({"hours": True}, "expected hours"),
        ({"days": "1"}, "expected days"),
        ({"seconds": float("nan")}, "expected seconds"),
        ({"seconds": float("inf")}, "expected seconds"),
        ({"seconds": 0.09}, "expected at least 0.1 s, got 0.09 s"),
        ({"days": 1e10}, "expected less than a billion days"),
        ({"days": 1, "anchor": datetime(2025, 1, 1)}, "expected anchor to be a datetime with a time zone"),
        ({"days": 1, "anchor": "2025-01-01"}, "expected anchor"),
        ({"seconds": 5, "jitter": 5}, "expected jitter to be seconds or a timedelta from 0 to below the period, got 5"),
        ({"seconds": 5, "jitter": -1}, "expected jitter"),
        ({"seconds": 5, "jitter": True}, "expected jitter"),
        ({"seconds": 5, "jitter": "1"}, "expected jitter"),
        ({"seconds": 5, "jitter": float("nan")}, "expected jitter"),
    ],
)
def test_an_unusable_period_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        every(**arguments)


@given(
    period=st.floats(0.1, 1e6),
    share=st.floats(0, 0.999),
    name=st.text(max_size=5),
    moment=st.datetimes(datetime(1960, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_a_jitter_puts_each_due_time_off_by_less_than_itself_and_keeps_their_order(
    period: float, share: float, name: str, moment: datetime
) -> None:
    even = every(seconds=period)
    jitter = share * even.period
    schedule = every(seconds=period, jitter=jitter).salted(name)
    base = next(even.between(moment, moment + even.period))

    due = schedule.latest(base - MICROSECOND, base + 5 * even.period - MICROSECOND, 10)

    assert len(due) in (4, 5)  # the last of them may be put off until after the end
    for number, tick in enumerate(due):
        put_off = tick - (base + number * even.period)
        assert put_off < jitter if jitter else put_off == timedelta(0)
        assert put_off >= timedelta(0)
        assert schedule.next_after(tick - MICROSECOND) == tick
    assert list(schedule.between(due[0], due[-1])) == due[1:]


def test_jitter_spreads_plans_alike_and_is_the_same_on_every_consumer() -> None:
    schedule, noon = every(minutes=1, jitter=30), utc("2025-01-01T12:00")

    mail, report = (schedule.salted(name).latest(noon, noon + timedelta(minutes=4), 3) for name in ("mail", "report"))

    assert [f"{tick:%M:%S.%f}" for tick in mail] == ["01:01.656840", "02:14.331981", "03:29.283703"]
    assert [f"{tick:%M:%S.%f}" for tick in report] == ["01:23.775594", "02:06.794659", "03:04.237903"]


def test_a_schedule_is_salted_once_and_only_where_it_has_a_jitter() -> None:
    assert every(minutes=1).salted("mail") == every(minutes=1)
    assert every(minutes=1, jitter=5).salted("mail").salted("report").salt == "mail"
    assert salted(every(minutes=1, jitter=5), "mail") == every(minutes=1, jitter=5).salted("mail")
    assert salted(cron("@daily"), "mail") == cron("@daily")
