"""Over many zones and years, the due times are those that a slow reader of wall clocks finds."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nephew import clock
from nephew.catchup import Policy, decide
from nephew.schedules import Fold, Gap, cron
from nephew.wallclock import clock_changes
from tests.unit.zones import CHANGES, DAY, HOUR, MINUTE, once_per_wall_time, shown, utc

SECOND = timedelta(seconds=1)

#: Zones and the steps in which a walk meets each of their full hours: whole, half and quarter hours from UTC, north
#: and south, changing at midnight, by half an hour, by two hours, by a day, in the month of Ramadan, and never.
DOZEN = {
    "UTC": HOUR,
    "Europe/Berlin": HOUR,
    "America/New_York": HOUR,
    "Antarctica/Troll": HOUR,
    "America/Santiago": HOUR,
    "Asia/Beirut": HOUR,
    "Africa/Casablanca": HOUR,
    "Pacific/Apia": HOUR,
    "Australia/Lord_Howe": HOUR / 2,
    "America/St_Johns": HOUR / 2,
    "Asia/Kathmandu": HOUR / 4,
    "Pacific/Chatham": HOUR / 4,
}

#: Fields of cron expressions as they are written, with the numbers they mean.
Field = tuple[str, frozenset[int]]


def fields(size: int) -> st.SearchStrategy[Field]:
    """Every number below `size`, every n-th one, or some by name."""
    numbers = st.frozensets(st.integers(0, size - 1), min_size=1, max_size=4)
    return st.one_of(
        st.just(("*", frozenset(range(size)))),
        st.sampled_from([2, 5, 15, 20]).map(lambda step: (f"*/{step}", frozenset(range(0, size, step)))),
        numbers.map(lambda some: (",".join(map(str, sorted(some))), some)),
    )


def test_a_decade_of_hourly_ticks_in_a_dozen_zones() -> None:
    first, days = utc("2007-01-01"), 3653

    for name, step in DOZEN.items():
        moments = [first + number * step for number in range(1, days * (DAY // step) + 1)]
        zone = ZoneInfo(name)
        full_hours = [moment for moment in moments if moment.astimezone(zone).minute == 0]

        assert list(cron("0 * * * *", tz=name).between(first, moments[-1])) == full_hours, name


@given(
    name=st.sampled_from(sorted(zoneinfo.available_timezones())),
    year=st.integers(1973, 2040),
    which=st.integers(0, 3),
    hours_before=st.integers(1, 20),
    minute=fields(60),
    hour=fields(24),
    policy=st.tuples(st.sampled_from(get_args(Gap)), st.sampled_from(get_args(Fold))),
)
def test_in_any_zone_and_year_the_due_times_are_those_that_a_walk_from_minute_to_minute_finds(
    name: str, year: int, which: int, hours_before: int, minute: Field, hour: Field, policy: tuple[Gap, Fold]
) -> None:
    zone, start = ZoneInfo(name), datetime(year, 1, 1, tzinfo=UTC)
    changes = [change.at for change in clock_changes(zone, start, start + 366 * DAY)] or [start]
    first = changes[which % len(changes)] - hours_before * HOUR
    clock_shows = shown(zone, first, 30 * HOUR)

    def matches(wall: datetime) -> bool:
        return wall.minute in minute[1] and wall.hour in hour[1]

    if minute[0].startswith("*") or hour[0].startswith("*"):
        expected = [moment for moment, wall in clock_shows if matches(wall)]
    else:
        begin, end = clock_shows[0][1], clock_shows[-1][1]
        walls = [begin + number * MINUTE for number in range((end - begin) // MINUTE + 1)]
        expected = once_per_wall_time(clock_shows, [wall for wall in walls if matches(wall)], *policy)

    due = cron(f"{minute[0]} {hour[0]} * * *", name, *policy).between(first - SECOND, clock_shows[-1][0])

    assert list(due) == expected


@pytest.mark.parametrize(("name", "change"), CHANGES[:8])
def test_to_the_second_the_due_times_are_those_that_a_walk_from_second_to_second_finds(name: str, change: str) -> None:
    first = utc(change) - 2 * HOUR
    clock_shows = shown(ZoneInfo(name), first, 4 * HOUR, SECOND)

    def matches(wall: datetime) -> bool:
        return wall.second in (0, 20, 59) and wall.minute in (0, 29, 30, 59)

    due = cron("0,20,59 0,29,30,59 * * * *", tz=name).between(first - SECOND, clock_shows[-1][0])

    assert list(due) == [moment for moment, wall in clock_shows if matches(wall)]


@pytest.fixture
def berlin_to_change(tmp_path: Path) -> Iterator[Path]:
    """The file of the zone Europe/Berlin, for this test a copy, so that its rules may change."""
    path = tmp_path / "Europe" / "Berlin"
    path.parent.mkdir()
    zoneinfo.reset_tzpath([str(tmp_path)])
    yield path
    zoneinfo.reset_tzpath()
    ZoneInfo.clear_cache()


def rules_of(name: str) -> bytes:
    return (files("tzdata") / "zoneinfo" / name).read_bytes()


@pytest.mark.parametrize("after", ["Europe/London", "Asia/Kolkata", "Europe/Helsinki", "Pacific/Apia"])
@pytest.mark.parametrize("expression", ["30 2 * * *", "*/20 * * * *", "0 0 * * MON"])
def test_when_the_rules_of_a_zone_change_no_tick_is_decided_twice_and_none_of_the_new_ones_is_lost(
    berlin_to_change: Path, expression: str, after: str
) -> None:
    schedule, policy = cron(expression, tz="Europe/Berlin"), Policy("all", within=timedelta(days=400))
    start, update, end = utc("2025-03-20"), utc("2025-03-29T23:10"), utc("2025-04-10")
    seen, now, decided = start.timestamp(), start, list[datetime]()

    for moment, rules in ((update, "Europe/Berlin"), (end, after)):
        berlin_to_change.write_bytes(rules_of(rules))
        ZoneInfo.clear_cache()
        while now < moment:
            now = min(now + 5 * HOUR, moment)
            verdict = decide(schedule, policy, seen, now.timestamp())
            if verdict is not None:
                decided += [clock.at(fate.due) for fate in verdict.ticks]
                seen = verdict.upto

    known_then = [due for due in decided if due <= update]
    assert decided == sorted(set(decided))
    assert decided == known_then + list(cron(expression, tz=after).between(update, end))
