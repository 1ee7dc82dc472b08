"""Schedules that are cron expressions in a time zone.

Expressions are parsed and matched by cronsim, on plain wall-clock times. The step from wall clock to UTC is
made here, because cronsim 2.8, given a zone, loses ticks where the clock changes by half an hour (Lord Howe)
and answers differently for different starting moments where it skips midnight (Santiago, Beirut).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice, takewhile
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from nephew.cronfields import MACROS, what_is_wrong, zone_name
from nephew.duetimes import EPOCH, SECOND, as_utc, aware, due_within_minute, until
from nephew.errors import ConfigError
from nephew.wallclock import is_repeat, offset_at, offset_change

#: What becomes of a time of day that the clock skips, and of one that it shows twice.
Gap = Literal["run_after", "skip"]
Fold = Literal["first", "both"]


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression in a time zone, made by `cron()`.

    When clocks change, the rule is Debian's, for 5 and for 6 fields alike:

    * Minute and hour both name a time (neither begins with `*`), as in `30 2 * * *`: `gap` and `fold` say what
      becomes of it. By default a time that the clock skips (gap) is due at the first moment after the gap, once;
      a time that it passes twice (fold) is due the first time only.
    * Otherwise, as in `*/15 * * * *` or `*/15 2 * * *`, it is due whenever a clock on the wall shows a
      matching time: never within a gap, both times in a fold; so ticks stay evenly spaced. `gap` and `fold`
      are without effect.

    cronsim itself keeps the first rule for 5 fields only: it skips `0 30 2 * * *` in a gap and runs it twice
    in a fold. There is no due time when none comes within 50 years, or after the year 9999.

    :ivar expression: the expression as it was written.
    :ivar tz: name of the zone whose wall clock it means; None: UTC.
    :ivar gap: a time of day that the clock skips is due when the gap ends ("run_after"), or not at all ("skip").
    :ivar fold: one that it shows twice is due the first time ("first"), or each time ("both").
    """

    expression: str
    tz: str | None = None
    gap: Gap = "run_after"
    fold: Fold = "first"

    def __post_init__(self) -> None:
        try:
            CronSim(self._fields, EPOCH)
        except (CronSimError, ValueError) as error:
            raise ConfigError(what_is_wrong(self.expression, self._fields, str(error))) from error

    def __repr__(self) -> str:
        zone = "" if self.tz is None else f', tz="{self.tz}"'
        gap = "" if self.gap == "run_after" else f', gap="{self.gap}"'
        fold = "" if self.fold == "first" else f', fold="{self.fold}"'
        return f'cron("{self.expression}"{zone}{gap}{fold})'

    def __call__(self, timestamp: datetime) -> bool:
        """Whether it is due within the minute of `timestamp`; a naive one is UTC."""
        return due_within_minute(self, timestamp)

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due time strictly after the aware `moment`, in UTC; None: never again."""
        return next(self._ticks(aware(moment)), None)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The due times after `start` up to and including `end`, in UTC, found one at a time."""
        return until(aware(end), self._ticks(aware(start)))

    def latest(self, start: datetime, end: datetime, count: int) -> list[datetime]:
        """The last `count` of `between(start, end)`, in order."""
        start, end = aware(start), aware(end)
        found = list(islice(self.between(start, end), count + 1))
        if len(found) <= count:
            return found
        back = count
        while True:  # again where the clock has skipped some of the times counted back
            found = list(self.between(max(start, self._walls_ago(end, back)), end))
            if len(found) >= count:
                return found[-count:]
            back *= 2

    def walls(self, first: datetime, last: datetime) -> Iterator[datetime]:
        """The matching naive wall-clock times from `first` up to, without, `last`, shown by the clock or not."""
        return takewhile(lambda wall: wall < last, self._walls(first - SECOND))

    @property
    def names_a_time(self) -> bool:
        """Whether it names a time of day, so that `gap` and `fold` mean something for it."""
        _, minute, hour, *_ = self._fields.split()
        return not minute.startswith("*") and not hour.startswith("*")

    @property
    def _fields(self) -> str:
        """Always six fields, seconds first."""
        fields = MACROS.get(self.expression.lower(), self.expression)
        return f"0 {fields}" if len(fields.split()) == 5 else fields

    def _ticks(self, moment: datetime) -> Iterator[datetime]:
        moment = moment.replace(microsecond=0)  # due times are whole seconds
        try:
            yield from map(as_utc, self._walls(moment)) if self.tz is None else self._zoned(moment, ZoneInfo(self.tz))
        except OverflowError:  # past the year 9999
            return

    def _zoned(self, moment: datetime, zone: ZoneInfo) -> Iterator[datetime]:
        """Goes from one change of the clock to the next: between two of them wall clock and UTC keep step."""
        run_after = self.names_a_time and self.gap == "run_after"
        first_only = self.names_a_time and self.fold == "first"
        offset = offset_at(moment, zone)
        walls = self._walls(moment + offset)
        while (wall := next(walls, None)) is not None:
            due = as_utc(wall - offset)
            change = offset_change(zone, offset, moment, due)
            if change is None:
                moment = due
                if not (first_only and is_repeat(due, zone)):
                    yield due
                continue
            offset = offset_at(change, zone)
            if run_after and as_utc(wall - offset) < change:  # the clock never shows it
                moment = change
                yield change
            else:
                moment = change - SECOND  # so that a tick at the very moment of the change is not lost
            walls = self._walls(moment + offset)

    def _walls(self, moment: datetime) -> Iterator[datetime]:
        """The matching naive wall-clock times after the one that `moment` shows."""
        return CronSim(self._fields, _naive(moment))

    def _walls_ago(self, moment: datetime, count: int) -> datetime:
        """A moment just before the one at which the `count`-th last matching wall-clock time was shown."""
        zone = UTC if self.tz is None else ZoneInfo(self.tz)
        back = CronSim(self._fields, _naive(moment.astimezone(zone)) + SECOND, reverse=True)
        *_, wall = islice(back, count)
        return wall.replace(tzinfo=zone).astimezone(UTC) - SECOND


def cron(expression: str, tz: str | ZoneInfo | None = None, gap: Gap = "run_after", fold: Fold = "first") -> Cron:
    """A schedule from a cron expression: `cron("0 2 * * *", tz="Europe/Berlin")`.

    :param expression: 5 fields (minute, hour, day of month, month, day of week), or 6 with seconds first; or
        `@hourly @daily @midnight @weekly @monthly @yearly @annually`. Names, lists, ranges, steps, `L`, `LW` and
        `#` are understood. Where day of month or day of week begins with `*` both must match, else one of them.
    :param tz: the zone whose wall clock is meant, as an IANA name or a ZoneInfo; None: UTC.
    :param gap: what becomes of a time of day that the clock skips: due when the gap ends ("run_after"), or not at
        all ("skip"). Without effect where minute or hour begins with `*`, see `Cron`.
    :param fold: what becomes of a time of day that the clock shows twice: due the first time ("first"), or each
        time ("both"). Without effect where minute or hour begins with `*`.
    :raises ConfigError: saying which field is wrong, what was expected and what was given.
    """
    if not isinstance(expression, str):
        raise ConfigError(f'cron(): expected an expression such as "0 2 * * *", got {expression!r}')
    for name, given, choices in (("gap", gap, get_args(Gap)), ("fold", fold, get_args(Fold))):
        if given not in choices:
            raise ConfigError(f"cron(): expected {name} to be {' or '.join(map(repr, choices))}, got {given!r}")
    return Cron(" ".join(expression.split()), None if tz is None else zone_name(tz), gap, fold)


def _naive(moment: datetime) -> datetime:
    """The wall-clock time, to the second, that an aware moment shows in its zone."""
    return moment.replace(tzinfo=None, fold=0, microsecond=0)
