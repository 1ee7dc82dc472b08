"""What waiting jobs cost in a Redis: memory, and whether the next ones are claimed as fast as from a short queue.

The queues are in one server at the same time and take turns. What was claimed is given back at once, uncounted, so that
they stay as long as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from redis import Redis

import nephew
from benchmarks.driver import running
from nephew.endings import Finished, given_back
from tests.servers import RedisServer

#: How many jobs wait.
FULL = (1_000, 1_000_000)
SHORT = (1_000, 10_000)
#: How many jobs one claim takes.
BATCHES = (1, 100)

_MAPPED = 10_000
_ROUNDS = 5
_TURN_SECONDS = 1.0
_SHORT_TURN_SECONDS = 0.05


@dataclass(slots=True)
class Queue:
    """One instance with its waiting jobs.

    :ivar bytes: the memory that they brought about.
    :ivar rates: jobs claimed per second, by the size of the claim; one figure a round.
    """

    huey: nephew.Nephew
    jobs: int
    bytes: int
    rates: dict[int, list[float]] = field(default_factory=lambda: {batch: [] for batch in BATCHES})


def measure(sizes: Sequence[int], say: Callable[[str], None]) -> list[Queue]:
    """Fill a queue of each size and claim from all of them in turn."""
    seconds = _TURN_SECONDS if sizes == FULL else _SHORT_TURN_SECONDS
    with running(RedisServer()) as server, ExitStack() as open_queues:
        queues = []
        for size in sizes:
            say(f"{size:,} jobs are enqueued")
            queues.append(open_queues.enter_context(_filled(server.url, size)))
        say("claims")
        for _ in range(_ROUNDS):
            for queue in queues:
                for batch in BATCHES:
                    queue.rates[batch].append(_claim_rate(queue.huey, batch, seconds))
    return queues


@contextmanager
def _filled(url: str, size: int) -> Iterator[Queue]:
    huey = nephew.Nephew(f"growth-{size}", url)

    @huey.task()
    def noop(number: int) -> int:
        return number

    before = _used_bytes(url)
    for first in range(0, size, _MAPPED):
        noop.map(range(first, min(first + _MAPPED, size)))
    try:
        yield Queue(huey, size, _used_bytes(url) - before)
    finally:
        huey.sign_off()
        huey.backend.close()


def _used_bytes(url: str) -> int:
    with Redis.from_url(url) as client:
        return int(client.info("memory")["used_memory"])


def _claim_rate(huey: nephew.Nephew, batch: int, seconds: float) -> float:
    """Jobs per second, in the time that the claims took."""
    worker, count, took = huey.worker, 0, 0.0
    while took < seconds:
        started = time.perf_counter()
        claimed = worker.claim(worker.next_claim(), batch)
        took += time.perf_counter() - started
        if len(claimed) != batch:
            raise RuntimeError(f"expected to claim {batch} jobs, got {len(claimed)}")
        count += batch
        for each in claimed:
            worker.ledger.add(Finished(given_back(each)))
        worker.ledger.flush()
    return count / took
