"""What about a server's configuration may cost jobs; told once, when a consumer starts."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

from nephew.errors import ConfigError, NephewError

log = logging.getLogger("huey.nephew.redis")

#: The first version that has all commands that are used here.
OLDEST = (6, 2)

Ask = Callable[..., Any]


def dangers(ask: Ask) -> list[str]:
    """What is dangerous, and what to do about it. What a hosted server does not tell is not guessed.

    :param ask: gives the reply to a command.
    :raises ConfigError: when the server is too old to be used.
    """
    info = _info(ask)
    _check_version(info)
    return [*_replica(info), *_eviction(info), *_persistence(info, ask)]


def _check_version(info: dict[str, str]) -> None:
    found = info.get("redis_version", "")
    numbers = tuple(int(number) for number in re.findall(r"\d+", found)[:2])
    if numbers and numbers < OLDEST:
        raise ConfigError(f"expected Redis 6.2 or later, or Valkey, got Redis {found}; upgrade the server")


def _replica(info: dict[str, str]) -> list[str]:
    if info.get("role") != "slave":
        return []
    return [
        "Redis is a replica here and will refuse every write; "
        "name its master, or use a redis+sentinel:// or redis+cluster:// URL, which finds it"
    ]


def _eviction(info: dict[str, str]) -> list[str]:
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        return []
    return [
        f"Redis deletes keys when its memory is full (maxmemory-policy {policy}), and jobs with them; "
        "set maxmemory-policy noeviction, with which it refuses new jobs instead"
    ]


def _persistence(info: dict[str, str], ask: Ask) -> list[str]:
    if info.get("aof_enabled") != "0" or _save_points(ask):
        return []
    return [
        "Redis keeps nothing on disk: its jobs are lost when it restarts; set appendonly yes "
        "(or save points, and lose the minutes since the last one)"
    ]


def _save_points(ask: Ask) -> bool:
    """Whether there are any, or nobody knows."""
    reply = _told(ask, "CONFIG", "GET", "save")
    return reply is None or bool(reply[1:] and reply[1])


def _info(ask: Ask) -> dict[str, str]:
    lines = (_told(ask, "INFO") or b"").decode(errors="replace").splitlines()
    return dict(line.split(":", 1) for line in lines if ":" in line)


def _told(ask: Ask, *command: str) -> Any:
    try:
        return ask(*command)
    except NephewError as error:
        log.debug("Redis does not tell (%s): %s", " ".join(command), error)
        return None
