"""The fields of cron expressions: what each may be, and what is wrong with one that is none."""

from __future__ import annotations

import difflib
import zoneinfo
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from nephew.errors import ConfigError

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}

#: The fields of a cron expression by cronsim's names, and what each may be.
FIELDS = {
    "second": "0-59",
    "minute": "0-59",
    "hour": "0-23",
    "day-of-month": "1-31, L (last day) or LW (last weekday)",
    "month": "1-12 or JAN-DEC",
    "day-of-week": "0-7 or SUN-SAT, also 5L (last Friday) or MON#2 (second Monday)",
}


def zone_name(tz: Any) -> str:
    """The IANA name of a zone.

    :raises ConfigError: when there is no such zone.
    """
    name = tz.key if isinstance(tz, ZoneInfo) else tz
    if not isinstance(name, str):
        raise ConfigError(f'cron(): expected tz to be a zone with a name, as "Europe/Berlin", got {tz!r}')
    try:
        return ZoneInfo(name).key
    except (KeyError, ValueError, OSError) as error:  # OSError: the name of a folder, "Europe"
        known = zoneinfo.available_timezones()
        close = difflib.get_close_matches(name, known, 1)
        hint = f"; did you mean {close[0]}?" if close else ""
        missing = "" if known else "; this machine knows no zones, install the package tzdata"
        raise ConfigError(
            f'cron(): expected tz to be a time zone, as "Europe/Berlin", got {name!r}{hint}{missing}'
        ) from error


def what_is_wrong(expression: str, fields: str, problem: str) -> str:
    """In words, which field of an expression is wrong, and what was expected of it.

    :param fields: the expression as six fields.
    :param problem: cronsim's word for it.
    """
    where = f'cron("{expression}"): '
    if expression.startswith("@"):
        return f"{where}expected one of {' '.join(MACROS)}, got {expression}"
    values = fields.split()
    if len(values) != 6:
        return (
            f"{where}expected 5 fields (minute, hour, day-of-month, month, day-of-week) "
            f"or 6 with seconds first, got {len(values)}"
        )
    name = problem.removeprefix("Bad ")
    by_name = dict(zip(FIELDS, values, strict=True))
    if name not in by_name:
        return f"{where}{problem}"
    if name == "day-of-month" and _is_usable(f"0 0 {by_name[name]} * *"):
        return f"{where}expected a day that month {by_name['month']} has, got {by_name[name]}"
    return f"{where}expected {name} to be {FIELDS[name]}, *, a list 1,2, a range 1-5 or a step */2, got {by_name[name]}"


def _is_usable(expression: str) -> bool:
    try:
        CronSim(expression, datetime(1970, 1, 1, tzinfo=UTC))
    except (CronSimError, ValueError):
        return False
    return True
