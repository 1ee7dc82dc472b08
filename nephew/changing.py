"""Changes of jobs that wait, checked before anything is touched."""

from __future__ import annotations

import datetime as dt
import math
from typing import TYPE_CHECKING

from nephew import clock
from nephew.backends.records import Change
from nephew.errors import NephewError

if TYPE_CHECKING:
    from nephew.instance import Nephew

#: Says of an expiry that there is none.
NEVER = math.inf


def change_of(
    huey: Nephew,
    priority: float | None,
    queue: str | None,
    delay: float | None,
    eta: dt.datetime | None,
    expires: float | dt.timedelta | dt.datetime | None,
) -> Change:
    """What is to be changed; see `Nephew.change`.

    :raises NephewError: when a value cannot be used, or nothing is to be changed.
    """
    if delay is not None and eta is not None:
        raise NephewError("expected delay or eta, got both; nothing was changed")
    found = Change(
        priority=None if priority is None else _number("priority", priority),
        queue=None if queue is None else _queue(queue),
        eta=_moment(huey, "delay", delay) if eta is None else _moment(huey, "eta", eta),
        expires_at=NEVER if expires == NEVER else _moment(huey, "expires", expires),
    )
    if found == Change():
        raise NephewError("expected a priority, queue, delay, eta or expires to change a job to, got none of them")
    return found


def _queue(given: object) -> str:
    if not isinstance(given, str) or not given.strip():
        raise NephewError(f"expected queue to be a name, got {given!r}; nothing was changed")
    return given


def _number(name: str, given: object) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise NephewError(f"expected {name} to be a number, got {given!r}; nothing was changed")
    return float(given)


def _moment(huey: Nephew, name: str, given: float | dt.timedelta | dt.datetime | None) -> float | None:
    """Epoch seconds of a moment that is given as such, or in seconds from now."""
    if given is None:
        return None
    if isinstance(given, dt.datetime):
        if name == "delay":
            raise NephewError(f"expected delay to be seconds, got {given!r}; a moment is given as eta")
        return clock.to_epoch(given, huey.utc)
    if name == "eta":
        raise NephewError(f"expected eta to be a datetime, got {given!r}; seconds are given as delay")
    seconds = _number(name, given.total_seconds() if isinstance(given, dt.timedelta) else given)
    moment = huey.backend.now() + seconds
    if seconds < 0 or moment > clock.LATEST:
        raise NephewError(f"expected {name} to be 0 seconds or more, before the year 10000, got {given!r}")
    return moment
