"""Time: epoch seconds in storage, aware UTC datetimes in the API, Huey's naive ones at its border."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable

#: A clock is any function that returns the epoch time in seconds, UTC.
Clock = Callable[[], float]

now: Clock = time.time

#: The last moment (epoch seconds) that a datetime can tell in every time zone.
LATEST = dt.datetime(9999, 12, 30, tzinfo=dt.UTC).timestamp()

#: Seconds of the units in which people write durations.
UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}


def seconds(text: str) -> float:
    """The seconds of a duration as people write it: `90`, `90s`, `1.5m`, `12h`, `7d`, `2w`.

    :raises ValueError: saying what was expected.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhdw]?)", text.strip())
    if found is None:
        raise ValueError("a number of seconds, or one with a unit such as 90s, 15m, 12h, 7d or 2w")
    return float(found[1]) * UNITS[found[2]]


def at(epoch: float) -> dt.datetime:
    """The aware UTC datetime of an epoch time in seconds."""
    return dt.datetime.fromtimestamp(epoch, dt.UTC)


def aware(epoch: float | None) -> dt.datetime | None:
    """The aware UTC datetime of an epoch time in seconds (None stays None)."""
    return None if epoch is None else at(epoch)


def to_epoch(moment: dt.datetime | None, utc: bool = True) -> float | None:
    """Epoch seconds of a datetime; a naive one is UTC when `utc`, else local time, as Huey keeps them.

    What is earlier than 1970 or later than `LATEST` means that.
    """
    if moment is None:
        return None
    if moment.tzinfo is None and utc:
        moment = moment.replace(tzinfo=dt.UTC)
    try:
        return min(max(moment.timestamp(), 0.0), LATEST)
    except (OverflowError, OSError, ValueError):  # year 1 or 9999 in a zone beside UTC
        return 0.0 if moment.year < 1970 else LATEST


def to_naive(epoch: float, utc: bool = True) -> dt.datetime:
    """Huey's naive datetime of an epoch time in seconds: in UTC when `utc`, else local."""
    if utc:
        return dt.datetime.fromtimestamp(epoch, dt.UTC).replace(tzinfo=None)
    return dt.datetime.fromtimestamp(epoch)
