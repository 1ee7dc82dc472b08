"""streaq."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version

import uvloop
from streaq import Worker
from streaq.task import Task

from benchmarks import jobs, place
from benchmarks.coroutines import AsyncRunner
from benchmarks.runner import About

_CONCURRENCY = 16
_NAP_CONCURRENCY = 50


def _worker(concurrency: int) -> Worker[None]:
    return Worker(place.redis(), concurrency=concurrency, anyio_kwargs={"use_uvloop": True})


worker = _worker(_CONCURRENCY)
nap_worker = _worker(_NAP_CONCURRENCY)
# `silent`, since by default it logs two lines a job.
noop = worker.task(silent=True)(jobs.anoop)
nap = worker.task(silent=True)(jobs.anap)
nap_worker.task(silent=True)(jobs.anap)


class Streaq(AsyncRunner):
    """The worker's object is the client, too."""

    about = About(
        title="streaq",
        worker="N × `streaq run`, on uvloop; `silent` tasks",
        concurrency=f"{_CONCURRENCY} coroutines; {_NAP_CONCURRENCY} when jobs sleep",
        late_seconds=60,
        acknowledges="each job with its result: a killed worker's jobs run again a minute later",
        keeps="the result, for 5 minutes",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="`enqueue_many`, one pipeline per call",
        versions={
            "streaq": version("streaq"),
            "coredis": version("coredis"),
            "hiredis": version("hiredis"),
            "uvloop": version("uvloop"),
        },
    )

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """As its workers have."""
        return uvloop.new_event_loop()

    async def open(self) -> None:
        """Enter the worker in a task of its own, which is the one to leave it when the loop ends."""
        entered = asyncio.Event()
        self._inside = asyncio.create_task(_stay(entered))
        await asyncio.wait({self._inside, asyncio.create_task(entered.wait())}, return_when=asyncio.FIRST_COMPLETED)
        if self._inside.done():
            raise RuntimeError("expected streaq to connect; it needs Redis 7 or later") from self._inside.exception()

    async def put(self, number: int) -> object:
        """One call."""
        return await noop.enqueue(number)

    async def put_many(self, numbers: Sequence[int]) -> None:
        """One call."""
        await worker.enqueue_many([noop.enqueue(number) for number in numbers])

    async def put_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """One call."""
        await worker.enqueue_many([nap.enqueue(number, seconds) for number in numbers])

    async def result(self, handle: Task[[int], int], seconds: float) -> object:
        """Told by Redis, not by polling."""
        return (await handle.result(int(seconds))).result

    async def count_waiting(self) -> int:
        """Its own count."""
        return await worker.queue_size()

    async def count_kept(self) -> int:
        """The index of results."""
        return await worker.redis.zcard(f"{worker.prefix}:index:results")

    def commands(self, workers: int) -> list[list[str]]:
        """One each, since it hands no signal on to its processes."""
        return [_command("worker")] * workers

    def nap_commands(self) -> list[list[str]]:
        """One with more slots."""
        return [_command("nap_worker")]


async def _stay(entered: asyncio.Event) -> None:
    async with worker:
        entered.set()
        await asyncio.Event().wait()


def _command(name: str) -> list[str]:
    return [sys.executable, "-m", "streaq", "run", f"{__name__}:{name}"]


RUNNER = Streaq()
