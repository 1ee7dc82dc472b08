"""Schedules with a fixed period: `every(minutes=15)`, spread by a jitter where one is wanted."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import blake2b

from nephew.duetimes import EPOCH, MICROSECOND, aware, due_within_minute, until
from nephew.errors import ConfigError

#: The shortest period of `every`.
SHORTEST = timedelta(milliseconds=100)
NONE = timedelta(0)


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed period, made by `every()`: due at `anchor + k * period` for every whole k, negative ones too.

    With a jitter each of them is put off by its own part of it. That part is a hash of period, anchor, k and
    salt, so every consumer finds the same, and no due time overtakes another.

    :ivar period: time between two due times, to the microsecond.
    :ivar anchor: one of the due times, in UTC, but for the jitter.
    :ivar jitter: the longest that a due time is put off, shorter than the period.
    :ivar salt: what sets the jitter of this schedule apart from that of others alike.
    """

    period: timedelta
    anchor: datetime = EPOCH
    jitter: timedelta = NONE
    salt: str = ""

    def __repr__(self) -> str:
        anchor = "" if self.anchor == EPOCH else f", anchor={self.anchor.isoformat()}"
        jitter = f", jitter={_plain(self.jitter.total_seconds())}" if self.jitter else ""
        salt = f".salted({self.salt!r})" if self.salt else ""
        return f"every({_in_largest_unit(self.period)}{anchor}{jitter}){salt}"

    def __call__(self, timestamp: datetime) -> bool:
        """Whether it is due within the minute of `timestamp`; a naive one is UTC."""
        return due_within_minute(self, timestamp)

    def salted(self, name: str) -> Every:
        """This schedule with a jitter of its own; itself when it has none, or a salt already."""
        return replace(self, salt=name) if self.jitter and not self.salt else self

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time strictly after the aware `moment`, in UTC; None: past the year 9999."""
        return next(self._ticks(aware(moment)), None)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The due times after `start` up to and including `end`, in UTC, found one at a time."""
        return until(aware(end), self._ticks(aware(start)))

    def latest(self, start: datetime, end: datetime, count: int) -> list[datetime]:
        """The last `count` of `between(start, end)`, in order."""
        start, end = aware(start), aware(end)
        last = self._first_after(end) - 1
        first = max(self._first_after(start), last - count + 1)
        return [self._tick(number) for number in range(first, last + 1)]

    def _ticks(self, moment: datetime) -> Iterator[datetime]:
        try:
            number = self._first_after(moment)
            while True:
                yield self._tick(number)
                number += 1
        except OverflowError:  # past the year 9999
            return

    def _first_after(self, moment: datetime) -> int:
        """The number of the first due time strictly after `moment`."""
        number = (moment - self.anchor) // self.period
        return number if self.jitter and self._tick(number) > moment else number + 1

    def _tick(self, number: int) -> datetime:
        return self.anchor + number * self.period + self._put_off(number)

    def _put_off(self, number: int) -> timedelta:
        if not self.jitter:
            return NONE
        of = f"{self.period // MICROSECOND} {(self.anchor - EPOCH) // MICROSECOND} {number} {self.salt}"
        part = int.from_bytes(blake2b(of.encode(), digest_size=8).digest(), "big")
        return MICROSECOND * (self.jitter // MICROSECOND * part >> 64)


def every(
    *,
    seconds: float | None = None,
    minutes: float | None = None,
    hours: float | None = None,
    days: float | None = None,
    anchor: datetime | None = None,
    jitter: float | timedelta = 0,
) -> Every:
    """A schedule with a fixed period: `every(minutes=15)`; several units add up.

    :param anchor: an aware datetime that is one of the due times; None: the epoch, 1970-01-01 00:00 UTC, so
        that `every(minutes=15)` is due on the quarter and `every(days=1)` at midnight UTC.
    :param jitter: puts each due time off by a part of this (seconds, or a timedelta; shorter than the period).
        Which part depends on the due time and, for a periodic task, on its name; it is the same on every consumer.
    :raises ConfigError: when no number is given, one is not greater than 0, or their sum is below 0.1 s; when
        the anchor is naive, or the jitter is not shorter than the period.
    """
    units = {"seconds": seconds, "minutes": minutes, "hours": hours, "days": days}
    given = {name: number for name, number in units.items() if number is not None}
    if not given:
        raise ConfigError("every(): expected seconds, minutes, hours or days, got none of them")
    for name, number in given.items():
        if not _is_number(number) or not 0 < number < math.inf:
            raise ConfigError(f"every(): expected {name} to be a number greater than 0, got {number!r}")
    if anchor is not None and (not isinstance(anchor, datetime) or anchor.utcoffset() is None):
        raise ConfigError(f"every(): expected anchor to be a datetime with a time zone, got {anchor!r}")
    period = _period(given)
    return Every(period, EPOCH if anchor is None else anchor.astimezone(UTC), _jitter(jitter, period))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _period(units: dict[str, float]) -> timedelta:
    try:
        period = timedelta(**units)
    except OverflowError as error:
        raise ConfigError(f"every(): expected less than a billion days, got {units}") from error
    if period < SHORTEST:
        raise ConfigError(f"every(): expected at least 0.1 s, got {period.total_seconds():g} s")
    return period


def _jitter(given: float | timedelta, period: timedelta) -> timedelta:
    try:
        jitter = given if isinstance(given, timedelta) else timedelta(seconds=given)
    except (TypeError, ValueError, OverflowError):
        jitter = period
    if isinstance(given, bool) or not NONE <= jitter < period:
        raise ConfigError(
            f"every(): expected jitter to be seconds or a timedelta from 0 to below the period, got {given!r}"
        )
    return jitter


def _in_largest_unit(period: timedelta) -> str:
    for unit in ("days", "hours", "minutes"):
        if not period % timedelta(**{unit: 1}):
            return f"{unit}={period // timedelta(**{unit: 1})}"
    return f"seconds={_plain(period.total_seconds())}"


def _plain(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".")
