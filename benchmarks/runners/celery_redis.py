"""Celery on Redis, with its defaults."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

from celery import Celery, group
from celery.result import AsyncResult

from benchmarks import jobs, place
from benchmarks.runner import About, Runner, redis_py

_THREADS = 8
_NAP_THREADS = 50

app = Celery(__name__, broker=place.redis(), backend=place.redis())
noop = app.task(jobs.noop)
nap = app.task(jobs.nap)


class CeleryRedis(Runner):
    """On the pools that it did best with.

    Jobs/s in turns on a busy machine. In one process: 510, 390, 320 and 510 with `solo`; 510, 540, 810 and 690 with 8
    threads; 490, 590, 380 and 440 with `prefork`. In two: 350 and 1,930 with `solo`, and 1,300 and 1,630 in another
    run; 1,140 and 1,080 with 8 threads each; 540 and 1,020 with `prefork`, and 590 and 940.
    """

    about = About(
        title="Celery, Redis",
        worker=f"one: `celery worker --pool=threads --concurrency={_THREADS}`; two: 2 × `celery worker --pool=solo`",
        concurrency=f"{_THREADS} threads in one process, 1 in each of two; {_NAP_THREADS} threads when jobs sleep",
        late_seconds=3600,
        loses_running=True,
        acknowledges="each job before it starts: a killed worker's running jobs are lost, those it had fetched run "
        "again an hour later",
        keeps="the result, for a day",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="`group`, one call",
        versions={"celery": version("celery"), "kombu": version("kombu"), **redis_py()},
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
        """One each, with a name of its own."""
        if workers == 1:
            return [_command("threads", _THREADS)]
        return [_command("solo", 1, f"worker_{number}") for number in range(workers)]

    def nap_commands(self) -> list[list[str]]:
        """One process of threads."""
        return [_command("threads", _NAP_THREADS)]

    def waiting(self) -> int:
        """The length of its list."""
        return int(app.backend.client.llen("celery"))

    def kept(self) -> int:
        """The keys of results."""
        return sum(1 for _ in app.backend.client.scan_iter("celery-task-meta-*", count=10_000))


def _command(pool: str, concurrency: int, name: str = "worker") -> list[str]:
    options = [f"--pool={pool}", f"--concurrency={concurrency}", f"--hostname={name}@%h", "--loglevel=WARNING"]
    return [sys.executable, "-m", "celery", f"--app={__name__}", "--quiet", "worker", *options]


RUNNER = CeleryRedis()
