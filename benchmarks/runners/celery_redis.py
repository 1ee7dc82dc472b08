"""Celery on Redis, with its defaults."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

from celery import Celery, group
from celery.result import AsyncResult

from benchmarks import jobs, place
from benchmarks.runner import About, Runner

_NAP_THREADS = 50

app = Celery(__name__, broker=place.redis(), backend=place.redis())
noop = app.task(jobs.noop)
nap = app.task(jobs.nap)


class CeleryRedis(Runner):
    """On its prefork pool."""

    about = About(
        title="Celery, Redis",
        worker="`celery worker --pool prefork --concurrency N`",
        concurrency=f"1; {_NAP_THREADS} threads (`--pool threads`) when jobs sleep",
        acknowledges="each job before it starts: a killed worker's running jobs are lost, those it had fetched run "
        "again an hour later",
        keeps="the result, for a day",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="`group`, one call",
        versions={"celery": version("celery"), "kombu": version("kombu"), "redis-py": version("redis")},
    )

    def enqueue(self, number: int) -> object:
        """`delay`."""
        return noop.delay(number)

    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """A group."""
        group(noop.s(number) for number in numbers).apply_async()

    def enqueue_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """A group."""
        group(nap.s(number, seconds) for number in numbers).apply_async()

    def await_result(self, handle: AsyncResult, seconds: float) -> object:
        """Told by Redis, not by polling."""
        return handle.get(timeout=seconds)

    def commands(self, workers: int) -> list[list[str]]:
        """One with so many processes below it."""
        return [_command("prefork", workers)]

    def nap_commands(self) -> list[list[str]]:
        """One process of threads."""
        return [_command("threads", _NAP_THREADS)]

    def waiting(self) -> int:
        """The length of its list."""
        return int(app.backend.client.llen("celery"))

    def kept(self) -> int:
        """The keys of results."""
        return sum(1 for _ in app.backend.client.scan_iter("celery-task-meta-*", count=10_000))


def _command(pool: str, concurrency: int) -> list[str]:
    options = [f"--pool={pool}", f"--concurrency={concurrency}", "--loglevel=WARNING"]
    return [sys.executable, "-m", "celery", f"--app={__name__}", "--quiet", "worker", *options]


RUNNER = CeleryRedis()
