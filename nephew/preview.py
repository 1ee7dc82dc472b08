"""What is to come of a schedule, as its wall clock shows it: due times, and the changes of the clock among them."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from nephew.duetimes import DAY, MICROSECOND
from nephew.schedules import Asked, Cron, Schedule, coming, latest
from nephew.wallclock import ClockChange, clock_changes

#: How far ahead changes of the clock are looked for, and how many ticks are shown before and after each.
WEEK, YEAR = 7 * DAY, 366 * DAY
NEAR = 2
#: How many wall-clock times a note tells before it counts the others.
TOLD = 3


Kind = Literal["tick", "gap", "fold"]


class Entry(NamedTuple):
    """A line of a preview.

    :ivar at: the moment, in the schedule's zone.
    :ivar kind: a due time, or a change of the clock: it skips times (gap), or shows them twice (fold).
    :ivar note: what a change of the clock makes of the schedule's times; empty: nothing.
    """

    at: datetime
    kind: Kind
    note: str


def preview(
    schedule: Schedule, start: datetime, days: float | None = None, around_dst: bool = False
) -> Iterator[Entry]:
    """What is to come after the aware moment `start`, in order, found one at a time.

    :param days: how far to look; None: a week, or a year for changes of the clock.
    :param around_dst: only what is near each change of the zone's clock; nothing when there is none.
    """
    if not around_dst:
        return _entries(schedule, start, start + (WEEK if days is None else timedelta(days=days)))
    end = start + (YEAR if days is None else timedelta(days=days))
    return (entry for stretch in _around_changes(schedule, start, end) for entry in _entries(schedule, *stretch))


def zone_of(schedule: Schedule) -> tzinfo | None:
    """The zone whose wall clock a schedule goes by; None: that of this machine."""
    if isinstance(schedule, Cron) and schedule.tz is not None:
        return ZoneInfo(schedule.tz)
    return None if isinstance(schedule, Asked) and not schedule.utc else UTC


def _around_changes(schedule: Schedule, start: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The stretches of time around the changes of the clock, from some ticks before to some after."""
    for change in clock_changes(zone_of(schedule), start, until):
        before = latest(schedule, start, change.at - change.shift, NEAR)
        after = coming(schedule, change.at + change.shift, NEAR)
        end = after[-1] if after else change.at + change.shift
        yield before[0] - MICROSECOND if before else start, end
        start = end


def _entries(schedule: Schedule, start: datetime, end: datetime) -> Iterator[Entry]:
    zone = zone_of(schedule)
    near = list(clock_changes(zone, start - DAY, end + DAY))
    jumps = (_jump(schedule, change) for change in near if start < change.at <= end)
    ticks = (Entry(due, "tick", _note_of_tick(schedule, due, near)) for due in schedule.between(start, end))
    # In UTC until here: in a zone of their own, datetimes compare by what the clock shows.
    for entry in heapq.merge(jumps, ticks, key=lambda entry: entry.at):
        yield entry._replace(at=entry.at.astimezone(zone))


def _jump(schedule: Schedule, change: ClockChange) -> Entry:
    first, last = change.walls
    concerned = _concerned(schedule, change)
    kind: Kind
    if change.is_gap:
        kind, jump, effect = "gap", f"clock forward from {_times(first, last)}", f"skips {concerned}"
    else:
        kind, jump, effect = "fold", f"clock back from {_times(last, first)}", f"shows {concerned} twice"
    return Entry(change.at, kind, f"{jump}: {effect}, {_outcome(schedule, change)}" if concerned else jump)


def _outcome(schedule: Schedule, change: ClockChange) -> str:
    if change.is_gap:
        return "due when the gap ends" if _runs_after(schedule) else "not due"
    first_only = isinstance(schedule, Cron) and schedule.names_a_time and schedule.fold == "first"
    return "due the first time only" if first_only else "due both times"


def _note_of_tick(schedule: Schedule, due: datetime, near: Iterable[ClockChange]) -> str:
    for change in near:
        if change.is_gap:
            if due == change.at and _runs_after(schedule) and (concerned := _concerned(schedule, change)):
                return f"for {concerned}, which the clock skips"
        elif change.at - change.shift <= due < change.at + change.shift:
            which, offset = ("first", change.before) if due < change.at else ("second", change.after)
            return f"the {which} {_time((due + offset).replace(tzinfo=None))}"
    return ""


def _runs_after(schedule: Schedule) -> bool:
    return isinstance(schedule, Cron) and schedule.names_a_time and schedule.gap == "run_after"


def _concerned(schedule: Schedule, change: ClockChange) -> str:
    """The times of a cron expression that a change skips or shows twice, in words; of others they are not known."""
    if not isinstance(schedule, Cron):
        return ""
    walls = list(schedule.walls(*change.walls))
    more = f" and {len(walls) - TOLD} more" if len(walls) > TOLD else ""
    return ", ".join(map(_time, walls[:TOLD])) + more


def _times(start: datetime, end: datetime) -> str:
    if start.date() == end.date():
        return f"{_time(start)} to {_time(end)}"
    return f"{start.date()} {_time(start)} to {end.date()} {_time(end)}"


def _time(wall: datetime) -> str:
    return f"{wall:%H:%M:%S}" if wall.second else f"{wall:%H:%M}"
