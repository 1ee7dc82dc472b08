"""arq."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version

from arq import ArqRedis, create_pool
from arq.connections import RedisSettings
from arq.jobs import Job

from benchmarks import jobs, place
from benchmarks.coroutines import AsyncRunner, together
from benchmarks.runner import About, redis_py

_CONCURRENCY = 1_000
_NAP_CONCURRENCY = 50

_REDIS = RedisSettings.from_dsn(place.redis())

#: By default it logs two lines a job.
logging = {"version": 1, "disable_existing_loggers": False, "loggers": {"arq": {"level": "WARNING"}}}


async def noop(_context: object, number: int) -> int:
    """The job, as arq calls it."""
    return await jobs.anoop(number)


async def nap(_context: object, number: int, seconds: float) -> int:
    """The job that sleeps, as arq calls it."""
    return await jobs.anap(number, seconds)


settings = {"functions": [noop, nap], "redis_settings": _REDIS, "max_jobs": _CONCURRENCY}
nap_settings = settings | {"max_jobs": _NAP_CONCURRENCY}


class Arq(AsyncRunner):
    """With a hundred times its default of slots, with which it is nearly four times as fast."""

    about = About(
        title="arq",
        worker="N × `arq`, which polls twice a second by default; logging warnings only",
        concurrency=f"{_CONCURRENCY:,} coroutines; {_NAP_CONCURRENCY} when jobs sleep",
        late_seconds=310,
        acknowledges="each job with its result: a killed worker's jobs run again 310 s later",
        keeps="the result, for an hour",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="none: `asyncio.gather` of `enqueue_job`, 50 at a time",
        versions={"arq": version("arq"), **redis_py()},
    )

    _redis: ArqRedis

    async def open(self) -> None:
        """Connect."""
        self._redis = await create_pool(_REDIS)

    async def put(self, number: int) -> object:
        """One call."""
        return await self._redis.enqueue_job("noop", number)

    async def put_many(self, numbers: Sequence[int]) -> None:
        """On as many connections."""
        await together([self.put(number) for number in numbers], at_once=50)

    async def put_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """One after the other."""
        for number in numbers:
            await self._redis.enqueue_job("nap", number, seconds)

    async def result(self, handle: Job, seconds: float) -> object:
        """It looks twice a second, by default."""
        return await handle.result(timeout=seconds)

    async def count_waiting(self) -> int:
        """What is in its queue; a job stays there until it has ended."""
        return await self._redis.zcard(self._redis.default_queue_name)

    async def count_kept(self) -> int:
        """The keys of results."""
        return len([key async for key in self._redis.scan_iter("arq:result:*", count=10_000)])

    def commands(self, workers: int) -> list[list[str]]:
        """One each."""
        return [_command("settings")] * workers

    def nap_commands(self) -> list[list[str]]:
        """One with fewer slots."""
        return [_command("nap_settings")]


def _command(settings: str) -> list[str]:
    return [sys.executable, "-m", "arq", f"{__name__}.{settings}", "--custom-log-dict", f"{__name__}.logging"]


RUNNER = Arq()
