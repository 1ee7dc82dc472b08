"""The adapters, one small module per runner. Each has a variable `RUNNER`; importing it opens the runner."""

from __future__ import annotations

from importlib import import_module

from benchmarks.runner import Runner

#: In the order of the table.
NAMES = ("nephew_sqlite", "sqlite_huey", "nephew_postgres", "postgres_huey", "nephew_redis", "redis_huey")

#: Which runner is compared with which, in ratios.
PAIRS = (("nephew_sqlite", "sqlite_huey"), ("nephew_postgres", "postgres_huey"), ("nephew_redis", "redis_huey"))

#: Those that ask for a server.
NEEDS_POSTGRES = frozenset({"nephew_postgres", "postgres_huey"})
NEEDS_REDIS = frozenset({"nephew_redis", "redis_huey"})


def load(name: str) -> Runner:
    """The runner of this name; only in a process that is its session."""
    runner = import_module(f"{__name__}.{name}").RUNNER
    assert isinstance(runner, Runner)
    return runner
