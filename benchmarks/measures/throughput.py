"""How fast jobs go in and through: enqueued while no consumer runs, then drained by one that is started on them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks import place
from benchmarks.bench import START_SECONDS, Bench, warm_up
from benchmarks.consumers import Consumers
from benchmarks.measures import Figures
from benchmarks.processes import cores, family, pss_bytes, used, used_since

#: Jobs handed over at once by the bulk enqueue.
BULK = 10_000
#: Jobs enqueued between two looks at the clock.
_CHUNK = 100
#: Jobs that show how fast a runner is.
_PACE_JOBS = 1_000

_LOOK_SECONDS = 0.02
_MEMORY_EVERY_LOOKS = 12
_MEGABYTE = 1e6
_PATIENCE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Drain:
    """What was seen while a queue was drained, without its begin, when not all workers may be there.

    :ivar rate: jobs per second.
    :ivar cores: how much of all cores the consumer and the server used, in percent.
    :ivar worker: the peak memory of the largest process, in MB.
    :ivar everything: that of all of the consumer's processes together.
    """

    rate: float
    cores: float
    worker: float
    everything: float


def measure(bench: Bench) -> Iterator[Figures]:
    """Enqueue singly and drain with one worker process, then in bulk with two."""
    jobs = _pace(bench)
    bench.board.clear()
    yield {"enqueue": _enqueue_singly(bench, jobs)}
    one = _drain(bench, jobs, 1)
    yield {"drain_one": one.rate, "cores_one": one.cores}
    bench.board.clear()
    yield {"enqueue_bulk": _enqueue_in_bulk(bench, 0, jobs)}
    two = _drain(bench, jobs, 2)
    yield {
        "drain_two": two.rate,
        "cores_two": two.cores,
        "memory_worker": two.worker,
        "memory_all": two.everything,
    }


def _pace(bench: Bench) -> int:
    """How many jobs to drain, so that a slow runner takes no longer than a fast one."""
    if bench.plan.jobs <= _PACE_JOBS:
        bench.runner.waiting()  # for which connections and tables are made
        return bench.plan.jobs
    _enqueue_in_bulk(bench, 0, _PACE_JOBS)
    with bench.consumers(1) as consumers:
        bench.board.await_all(range(_PACE_JOBS), START_SECONDS + _PATIENCE_SECONDS, consumers.check)
    wanted = int(bench.board.rate(_PACE_JOBS, warm_up=_PACE_JOBS // 2) * bench.plan.drain_seconds)
    return min(max(wanted, _PACE_JOBS), bench.plan.jobs)


def _enqueue_singly(bench: Bench, jobs: int) -> float:
    """Jobs per second. What there is no time for is enqueued in bulk."""
    started = now = time.perf_counter()
    count = 0
    while count < jobs and now - started < bench.plan.enqueue_seconds:
        upto = min(count + _CHUNK, jobs)
        bench.runner.enqueue_each(range(count, upto))
        count, now = upto, time.perf_counter()
    if count < jobs:
        _enqueue_in_bulk(bench, count, jobs)
    return count / (now - started)


def _enqueue_in_bulk(bench: Bench, first: int, jobs: int) -> float:
    """Jobs per second."""
    started = time.perf_counter()
    for start in range(first, jobs, BULK):
        bench.runner.enqueue_bulk(range(start, min(start + BULK, jobs)))
    return (jobs - first) / (time.perf_counter() - started)


def _drain(bench: Bench, jobs: int, workers: int) -> Drain:
    before = bench.runner.kept()
    if (waiting := bench.runner.waiting()) != jobs:
        raise RuntimeError(f"expected {jobs} jobs to wait, found {waiting}")
    with bench.consumers(workers) as consumers:
        cores_used, worker, everything = _watch(bench, jobs, consumers)
    kept = bench.runner.kept() - before
    if kept != jobs:
        raise RuntimeError(f"expected {jobs} results to be kept, found {kept}")
    return Drain(bench.board.rate(jobs, warm_up(jobs)), cores_used, worker, everything)


def _watch(bench: Bench, jobs: int, consumers: Consumers) -> tuple[float, float, float]:
    """Return when all jobs have run; what `Drain` has beside the rate, looked at a few times a second."""
    bench.board.await_run(0, START_SECONDS, consumers.check)
    pids = consumers.pids()
    samples = [pss_bytes(pids)]
    seen = _sample(bench, 0, warm_up(jobs), consumers, samples)
    started, before = time.monotonic(), used([*consumers.pids(), *_server_pids()])
    _sample(bench, seen, jobs, consumers, samples)
    cores_used = used_since(before) / (time.monotonic() - started) / cores() * 100
    samples.append(pss_bytes(consumers.pids()))
    return cores_used, max(map(max, samples)) / _MEGABYTE, max(map(sum, samples)) / _MEGABYTE


def _sample(bench: Bench, seen: int, upto: int, consumers: Consumers, samples: list[list[int]]) -> int:
    """Return when so many jobs have run, how many have; looks at the memory meanwhile."""
    deadline = time.monotonic() + _PATIENCE_SECONDS + 10 * bench.plan.drain_seconds
    looks, pids = 0, consumers.pids()
    while (seen := bench.board.seen_from(seen, upto)) < upto:
        consumers.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{seen} of {upto} jobs ran in time")
        time.sleep(_LOOK_SECONDS)
        looks += 1
        if looks % _MEMORY_EVERY_LOOKS == 0:
            samples.append(pss_bytes(pids))
    return seen


def _server_pids() -> list[int]:
    """The server with a process for each connection, as PostgreSQL has them."""
    server = place.server()
    return family(server) if server else []
