"""Schedules as values: their due times over zones and clock changes, and what is refused."""

import pickle
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from huey import MemoryHuey, crontab
from hypothesis import assume, given
from hypothesis import strategies as st

from nephew.errors import ConfigError
from nephew.schedules import Asked, Cron, Every, Schedule, as_schedule, cron, every

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

#: Moments around which a zone's clock changes: an hour forward and back, half an hour, two hours, at
#: midnight, a whole day; and one zone that never changes.
CHANGES = [
    ("Europe/Berlin", "2025-03-30T01:00"),
    ("Europe/Berlin", "2025-10-26T01:00"),
    ("America/New_York", "2025-03-09T07:00"),
    ("America/New_York", "2025-11-02T06:00"),
    ("Australia/Lord_Howe", "2025-04-05T15:00"),
    ("Australia/Lord_Howe", "2025-10-04T15:30"),
    ("Antarctica/Troll", "2025-03-30T01:00"),
    ("Antarctica/Troll", "2025-10-26T01:00"),
    ("America/Santiago", "2025-04-06T03:00"),
    ("America/Santiago", "2025-09-07T04:00"),
    ("Asia/Beirut", "2025-03-29T22:00"),
    ("Asia/Beirut", "2025-10-25T21:00"),
    ("Africa/Casablanca", "2025-02-23T02:00"),
    ("Africa/Casablanca", "2025-04-06T02:00"),
    ("Pacific/Apia", "2011-12-30T10:00"),
    ("Asia/Kolkata", "2025-03-03T03:00"),
]

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


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def local(moments: list[datetime], zone: str) -> list[str]:
    """The moments as that zone writes them, without date and seconds."""
    return [moment.astimezone(ZoneInfo(zone)).strftime("%H:%M%z") for moment in moments]


def on_that_day(schedule: Schedule, day: str, zone: str) -> list[str]:
    start = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    end = (datetime.fromisoformat(day) + DAY).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return local(list(schedule.between(start - MINUTE, end - MINUTE)), zone)


@cache
def clock_around(zone: str, change: str) -> list[tuple[datetime, datetime]]:
    """Each minute for two days around `change`, with what a clock on the wall shows in it."""
    first = utc(change) - DAY
    minutes = [first + number * MINUTE for number in range(2 * 24 * 60)]
    return [(minute, minute.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for minute in minutes]


def reference_whenever_shown(fields: dict[str, str], zone: str, change: str) -> list[datetime]:
    matches = crontab(**fields)
    return [minute for minute, wall in clock_around(zone, change) if matches(wall)]


def reference_once_per_wall_time(fields: dict[str, str], zone: str, change: str) -> list[datetime]:
    """For each wall time that matches: the first minute that shows it, or, in a gap, a later one."""
    matches, shown = crontab(**fields), clock_around(zone, change)
    first, last = shown[0][1], shown[-1][1]
    walls = [first + number * MINUTE for number in range((last - first) // MINUTE + 1)]
    return sorted({next(m for m, shows in shown if shows >= wall) for wall in walls if matches(wall)})


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("expression", WHENEVER_SHOWN)
def test_a_repeating_expression_is_due_whenever_the_wall_clock_matches(expression: str, zone: str, change: str) -> None:
    expected = reference_whenever_shown(WHENEVER_SHOWN[expression], zone, change)

    due = cron(expression, tz=zone).between(utc(change) - DAY - MINUTE, utc(change) + DAY - MINUTE)

    assert list(due) == expected


@pytest.mark.parametrize(("zone", "change"), CHANGES)
@pytest.mark.parametrize("expression", ONCE_PER_WALL_TIME)
def test_a_time_of_day_is_due_once_and_after_the_gap_when_the_clock_skips_it(
    expression: str, zone: str, change: str
) -> None:
    expected = reference_once_per_wall_time(ONCE_PER_WALL_TIME[expression], zone, change)

    due = cron(expression, tz=zone).between(utc(change) - DAY - MINUTE, utc(change) + DAY - MINUTE)

    assert list(due) == expected


@given(
    expression=st.sampled_from([*WHENEVER_SHOWN, *ONCE_PER_WALL_TIME, "0 30 2 * * *", "*/20 59 * * * *"]),
    around=st.sampled_from(CHANGES),
    seconds=st.integers(-30 * 3600, 30 * 3600),
    microseconds=st.sampled_from([0, 1, 500_000, 999_999]),
)
def test_the_due_times_are_the_same_wherever_one_starts_to_look(
    expression: str, around: tuple[str, str], seconds: int, microseconds: int
) -> None:
    zone, change = around
    schedule = cron(expression, tz=zone)
    moment = utc(change) + timedelta(seconds=seconds, microseconds=microseconds)

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


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 2 * * *", "2025-01-02T02:00"),
        ("*/10 * * * * *", "2025-01-01T12:00:10"),
        ("0 9 * * MON-FRI", "2025-01-02T09:00"),
        ("0 0 L * *", "2025-01-31T00:00"),
        ("0 0 LW 5 *", "2025-05-30T00:00"),
        ("0 0 * * MON#2", "2025-01-13T00:00"),
        ("0 0 * * 5L", "2025-01-31T00:00"),
        ("0 0 29 feb *", "2028-02-29T00:00"),
        ("@hourly", "2025-01-01T13:00"),
        ("@daily", "2025-01-02T00:00"),
        ("@midnight", "2025-01-02T00:00"),
        ("@weekly", "2025-01-05T00:00"),
        ("@monthly", "2025-02-01T00:00"),
        ("@Yearly", "2026-01-01T00:00"),
    ],
)
def test_cron_understands_the_usual_words_and_means_utc_by_default(expression: str, expected: str) -> None:
    assert cron(expression).next_after(utc("2025-01-01T12:00")) == utc(expected)


def test_a_moment_may_be_given_in_any_zone() -> None:
    noon = datetime(2025, 7, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo"))

    assert cron("0 * * * *").next_after(noon) == utc("2025-07-01T04:00")
    assert every(hours=1).next_after(noon) == utc("2025-07-01T04:00")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("60 2 * * *", "expected minute to be 0-59"),
        ("0 25 * * *", "expected hour to be 0-23"),
        ("0 2 0 * *", "expected day-of-month to be 1-31"),
        ("0 2 * FOO *", "expected month to be 1-12"),
        ("0 2 * * 8", "expected day-of-week to be 0-7"),
        ("61 0 2 * * *", "expected second to be 0-59"),
        ("*/0 2 * * *", "expected minute to be"),
        (f"{'9' * 5000} 2 * * *", "cron"),
        ("0 0 31 2 *", "expected a day that month 2 has, got 31"),
        ("0 2 * *", "expected 5 fields (minute, hour, day-of-month, month, day-of-week)"),
        ("", "got 0"),
        ("@reboot", "expected one of @hourly @daily"),
    ],
)
def test_a_wrong_expression_is_refused_at_once_naming_the_field(expression: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        cron(expression)

    assert message in str(refused.value)


def test_the_message_of_a_wrong_expression_shows_all_one_needs() -> None:
    with pytest.raises(ConfigError) as refused:
        cron("0 25 * * *")

    assert str(refused.value) == (
        'cron("0 25 * * *"): expected hour to be 0-23, *, a list 1,2, a range 1-5 or a step */2, got 25'
    )


def test_an_expression_that_is_no_text_is_refused() -> None:
    unfit: Any = 5

    with pytest.raises(ConfigError, match=r"expected an expression .* got 5"):
        cron(unfit)


@pytest.mark.parametrize("zone", ["Europe/Berlim", "Europe", "../etc/passwd", "", 5, UTC])
def test_an_unknown_zone_is_refused_at_once(zone: Any) -> None:
    with pytest.raises(ConfigError, match="expected tz to be a"):
        cron("0 2 * * *", tz=zone)


def test_a_misspelt_zone_is_told_its_name() -> None:
    with pytest.raises(ConfigError, match=r"got 'Europe/Berlim'; did you mean Europe/Berlin\?"):
        cron("0 2 * * *", tz="Europe/Berlim")


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
    ],
)
def test_an_unusable_period_is_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        every(**arguments)


@pytest.mark.parametrize("schedule", [cron("0 2 * * *"), cron("0 2 * * *", tz="Asia/Tokyo"), every(days=1)])
def test_time_itself_ends_with_the_year_9999(schedule: Schedule) -> None:
    assert schedule.next_after(utc("9999-12-31T23:00")) is None


def test_an_expression_that_no_day_fits_is_never_due() -> None:
    assert cron("0 0 */31 * MON#3").next_after(utc("2025-01-01")) is None


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


def test_a_function_is_asked_once_for_each_minute() -> None:
    asked: list[datetime] = []

    def due(moment: datetime) -> bool:
        asked.append(moment)
        return moment.minute % 2 == 0

    ticks = Asked(due).between(utc("2025-01-01T12:00:30"), utc("2025-01-01T12:04:30"))

    assert [tick.minute for tick in ticks] == [2, 4]
    assert asked == [datetime(2025, 1, 1, 12, minute) for minute in (1, 2, 3, 4)]


def test_the_next_time_of_hueys_crontab_is_found_a_year_ahead_and_no_further() -> None:
    yearly, never = (
        Asked(crontab(month="1", day="1", hour="0", minute="0")),
        Asked(crontab(month="2", day="30")),
    )

    assert yearly.next_after(utc("2025-01-01")) == utc("2026-01-01")
    assert never.next_after(utc("2025-01-01")) is None


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


def test_anything_that_huey_takes_becomes_a_schedule() -> None:
    def at_noon(moment: datetime) -> bool:
        return moment.hour == 12

    table, daily = crontab(minute="0"), cron("@daily")

    assert as_schedule(daily) is daily
    assert as_schedule(every(hours=1)) == Every(HOUR)
    assert as_schedule(table, utc=False) == Asked(table, utc=False)
    assert as_schedule(at_noon) == Asked(at_noon)
    assert "at_noon" in repr(as_schedule(at_noon))


def test_a_schedule_of_the_users_own_is_taken_as_it_is() -> None:
    class Never:
        def next_after(self, moment: datetime) -> datetime | None:
            return None

        def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
            return iter(())

        def __call__(self, timestamp: datetime) -> bool:
            return False

    never = Never()

    assert as_schedule(never) is never


def no_argument() -> bool:
    return True


@pytest.mark.parametrize("value", ["0 2 * * *", None, 5, HOUR, no_argument, Cron, cron, every, crontab])
def test_anything_else_is_refused_saying_what_was_expected(value: Callable[..., Any] | Any) -> None:
    with pytest.raises(ConfigError, match="expected a schedule such as"):
        as_schedule(value)
