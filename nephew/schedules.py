"""When a job is due: schedules as values. They know due times only, no task, no ledger and no policy.

The due times of a schedule are a fixed set: they depend on nothing but the schedule, so any number of
consumers that look at any moments agree on them.
"""

from __future__ import annotations

import inspect
from typing import Any

from huey import crontab

from nephew.asked import Asked
from nephew.duetimes import EPOCH, Schedule, coming, latest
from nephew.errors import ConfigError
from nephew.expressions import Cron, Fold, Gap, cron
from nephew.periods import Every, every

__all__ = [
    "Asked",
    "Cron",
    "Every",
    "Fold",
    "Gap",
    "Schedule",
    "as_schedule",
    "coming",
    "cron",
    "every",
    "latest",
    "salted",
]


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


def salted(schedule: Schedule, name: str) -> Schedule:
    """The schedule of the plan `name`: with a jitter of its own, if it has one, so that plans alike spread."""
    return schedule.salted(name) if isinstance(schedule, Every) else schedule


def _takes_a_datetime(value: Any) -> bool:
    try:
        inspect.signature(value).bind(EPOCH)
    except TypeError:
        return False
    except ValueError:  # a function written in C that does not tell its signature
        return True
    return True
