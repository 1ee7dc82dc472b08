"""Where a session keeps its things; told to its consumers by the environment."""

from __future__ import annotations

import os
from pathlib import Path

_FOLDER = "BENCHMARK_FOLDER"
_POSTGRES = "BENCHMARK_POSTGRES"
_REDIS = "BENCHMARK_REDIS"
_SERVER = "BENCHMARK_SERVER"


def environment(folder: Path, postgres: str, redis: str, server: int | None = None) -> dict[str, str]:
    """The variables that tell a session where it is, and the process of its server, if it has one."""
    return {_FOLDER: str(folder), _POSTGRES: postgres, _REDIS: redis, _SERVER: str(server or "")}


def folder() -> Path:
    """The session's own folder; empty at first."""
    return Path(os.environ[_FOLDER])


def board() -> Path:
    """The file of the board."""
    return folder() / "board"


def postgres() -> str:
    """The URI of the session's own PostgreSQL database; empty at first."""
    return os.environ[_POSTGRES]


def redis() -> str:
    """The URL of the Redis; empty at first."""
    return os.environ[_REDIS]


def server() -> int | None:
    """The process of the server that the runner is measured on; none for a file."""
    return int(os.environ[_SERVER]) if os.environ[_SERVER] else None
