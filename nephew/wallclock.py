"""Between a zone's wall clock and the moments that it shows, across changes of the clock."""

from __future__ import annotations

import bisect
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


def offset_at(moment: datetime, zone: ZoneInfo) -> timedelta:
    """How far the zone's wall clock is ahead of UTC at a moment."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def offset_change(zone: ZoneInfo, offset: timedelta, after: datetime, until: datetime) -> datetime | None:
    """The first moment after `after`, up to `until`, whose UTC offset is not `offset`."""
    while after < until:
        probe = min(after + DAY, until)
        if offset_at(probe, zone) != offset:
            seconds = range(1, (probe - after) // SECOND + 1)
            at = bisect.bisect_left(seconds, True, key=lambda s: offset_at(after + s * SECOND, zone) != offset)
            return after + seconds[at] * SECOND
        after = probe
    return None


def first_instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The first moment whose wall clock shows `wall`; in a gap, the moment at which the gap ends."""
    instant = wall.replace(tzinfo=zone).astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == wall:
        return instant
    # In a gap fold=0 counts with the offset of before, and so lands after it; fold=1 the other way round.
    before = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
    return offset_change(zone, offset_at(before, zone), before, instant) or instant
