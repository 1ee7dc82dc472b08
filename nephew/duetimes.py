"""The due times of any schedule: what a schedule is asked for, and what can be found out by asking."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Protocol, runtime_checkable

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND, SECOND = timedelta(microseconds=1), timedelta(seconds=1)
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


@runtime_checkable
class Schedule(Protocol):
    """What a scheduler needs to know of a schedule.

    Ours have `latest(start, end, count)` as well, the last `count` due times of `between` without a walk through
    all of them. One that has it not is asked by `latest` below.
    """

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time strictly after the aware `moment`, in UTC; None: none is in sight.

        A schedule that says None may still become due later; it has to be asked again within a day.

        :raises ValueError: when `moment` is naive.
        """

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The due times after `start` up to and including `end`, in UTC, in order, found one at a time.

        :raises ValueError: when `start` or `end` is naive.
        """

    def __call__(self, timestamp: datetime) -> bool:
        """Whether it is due within the minute of `timestamp`, as `Huey.read_periodic` asks."""


def latest(schedule: Schedule, start: datetime, end: datetime, count: int) -> list[datetime]:
    """The last `count` due times after `start` up to and including `end`, in UTC, in order; fewer where fewer are.

    :raises ValueError: when `start` or `end` is naive.
    """
    own = getattr(schedule, "latest", None)
    if own is not None:
        found: list[datetime] = own(start, end, count)
        return found
    return _latest_in_growing_windows(schedule, aware(start), aware(end), count)


def _latest_in_growing_windows(schedule: Schedule, start: datetime, end: datetime, count: int) -> list[datetime]:
    found: list[datetime] = []
    width = MINUTE
    while len(found) < count and start < end:
        since = max(start, end - width)
        found = [*schedule.between(since, end), *found]
        end, width = since, 2 * width
    return found[-count:]


def due_within_minute(schedule: Schedule, timestamp: datetime) -> bool:
    """Whether a schedule is due within the minute of `timestamp`; a naive one is UTC."""
    moment = timestamp if timestamp.tzinfo is not None else as_utc(timestamp)
    minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
    due = schedule.next_after(minute - MICROSECOND)
    return due is not None and due < minute + MINUTE


def until(end: datetime, ticks: Iterator[datetime]) -> Iterator[datetime]:
    """The ticks up to and including `end`."""
    for tick in ticks:
        if tick > end:
            return
        yield tick


def coming(schedule: Schedule, moment: datetime, count: int) -> list[datetime]:
    """The next `count` due times strictly after the aware `moment`, in UTC; fewer where no more are in sight."""
    found: list[datetime] = []
    while len(found) < count and (due := schedule.next_after(found[-1] if found else moment)) is not None:
        found.append(due)
    return found


def aware(moment: datetime) -> datetime:
    """The moment in UTC.

    :raises ValueError: when it is naive.
    """
    if moment.utcoffset() is None:
        raise ValueError(f"expected a datetime with a time zone, got {moment!r}")
    return moment.astimezone(UTC)


def as_utc(naive: datetime) -> datetime:
    """The moment at which a clock that shows UTC shows `naive`."""
    return naive.replace(tzinfo=UTC)
