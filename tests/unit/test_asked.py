"""Functions of a datetime as schedules: asked once for each minute, in UTC or in local time."""

import time
from collections.abc import Iterator
from datetime import datetime

import pytest
from huey import crontab

from nephew.preview import preview
from nephew.schedules import Asked
from tests.unit.zones import on_that_day, utc


def test_a_function_is_asked_once_for_each_minute() -> None:
    asked: list[datetime] = []

    def due(moment: datetime) -> bool:
        asked.append(moment)
        return moment.minute % 2 == 0

    ticks = Asked(due).between(utc("2025-01-01T12:00:30"), utc("2025-01-01T12:04:30"))

    assert [tick.minute for tick in ticks] == [2, 4]
    assert asked == [datetime(2025, 1, 1, 12, minute) for minute in (1, 2, 3, 4)]


def test_the_next_minute_is_looked_for_a_year_ahead_and_no_further() -> None:
    yearly = Asked(lambda moment: (moment.month, moment.day, moment.hour, moment.minute) == (1, 1, 0, 0))
    never = Asked(lambda moment: False)

    assert yearly.next_after(utc("2025-01-01")) == utc("2026-01-01")
    assert never.next_after(utc("2025-01-01")) is None
    assert Asked(crontab(month="1", day="3", hour="4", minute="5")).next_after(utc("2025-01-01")) == utc(
        "2025-01-03T04:05"
    )


def test_the_latest_minutes_are_asked_for_from_the_end_backwards_and_no_more_than_it_takes() -> None:
    asked: list[datetime] = []

    def due(moment: datetime) -> bool:
        asked.append(moment)
        return moment.minute % 2 == 0

    latest = Asked(due).latest(utc("2022-01-01"), utc("2025-01-01T12:05:30"), 2)

    assert latest == [utc("2025-01-01T12:02"), utc("2025-01-01T12:04")]
    assert asked == [datetime(2025, 1, 1, 12, minute) for minute in (5, 4, 3, 2)]


def test_the_latest_minutes_are_looked_for_a_year_back_and_no_further() -> None:
    yearly = Asked(lambda moment: (moment.month, moment.day, moment.hour, moment.minute) == (1, 1, 0, 0))

    assert yearly.latest(utc("2000-01-01"), utc("2025-01-01"), 2) == [utc("2025-01-01")]


def test_a_function_answers_huey_itself_as_it_did() -> None:
    asked = Asked(crontab(hour="2", minute="0"), utc=False)

    assert asked(datetime(2025, 1, 1, 2)) is True
    assert asked(datetime(2025, 1, 1, 3)) is False


@pytest.fixture
def in_berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's local time is Berlin's."""
    if not hasattr(time, "tzset"):
        pytest.skip("the local time of this system cannot be set")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Europe/Berlin")
        time.tzset()
        yield
    time.tzset()


def test_a_function_is_given_local_time_where_huey_is_told_so(in_berlin: None) -> None:
    two_o_clock = crontab(hour="2", minute="0")

    assert Asked(two_o_clock, utc=False).next_after(utc("2025-07-01")) == utc("2025-07-02T00:00")
    assert Asked(two_o_clock, utc=True).next_after(utc("2025-07-01")) == utc("2025-07-01T02:00")


def test_a_function_of_local_time_is_not_due_in_a_gap_and_twice_in_a_fold(in_berlin: None) -> None:
    half_past_two = Asked(crontab(hour="2", minute="30"), utc=False)

    assert on_that_day(half_past_two, "2025-03-30", "Europe/Berlin") == []
    assert on_that_day(half_past_two, "2025-10-26", "Europe/Berlin") == ["02:30+0200", "02:30+0100"]


def test_a_preview_in_local_time_shows_the_changes_of_its_clock(in_berlin: None) -> None:
    half_past = Asked(crontab(minute="30"), utc=False)

    night = [*preview(half_past, utc("2025-03-30T00:00"), days=0.1), *preview(half_past, utc("2025-10-26"), days=0.1)]

    assert [f"{entry.at:%H:%M%z} {entry.kind} {entry.note}".rstrip() for entry in night] == [
        "01:30+0100 tick",
        "03:00+0200 gap clock forward from 02:00 to 03:00",
        "03:30+0200 tick",
        "02:30+0200 tick the first 02:30",
        "02:00+0100 fold clock back from 03:00 to 02:00",
        "02:30+0100 tick the second 02:30",
    ]
