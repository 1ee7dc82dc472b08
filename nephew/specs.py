"""Schedules and policies as they are stored: plain dicts that JSON can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from nephew.catchup import Policy
from nephew.errors import ConfigError
from nephew.schedules import Cron, Every, Schedule, cron, every


def spec(schedule: Schedule) -> dict[str, Any]:
    """A schedule as a dict that JSON can hold.

    :raises ConfigError: when it is none of `cron(...)` and `every(...)`.
    """
    if isinstance(schedule, Cron):
        return {"cron": schedule.expression, "tz": schedule.tz, "gap": schedule.gap, "fold": schedule.fold}
    if isinstance(schedule, Every):
        return {
            "every": schedule.period.total_seconds(),
            "anchor": schedule.anchor.isoformat(),
            "jitter": schedule.jitter.total_seconds(),
            "salt": schedule.salt,
        }
    raise ConfigError(
        f"expected cron(...) or every(...), which can be stored, got {schedule!r}: "
        "a function lives in the code only; give it to @huey.periodic_task there"
    )


def from_spec(stored: Mapping[str, Any]) -> Cron | Every:
    """The schedule that `spec` made `stored` of.

    :raises ConfigError: when it is not such a dict.
    """
    try:
        if "cron" in stored:
            return cron(stored["cron"], stored["tz"], stored["gap"], stored["fold"])
        anchor = datetime.fromisoformat(stored["anchor"])
        value = every(seconds=stored["every"], anchor=anchor, jitter=stored["jitter"])
        return value.salted(stored["salt"]) if stored["salt"] else value
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"expected a stored schedule, of cron(...) or every(...), got {stored!r}") from error


def policy_spec(policy: Policy) -> dict[str, Any]:
    """A policy as a dict that JSON can hold; times in seconds."""
    return {
        "catch_up": policy.catch_up,
        "within": _seconds(policy.within),
        "overlap": policy.overlap,
        "expect_within": _seconds(policy.expect_within),
    }


def policy_from_spec(stored: Mapping[str, Any]) -> Policy:
    """The policy that `policy_spec` made `stored` of.

    :raises ConfigError: when it is not such a dict.
    """
    return Policy.parse("a stored policy", stored)


def _seconds(duration: timedelta | None) -> float | None:
    return None if duration is None else duration.total_seconds()
