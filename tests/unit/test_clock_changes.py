"""Cron expressions where clocks change: hours that a clock skips, and hours that it shows twice."""

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise, product
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from huey import crontab
from hypothesis import assume, given
from hypothesis import strategies as st

from nephew.schedules import Fold, Gap, cron
from tests.unit.zones import CHANGES, DAY, HOUR, MINUTE, clock_around, on_that_day, once_per_wall_time, utc

#: Expressions in cron's and in Huey's words, so that Huey's own matching says what is right.
WHENEVER_SHOWN: dict[str, dict[str, str]] = {
    "* * * * *": {},
    "*/15 * * * *": {"minute": "*/15"},
    "30 * * * *": {"minute": "30"},
    "0 */2 * * *": {"minute": "0", "hour": "*/2"},
    "15 */3 * * *": {"minute": "15", "hour": "*/3"},
    "*/15 2 * * *": {"minute": "*/15", "hour": "2"},
    "* 0 * * *": {"hour": "0"},
    "*/20 0 * * SUN": {"minute": "*/20", "hour": "0", "day_of_week": "0"},
    "0 */2 30 * *": {"minute": "0", "hour": "*/2", "day": "30"},
}
ONCE_PER_WALL_TIME: dict[str, dict[str, str]] = {
    "30 2 * * *": {"minute": "30", "hour": "2"},
    "0 0 * * *": {"minute": "0", "hour": "0"},
    "30 1 * * *": {"minute": "30", "hour": "1"},
    "0,45 2,3 * * *": {"minute": "0,45", "hour": "2,3"},
    "15 0-3 * * *": {"minute": "15", "hour": "0-3"},
    "0 12 30 * *": {"minute": "0", "hour": "12", "day": "30"},
}


def around(change: str) -> tuple[datetime, datetime]:
    """From before the first minute of `clock_around` to its last."""
    return utc(change) - DAY - MINUTE, utc(change) + DAY - MINUTE


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("expression", WHENEVER_SHOWN)
def test_a_repeating_expression_is_due_whenever_the_wall_clock_matches(expression: str, zone: str, change: str) -> None:
    matches = crontab(**WHENEVER_SHOWN[expression])

    due = cron(expression, tz=zone).between(*around(change))

    assert list(due) == [minute for minute, wall in clock_around(zone, change) if matches(wall)]


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("expression", ONCE_PER_WALL_TIME)
def test_a_time_of_day_that_the_clock_skips_or_repeats_is_due_as_gap_and_fold_say(
    expression: str, zone: str, change: str
) -> None:
    matches, clock = crontab(**ONCE_PER_WALL_TIME[expression]), clock_around(zone, change)
    first, last = clock[0][1], clock[-1][1]
    walls = [first + number * MINUTE for number in range((last - first) // MINUTE + 1)]
    walls = [wall for wall in walls if matches(wall)]

    for gap, fold in product(get_args(Gap), get_args(Fold)):
        due = cron(expression, zone, gap, fold).between(*around(change))

        assert list(due) == once_per_wall_time(clock, walls, gap, fold), (gap, fold)


@pytest.mark.parametrize("expression", WHENEVER_SHOWN)
def test_gap_and_fold_are_without_effect_where_no_time_of_day_is_named(expression: str) -> None:
    for zone, change in CHANGES[:4]:
        as_ever = list(cron(expression, tz=zone).between(*around(change)))

        assert list(cron(expression, zone, "skip", "both").between(*around(change))) == as_ever


@given(
    expression=st.sampled_from([*WHENEVER_SHOWN, *ONCE_PER_WALL_TIME, "0 30 2 * * *", "*/20 59 * * * *"]),
    policy=st.tuples(st.sampled_from(get_args(Gap)), st.sampled_from(get_args(Fold))),
    change=st.sampled_from(CHANGES),
    seconds=st.integers(-30 * 3600, 30 * 3600),
    microseconds=st.sampled_from([0, 1, 500_000, 999_999]),
)
def test_the_due_times_are_the_same_wherever_one_starts_to_look(
    expression: str, policy: tuple[Gap, Fold], change: tuple[str, str], seconds: int, microseconds: int
) -> None:
    zone, at = change
    schedule = cron(expression, zone, *policy)
    moment = utc(at) + timedelta(seconds=seconds, microseconds=microseconds)

    due = schedule.next_after(moment)

    assert due is not None
    assert due > moment
    assert due.tzinfo is UTC
    long_before = schedule.between(moment - 2 * DAY, due)
    assert due == next(tick for tick in long_before if tick > moment)


@given(
    expression=st.sampled_from([*WHENEVER_SHOWN, *ONCE_PER_WALL_TIME, "0 12 29 2 *", "0 9 L * *", "@weekly"]),
    zone=st.sampled_from(["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Africa/Johannesburg"]),
    moment=st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)),
)
def test_away_from_clock_changes_the_answer_is_cronsims(expression: str, zone: str, moment: datetime) -> None:
    tz = ZoneInfo(zone)
    expected = next(CronSim(expression.replace("@weekly", "0 0 * * 0"), moment.astimezone(tz)))
    near = {moment.astimezone(tz).utcoffset(), (expected - 3 * DAY).utcoffset()}
    near |= {(expected + days * DAY).utcoffset() for days in (-1, 0, 1)}
    assume(len(near) == 1)

    assert cron(expression, tz=zone).next_after(moment) == expected


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_within_the_gap_is_due_when_the_gap_ends_with_5_and_with_6_fields(expression: str) -> None:
    schedule = cron(expression, tz="Europe/Berlin")

    assert on_that_day(schedule, "2025-03-29", "Europe/Berlin") == ["02:30+0100"]
    assert on_that_day(schedule, "2025-03-30", "Europe/Berlin") == ["03:00+0200"]
    assert on_that_day(schedule, "2025-03-31", "Europe/Berlin") == ["02:30+0200"]


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_within_the_fold_is_due_the_first_time_with_5_and_with_6_fields(expression: str) -> None:
    schedule = cron(expression, tz="Europe/Berlin")

    assert on_that_day(schedule, "2025-10-26", "Europe/Berlin") == ["02:30+0200"]


def test_a_daily_schedule_at_a_midnight_that_does_not_exist_is_due_at_one() -> None:
    assert on_that_day(cron("@daily", tz="Asia/Beirut"), "2025-03-30", "Asia/Beirut") == ["01:00+0300"]


def test_several_times_within_one_gap_are_due_once() -> None:
    schedule = cron("0,30 2,3 * * *", tz="Europe/Berlin")

    assert on_that_day(schedule, "2025-03-30", "Europe/Berlin") == ["03:00+0200", "03:30+0200"]


def test_an_hourly_schedule_stays_evenly_spaced_over_a_whole_year_of_clock_changes() -> None:
    schedule = cron("0 * * * *", tz="Europe/Berlin")

    due = list(schedule.between(utc("2025-01-01"), utc("2026-01-01")))

    assert len(due) == 365 * 24
    assert {later - earlier for earlier, later in pairwise(due)} == {HOUR}


def test_a_repeating_expression_within_one_hour_skips_the_gap_and_runs_twice_in_the_fold() -> None:
    schedule = cron("*/30 2 * * *", tz="Europe/Berlin")

    assert on_that_day(schedule, "2025-03-30", "Europe/Berlin") == []
    assert on_that_day(schedule, "2025-10-26", "Europe/Berlin") == [
        "02:00+0200",
        "02:30+0200",
        "02:00+0100",
        "02:30+0100",
    ]


def test_a_time_within_the_gap_may_be_left_out_and_one_within_the_fold_be_due_twice() -> None:
    schedule = cron("30 2 * * *", tz="Europe/Berlin", gap="skip", fold="both")

    assert on_that_day(schedule, "2025-03-30", "Europe/Berlin") == []
    assert on_that_day(schedule, "2025-10-26", "Europe/Berlin") == ["02:30+0200", "02:30+0100"]


def test_in_a_fold_that_runs_both_times_the_due_times_are_still_in_order() -> None:
    schedule = cron("0,30 2 * * *", tz="Europe/Berlin", fold="both")

    assert on_that_day(schedule, "2025-10-26", "Europe/Berlin") == [
        "02:00+0200",
        "02:30+0200",
        "02:00+0100",
        "02:30+0100",
    ]


def test_cronsim_still_treats_a_clock_change_as_our_docstrings_say() -> None:
    """When this fails, cronsim has changed: see whether the wall-clock part of ours can go."""
    berlin, lord_howe, beirut = map(ZoneInfo, ["Europe/Berlin", "Australia/Lord_Howe", "Asia/Beirut"])
    gap, fold = datetime(2025, 3, 30, tzinfo=berlin), datetime(2025, 10, 26, tzinfo=berlin)

    five_in_gap = next(CronSim("30 2 * * *", gap))
    six_in_gap = next(CronSim("0 30 2 * * *", gap))
    six_in_fold = list(islice(CronSim("0 30 2 * * *", fold), 2))
    lost_midnight = next(CronSim("0 0 0 * * *", datetime(2025, 4, 6, tzinfo=lord_howe)))
    before_midnight = datetime(2025, 3, 29, 23, 59, 58, tzinfo=beirut)
    two_answers = [
        next(CronSim("0 */2 30 * *", before_midnight + late)).astimezone(UTC)
        for late in (timedelta(0), timedelta(seconds=1))
    ]

    assert five_in_gap.isoformat() == "2025-03-30T03:00:00+02:00"
    assert six_in_gap.isoformat() == "2025-03-31T02:30:00+02:00"
    assert [tick.isoformat() for tick in six_in_fold] == [
        "2025-10-26T02:30:00+02:00",
        "2025-10-26T02:30:00+01:00",
    ]
    assert lost_midnight.isoformat() == "2025-04-08T00:00:00+10:30"
    assert two_answers[0] != two_answers[1]
