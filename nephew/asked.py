"""Schedules that are functions of a datetime, Huey's `crontab(...)` too: asked once for each minute."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from nephew import clock
from nephew.duetimes import MINUTE, aware, until

#: How many minutes are asked for at most, ahead or back, before it gives up: 366 days, about a second of work.
HORIZON_MINUTES = 366 * 24 * 60


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
        return bool(self.function(timestamp)) if timestamp.tzinfo is None else self._says(aware(timestamp))

    def next_after(self, moment: datetime) -> datetime | None:
        """The first due minute strictly after the aware `moment`, in UTC; None: none in the next 366 days.

        None costs half a million calls of the function, about a second; keep the answer.
        """
        ahead = itertools.islice(_minutes_after(aware(moment)), HORIZON_MINUTES)
        return next(filter(self._says, ahead), None)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """The due minutes after `start` up to and including `end`, in UTC, asked for one at a time."""
        return filter(self._says, until(aware(end), _minutes_after(aware(start))))

    def latest(self, start: datetime, end: datetime, count: int) -> list[datetime]:
        """The last `count` of `between(start, end)`, in order; of the last 366 days only.

        Minutes are asked for from `end` backwards, and no more of them than it takes.
        """
        back = itertools.islice(_minutes_back(aware(start), aware(end)), HORIZON_MINUTES)
        return [*itertools.islice(filter(self._says, back), count)][::-1]

    def _says(self, minute: datetime) -> bool:
        naive = minute.replace(tzinfo=None) if self.utc else clock.to_naive(minute.timestamp(), utc=False)
        return bool(self.function(naive))


def _minutes_after(moment: datetime) -> Iterator[datetime]:
    minute = moment.replace(second=0, microsecond=0)
    while True:
        minute += MINUTE
        yield minute


def _minutes_back(start: datetime, end: datetime) -> Iterator[datetime]:
    """The whole minutes up to and including `end` and after `start`, the latest first."""
    minute = end.replace(second=0, microsecond=0)
    while minute > start:
        yield minute
        minute -= MINUTE
