"""Between a zone's wall clock and the moments that it shows, across changes of the clock."""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

SECOND, DAY = timedelta(seconds=1), timedelta(days=1)


class ClockChange(NamedTuple):
    """A moment at which a zone's wall clock jumps.

    :ivar at: the moment, in UTC.
    :ivar before: how far the clock was ahead of UTC until then.
    :ivar after: how far it is from then on.
    """

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def is_gap(self) -> bool:
        """Whether the clock jumps forward, so that the times between are never shown."""
        return self.after > self.before

    @property
    def shift(self) -> timedelta:
        """How far it jumps, forward or back."""
        return abs(self.after - self.before)

    @property
    def walls(self) -> tuple[datetime, datetime]:
        """The naive wall-clock times that are skipped or shown twice: from the first, up to the second, without it."""
        naive = self.at.replace(tzinfo=None)
        return naive + min(self.before, self.after), naive + max(self.before, self.after)


def offset_at(moment: datetime, zone: tzinfo | None) -> timedelta:
    """How far the zone's wall clock is ahead of UTC at a moment; None: the zone of this machine."""
    return moment.astimezone(zone).utcoffset() or timedelta(0)


def offset_change(zone: tzinfo | None, offset: timedelta, after: datetime, until: datetime) -> datetime | None:
    """The first moment after the whole second `after`, up to `until`, whose UTC offset is not `offset`."""
    while after < until:
        probe = min(after + DAY, until)
        if offset_at(probe, zone) != offset:
            seconds = range(1, (probe - after) // SECOND + 1)
            at = bisect.bisect_left(seconds, True, key=lambda s: offset_at(after + s * SECOND, zone) != offset)
            return after + seconds[at] * SECOND
        after = probe
    return None


def clock_changes(zone: tzinfo | None, start: datetime, end: datetime) -> Iterator[ClockChange]:
    """The changes of a zone's clock after the second of `start`, up to and including `end`."""
    start = start.replace(microsecond=0)
    offset = offset_at(start, zone)
    while (at := offset_change(zone, offset, start, end)) is not None:
        start, before, offset = at, offset, offset_at(at, zone)
        yield ClockChange(at, before, offset)


def is_repeat(moment: datetime, zone: tzinfo) -> bool:
    """Whether the zone's wall clock shows at that moment what it has shown before: the second pass of a fold."""
    return moment.astimezone(zone).fold == 1
