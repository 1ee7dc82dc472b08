"""taskiq on Redis' streams, the broker of taskiq-redis that acknowledges."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence
from importlib.metadata import version

import uvloop
from redis.asyncio import Redis
from taskiq import AsyncTaskiqTask
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

from benchmarks import jobs, place
from benchmarks.coroutines import AsyncRunner, together
from benchmarks.runner import About, redis_py

_CONCURRENCY = 100
_NAP_CONCURRENCY = 50
_RESULTS = "result"

# With redis-py's timeout of 5 s a read that is cancelled as it begins goes on before Python 3.12, and no worker ends.
broker = RedisStreamBroker(place.redis(), socket_timeout=None).with_result_backend(
    RedisAsyncResultBackend(place.redis(), prefix_str=_RESULTS)
)
noop = broker.task(jobs.anoop)
nap = broker.task(jobs.anap)


class Taskiq(AsyncRunner):
    """On streams: its list broker loses the jobs of a killed worker."""

    about = About(
        title="taskiq, Redis streams",
        worker="`taskiq worker --workers N`, on uvloop",
        concurrency=f"{_CONCURRENCY} coroutines; {_NAP_CONCURRENCY} when jobs sleep",
        late_seconds=600,
        acknowledges="each job after its result is stored: a killed worker's jobs run again 10 minutes later",
        keeps="the result and the job's message, for ever",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="none: `asyncio.gather` of `kiq`, 50 at a time",
        versions={
            "taskiq": version("taskiq"),
            "taskiq-redis": version("taskiq-redis"),
            **redis_py(),
            "uvloop": version("uvloop"),
        },
    )

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """As its workers have."""
        return uvloop.new_event_loop()

    async def open(self) -> None:
        """Make the consumer group, which sees only what comes after it."""
        await broker.startup()

    async def put(self, number: int) -> object:
        """One call."""
        return await noop.kiq(number)

    async def put_many(self, numbers: Sequence[int]) -> None:
        """On as many connections."""
        await together([noop.kiq(number) for number in numbers], at_once=50)

    async def put_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """One after the other."""
        for number in numbers:
            await nap.kiq(number, seconds)

    async def result(self, handle: AsyncTaskiqTask[int], seconds: float) -> object:
        """It looks five times a second, by default."""
        return (await handle.wait_result(timeout=seconds)).return_value

    async def count_waiting(self) -> int:
        """What is in the stream behind the last message that was delivered."""
        async with Redis(connection_pool=broker.connection_pool) as redis:
            (group,) = await redis.xinfo_groups(broker.queue_name)
            delivered = group["last-delivered-id"].decode()
            return len(await redis.xrange(broker.queue_name, min=f"({delivered}"))

    async def count_kept(self) -> int:
        """The keys of results."""
        async with Redis(connection_pool=broker.connection_pool) as redis:
            return len([key async for key in redis.scan_iter(f"{_RESULTS}:*", count=10_000)])

    def commands(self, workers: int) -> list[list[str]]:
        """One with so many processes."""
        return [_command(workers, _CONCURRENCY)]

    def nap_commands(self) -> list[list[str]]:
        """One with as many slots."""
        return [_command(1, _NAP_CONCURRENCY)]


def _command(workers: int, concurrency: int) -> list[str]:
    options = [f"--workers={workers}", f"--max-async-tasks={concurrency}", "--log-level=WARNING"]
    return [sys.executable, "-m", "taskiq", "worker", f"{__name__}:broker", *options]


RUNNER = Taskiq()
