"""When a job is due: schedules as values. They know due times only, no task, no ledger and no policy.

The due times of a schedule are a fixed set: they depend on nothing but the schedule, so any number of
consumers that look at any moments agree on them.

`cron` has its expressions parsed and matched by cronsim, on plain wall-clock times; the step from wall clock
to UTC is made here, because cronsim 2.8, given a zone, loses ticks where the clock changes by half an hour
(Lord Howe) and answers differently for different starting moments where it skips midnight (Santiago, Beirut).
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, runtime_checkable
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from huey import crontab

from nephew import clock
from nephew.cronfields import MACROS, what_is_wrong, zone_name
from nephew.errors import ConfigError
from nephew.wallclock import first_instant, offset_at, offset_change

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND, SECOND = timedelta(microseconds=1), timedelta(seconds=1)
MINUTE = timedelta(minutes=1)

#: The shortest period of `every`.
SHORTEST = timedelta(milliseconds=100)
#: How many minutes ahead `Asked.next_after` asks before it gives up: 366 days, about a second of work.
HORIZON_MINUTES = 366 * 24 * 60


@runtime_checkable
class Schedule(Protocol):
    """What a scheduler needs to know of a schedule."""

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


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone, made by `cron()`.

    When clocks change, the rule is Debian's, for 5 and for 6 fields alike:

    * Minute and hour both name a time (neither begins with `*`), as in `30 2 * * *`: a time that the clock
      skips (gap) is due at the first moment after the gap, once; a time that it passes twice (fold) is due
      the first time only.
    * Otherwise, as in `*/15 * * * *` or `*/15 2 * * *`, it is due whenever a clock on the wall shows a
      matching time: never within a gap, both times in a fold; so ticks stay evenly spaced.

    cronsim itself keeps the first rule for 5 fields only: it skips `0 30 2 * * *` in a gap and runs it twice
    in a fold. There is no due time when none comes within 50 years, or after the year 9999.

    :ivar expression: the expression as it was written.
    :ivar tz: name of the zone whose wall clock it means; None: UTC.
    """

    expression: str
    tz: str | None = None

    def __post_init__(self) -> None:
        try:
            CronSim(self._fields, EPOCH)
        except (CronSimError, ValueError) as error:
            raise ConfigError(what_is_wrong(self.expression, self._fields, str(error))) from error

    def __repr__(self) -> str:
        zone = "" if self.tz is None else f', tz="{self.tz}"'
        return f'cron("{self.expression}"{zone})'

    def __call__(self, timestamp: datetime) -> bool:
        """Whether it is due within the minute of `timestamp`; a naive one is UTC."""
        return _due_within_minute(self, timestamp)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time strictly after the aware `moment`, in UTC; None: never again."""
        return next(self._ticks(_aware(moment)), None)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The due times after `start` up to and including `end`, in UTC, found one at a time."""
        return _until(_aware(end), self._ticks(_aware(start)))

    @property
    def _fields(self) -> str:
        """Always six fields, seconds first."""
        fields = MACROS.get(self.expression.lower(), self.expression)
        return f"0 {fields}" if len(fields.split()) == 5 else fields

    @property
    def _names_a_time(self) -> bool:
        _, minute, hour, *_ = self._fields.split()
        return not minute.startswith("*") and not hour.startswith("*")

    def _ticks(self, moment: datetime) -> Iterator[datetime]:
        moment = moment.replace(microsecond=0)  # due times are whole seconds
        try:
            if self.tz is None:
                yield from map(_as_utc, self._walls(moment))
            elif self._names_a_time:
                yield from self._once_per_wall_time(moment, ZoneInfo(self.tz))
            else:
                yield from self._whenever_shown(moment, ZoneInfo(self.tz))
        except OverflowError:  # past the year 9999
            return

    def _walls(self, moment: datetime) -> Iterator[datetime]:
        """The matching naive wall-clock times after the one that `moment` shows."""
        return CronSim(self._fields, moment.replace(tzinfo=None, fold=0))

    def _once_per_wall_time(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        for wall in self._walls(moment.astimezone(zone)):
            due = first_instant(wall, zone)
            if due > moment:  # a fold repeats what is past already; a gap puts several times on one instant
                moment = due
                yield due

    def _whenever_shown(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        offset = offset_at(moment, zone)
        while True:
            change = None
            for wall in self._walls(moment + offset):
                due = _as_utc(wall - offset)
                change = offset_change(zone, offset, moment, due)
                if change is not None:
                    break
                moment = due
                yield due
            if change is None:
                return
            # One second back, so that a tick at the very moment of the change is not lost.
            moment, offset = change - SECOND, offset_at(change, zone)


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed period, made by `every()`: due at `anchor + k * period` for every whole k, negative ones too.

    :ivar period: time between two due times, to the microsecond.
    :ivar anchor: one of the due times, in UTC.
    """

    period: timedelta
    anchor: datetime = EPOCH

    def __repr__(self) -> str:
        anchor = "" if self.anchor == EPOCH else f", anchor={self.anchor.isoformat()}"
        return f"every({_in_largest_unit(self.period)}{anchor})"

    def __call__(self, timestamp: datetime) -> bool:
        """Whether it is due within the minute of `timestamp`; a naive one is UTC."""
        return _due_within_minute(self, timestamp)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time strictly after the aware `moment`, in UTC; None: past the year 9999."""
        return next(self._ticks(_aware(moment)), None)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The due times after `start` up to and including `end`, in UTC, found one at a time."""
        return _until(_aware(end), self._ticks(_aware(start)))

    def _ticks(self, moment: datetime) -> Iterator[datetime]:
        number = (moment - self.anchor) // self.period
        try:
            while True:
                number += 1
                yield self.anchor + number * self.period
        except OverflowError:  # past the year 9999
            return


@dataclass(frozen=True, slots=True)
class Asked:
    """A function of a naive datetime that is asked once for each whole minute, as Huey's `crontab(...)` is.

    In local time (`utc=False`) a minute that the clock skips is never asked for, and one that it passes twice
    is asked for twice: `crontab(hour="2", minute="30")` is then due not at all and twice.

    :ivar function: says whether the minute it is given is due. It should depend on nothing but its argument:
        `next_after` asks it about the future, and several consumers ask it about the same minute. What it
        raises is passed on.
    :ivar utc: it is given UTC; otherwise the local time of this machine.
    """

    function: Callable[[datetime], Any]
    utc: bool = True

    def __repr__(self) -> str:
        function, zone = self.function, "" if self.utc else " in local time"
        known = hasattr(function, "__qualname__")
        name = f"{function.__module__}.{function.__qualname__}" if known else repr(function)
        return f"each minute that {name} says{zone}"

    def __call__(self, timestamp: datetime) -> bool:
        """The function's answer; a naive `timestamp` is given to it as it is."""
        return bool(self.function(timestamp)) if timestamp.tzinfo is None else self._says(_aware(timestamp))

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due minute strictly after the aware `moment`, in UTC; None: none in the next 366 days.

        None costs half a million calls of the function, about a second; keep the answer.
        """
        ahead = itertools.islice(_minutes_after(_aware(moment)), HORIZON_MINUTES)
        return next(filter(self._says, ahead), None)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The due minutes after `start` up to and including `end`, in UTC, asked for one at a time."""
        return filter(self._says, _until(_aware(end), _minutes_after(_aware(start))))

    def _says(self, minute: datetime) -> bool:
        naive = minute.replace(tzinfo=None) if self.utc else clock.to_naive(minute.timestamp(), utc=False)
        return bool(self.function(naive))


def cron(expression: str, tz: str | ZoneInfo | None = None) -> Cron:
    """A schedule from a cron expression: `cron("0 2 * * *", tz="Europe/Berlin")`.

    :param expression: 5 fields (minute, hour, day of month, month, day of week), or 6 with seconds first; or
        `@hourly @daily @midnight @weekly @monthly @yearly`. Names, lists, ranges, steps, `L`, `LW` and `#`
        are understood. Where day of month or day of week begins with `*` both must match, else one of them.
    :param tz: the zone whose wall clock is meant, as an IANA name or a ZoneInfo; None: UTC.
    :raises ConfigError: saying which field is wrong, what was expected and what was given.
    """
    if not isinstance(expression, str):
        raise ConfigError(f'cron(): expected an expression such as "0 2 * * *", got {expression!r}')
    return Cron(" ".join(expression.split()), None if tz is None else zone_name(tz))


def every(
    *,
    seconds: float | None = None,
    minutes: float | None = None,
    hours: float | None = None,
    days: float | None = None,
    anchor: datetime | None = None,
) -> Every:
    """A schedule with a fixed period: `every(minutes=15)`; several units add up.

    :param anchor: an aware datetime that is one of the due times; None: the epoch, 1970-01-01 00:00 UTC, so
        that `every(minutes=15)` is due on the quarter and `every(days=1)` at midnight UTC.
    :raises ConfigError: when no number is given, one is not greater than 0, or their sum is below 0.1 s.
    """
    units = {"seconds": seconds, "minutes": minutes, "hours": hours, "days": days}
    given = {name: number for name, number in units.items() if number is not None}
    if not given:
        raise ConfigError("every(): expected seconds, minutes, hours or days, got none of them")
    for name, number in given.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 < number < math.inf:
            raise ConfigError(f"every(): expected {name} to be a number greater than 0, got {number!r}")
    if anchor is not None and (not isinstance(anchor, datetime) or anchor.utcoffset() is None):
        raise ConfigError(f"every(): expected anchor to be a datetime with a time zone, got {anchor!r}")
    return Every(_period(given), EPOCH if anchor is None else anchor.astimezone(UTC))


def as_schedule(value: Any, utc: bool = True) -> Schedule:
    """`value` as a schedule: one of ours as it is, Huey's `crontab(...)` or a function of a datetime asked.

    :param utc: the function is given UTC times; otherwise local ones (Huey's `utc` option).
    :raises ConfigError: when it is neither.
    """
    if value in (cron, every, crontab):
        raise ConfigError(f"expected a schedule such as {value.__name__}(...), got the function itself")
    if not isinstance(value, type):
        if isinstance(value, Schedule):
            return value
        if _takes_a_datetime(value):
            return Asked(value, utc)
    raise ConfigError(
        'expected a schedule such as cron("0 2 * * *"), every(minutes=15), crontab(minute="0") '
        f"or a function of a datetime, got {value!r}"
    )


def _takes_a_datetime(value: Any) -> bool:
    try:
        inspect.signature(value).bind(EPOCH)
    except TypeError:
        return False
    except ValueError:  # a function written in C that does not tell its signature
        return True
    return True


def _due_within_minute(schedule: Schedule, timestamp: datetime) -> bool:
    moment = timestamp if timestamp.tzinfo is not None else _as_utc(timestamp)
    minute = moment.astimezone(UTC).replace(second=0, microsecond=0)
    due = schedule.next_after(minute - MICROSECOND)
    return due is not None and due < minute + MINUTE


def _aware(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError(f"expected a datetime with a time zone, got {moment!r}")
    return moment.astimezone(UTC)


def _as_utc(naive: datetime) -> datetime:
    return naive.replace(tzinfo=UTC)


def _until(end: datetime, ticks: Iterator[datetime]) -> Iterator[datetime]:
    for tick in ticks:
        if tick > end:
            return
        yield tick


def _minutes_after(moment: datetime) -> Iterator[datetime]:
    minute = moment.replace(second=0, microsecond=0)
    while True:
        minute += MINUTE
        yield minute


def _period(units: dict[str, float]) -> timedelta:
    try:
        period = timedelta(**units)
    except OverflowError as error:
        raise ConfigError(f"every(): expected less than a billion days, got {units}") from error
    if period < SHORTEST:
        raise ConfigError(f"every(): expected at least 0.1 s, got {period.total_seconds():g} s")
    return period


def _in_largest_unit(period: timedelta) -> str:
    for unit in ("days", "hours", "minutes"):
        if not period % timedelta(**{unit: 1}):
            return f"{unit}={period // timedelta(**{unit: 1})}"
    return f"seconds={period.total_seconds():.6f}".rstrip("0").rstrip(".")
