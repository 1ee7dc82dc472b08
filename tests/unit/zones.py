"""Zones, the moments around which their clocks change, and what a clock on the wall shows there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from nephew.schedules import Schedule

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

#: An hour forward and back, half an hour, two hours, at midnight, a whole day; and one zone that never changes.
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
    return shown(ZoneInfo(zone), utc(change) - DAY, 2 * DAY)


def shown(
    zone: ZoneInfo, first: datetime, stretch: timedelta, step: timedelta = MINUTE
) -> list[tuple[datetime, datetime]]:
    """The moments from `first` on, with what a clock on the wall shows at each."""
    moments = [first + number * step for number in range(stretch // step)]
    return [(moment, moment.astimezone(zone).replace(tzinfo=None)) for moment in moments]


def once_per_wall_time(
    clock: list[tuple[datetime, datetime]], walls: list[datetime], gap: str = "run_after", fold: str = "first"
) -> list[datetime]:
    """When those times of day are due, looked up slowly in what the clock shows.

    :param walls: times that match, shown or not.
    """
    moments: dict[datetime, list[datetime]] = {}
    for moment, wall in clock:
        moments.setdefault(wall, []).append(moment)
    due: set[datetime] = set()
    for wall in walls:
        if wall in moments:
            due.update(moments[wall] if fold == "both" else moments[wall][:1])
        elif gap == "run_after":
            due.update([moment for moment, shows in clock if shows > wall][:1])
    return sorted(due)
