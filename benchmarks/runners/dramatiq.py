"""Dramatiq on Redis."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import jobs, place
from benchmarks.runner import About, Runner, redis_py

#: Eight times its default: it fetches two jobs for each thread, and waits between two fetches.
_THREADS = 64
_NAP_THREADS = 50

results = RedisBackend(url=place.redis(), use_namespace_prefix_keys=True)
broker = RedisBroker(url=place.redis())
broker.add_middleware(Results(backend=results, store_results=True))
dramatiq.set_broker(broker)

noop = dramatiq.actor(jobs.noop)
nap = dramatiq.actor(jobs.nap)


class Dramatiq(Runner):
    """With its middleware for results."""

    about = About(
        title="dramatiq, Redis",
        worker=f"`dramatiq --processes N --threads {_THREADS}`",
        concurrency=f"{_THREADS} threads; {_NAP_THREADS} when jobs sleep",
        late_seconds=600,
        acknowledges="each job after its result is stored: a killed worker's jobs run again a minute later, or when "
        "its upkeep comes (one command in a thousand)",
        keeps="the result, for 10 minutes",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="none: a loop of `send`",
        versions={"dramatiq": version("dramatiq"), **redis_py()},
    )

    def enqueue(self, number: int) -> object:
        """`send`."""
        return noop.send(number)

    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """It has no bulk."""
        self.enqueue_each(numbers)

    def enqueue_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """A loop of `send`."""
        for number in numbers:
            nap.send(number, seconds)

    def await_result(self, handle: Any, seconds: float) -> object:
        """It blocks in Redis."""
        return handle.get_result(block=True, timeout=int(seconds * 1000))

    def commands(self, workers: int) -> list[list[str]]:
        """One with so many processes below it."""
        return [_command(workers, _THREADS)]

    def nap_commands(self) -> list[list[str]]:
        """One with fewer threads."""
        return [_command(1, _NAP_THREADS)]

    def waiting(self) -> int:
        """The length of its list."""
        return int(broker.client.llen(f"{broker.namespace}:default"))

    def kept(self) -> int:
        """The keys of results."""
        return sum(1 for _ in results.client.scan_iter(f"{results.namespace}:*", count=10_000))


def _command(processes: int, threads: int) -> list[str]:
    return [sys.executable, "-m", "dramatiq", __name__, f"--processes={processes}", f"--threads={threads}"]


RUNNER = Dramatiq()
