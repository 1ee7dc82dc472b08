"""Timekeepers by a clock that the test sets, and what they wrote."""

from __future__ import annotations

import datetime as dt
import threading

from nephew import Nephew
from nephew.bell import ThreadBell
from nephew.scheduler import Scheduler
from nephew.ticker import Ticker

#: A moment in the past, on the full hour: 2026-03-01 12:00 UTC.
NOON = 1772366400.0
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


class Clock:
    """The time that a timekeeper goes by, set by the test."""

    def __init__(self) -> None:
        self.now = NOON - 20

    def __call__(self) -> float:
        return self.now


def ticker(huey: Nephew, clock: Clock) -> Ticker:
    """One that has begun: what comes due from now on, counts."""
    made = Ticker(huey, clock)
    write(made)
    return made


def timekeeper(huey: Nephew, clock: Clock | None = None) -> Scheduler:
    """The whole of a consumer's scheduler."""
    return Scheduler(huey, threading.Event(), 1, True, ThreadBell(), now=clock)


def write(*tickers: Ticker) -> None:
    """Have each decide all that has come due."""
    for each in tickers:
        while each.write():
            pass


def rows(huey: Nephew, name: str = "hourly") -> list[tuple[float, str]]:
    """The ledger of a schedule, the earliest first: how long after noon (seconds) each was due, and its fate."""
    return [(tick.due.timestamp() - NOON, tick.fate) for tick in reversed(huey.schedules.ticks(name, 10_000))]


def reasons(huey: Nephew, name: str = "hourly") -> list[str]:
    """Why they are what they are, the earliest first."""
    return [tick.reason for tick in reversed(huey.schedules.ticks(name, 10_000))]


def at(epoch: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(epoch, dt.UTC)
