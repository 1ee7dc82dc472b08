"""SAQ on Redis."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version

from saq import Job, Queue

from benchmarks import jobs, place
from benchmarks.coroutines import AsyncRunner
from benchmarks.runner import About, redis_py

_CONCURRENCY = 50

queue = Queue.from_url(place.redis())


async def noop(_context: object, *, number: int) -> int:
    """The job, as SAQ calls it."""
    return await jobs.anoop(number)


async def nap(_context: object, *, number: int, seconds: float) -> int:
    """The job that sleeps, as SAQ calls it."""
    return await jobs.anap(number, seconds)


settings = {"queue": queue, "functions": [noop, nap], "concurrency": _CONCURRENCY}


class Saq(AsyncRunner):
    """Asked to run a job again: by default it aborts those of a killed worker."""

    about = About(
        title="SAQ, Redis",
        worker="N × `saq`",
        concurrency=f"{_CONCURRENCY} coroutines",
        late_seconds=75,
        acknowledges="each job with its result; `retries=2`: a killed worker's jobs run again when their timeout "
        "(10 s) is over and the sweep (once a minute, 5 s a job) finds them",
        keeps="the job and its result, for 10 minutes",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="none: `asyncio.gather` of `enqueue`",
        versions={"saq": version("saq"), **redis_py()},
    )

    async def open(self) -> None:
        """Connect."""
        await queue.connect()

    async def put(self, number: int) -> object:
        """One call."""
        return await queue.enqueue("noop", number=number, retries=2)

    async def put_many(self, numbers: Sequence[int]) -> None:
        """All at once; the queue lets twenty through at a time."""
        await asyncio.gather(*map(self.put, numbers))

    async def put_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """With a timeout that does not end them."""
        for number in numbers:
            await queue.enqueue("nap", number=number, seconds=seconds, retries=2, timeout=10 + int(seconds))

    async def result(self, handle: Job, seconds: float) -> object:
        """Told by Redis, not by polling."""
        await handle.refresh(until_complete=seconds)
        return handle.result

    async def count_waiting(self) -> int:
        """SAQ's own count."""
        return await queue.count("queued")

    async def count_kept(self) -> int:
        """All jobs that have a key, without those that have not ended."""
        keys = [key async for key in queue.redis.scan_iter(queue.job_id("*"), count=10_000)]
        return len(keys) - await queue.count("incomplete")

    def commands(self, workers: int) -> list[list[str]]:
        """One each, since it hands no signal on to its processes."""
        return [[sys.executable, "-m", "saq", f"{__name__}.settings"]] * workers

    def nap_commands(self) -> list[list[str]]:
        """The same."""
        return self.commands(1)


RUNNER = Saq()
