"""How fast jobs go in and through: enqueued while no consumer runs, then drained by one that is started on them."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.bench import START_SECONDS, Bench
from benchmarks.consumers import Consumers
from benchmarks.processes import pss_bytes

_LOOK_SECONDS = 0.05
_MEMORY_EVERY_LOOKS = 5
_MEGABYTE = 1e6


def measure(bench: Bench) -> dict[str, float]:
    """Enqueue singly and drain with one worker process, then in bulk with two."""
    enqueue = _rate(bench, _enqueue_singly)
    drain_one, _, _ = _drain(bench, 1)
    enqueue_bulk = _rate(bench, _enqueue_in_bulk)
    drain_two, worker, everything = _drain(bench, 2)
    return {
        "enqueue": enqueue,
        "enqueue_bulk": enqueue_bulk,
        "drain_one": drain_one,
        "drain_two": drain_two,
        "memory_worker": worker,
        "memory_all": everything,
    }


def _rate(bench: Bench, enqueue: Callable[[Bench], None]) -> float:
    """Jobs per second; the first job, for which connections and tables are made, is not in it."""
    bench.board.clear()
    bench.runner.enqueue(0)
    started = time.perf_counter()
    enqueue(bench)
    return (bench.plan.jobs - 1) / (time.perf_counter() - started)


def _enqueue_singly(bench: Bench) -> None:
    for number in range(1, bench.plan.jobs):
        bench.runner.enqueue(number)


def _enqueue_in_bulk(bench: Bench) -> None:
    jobs, size = bench.plan.jobs, bench.plan.bulk
    for first in range(1, jobs, size):
        bench.runner.enqueue_bulk(range(first, min(first + size, jobs)))


def _drain(bench: Bench, workers: int) -> tuple[float, float, float]:
    """Jobs per second, and the peak memory of the largest process and of all together."""
    jobs, before = bench.plan.jobs, bench.runner.kept()
    if bench.runner.waiting() != jobs:
        raise RuntimeError(f"expected {jobs} jobs to wait, found {bench.runner.waiting()}")
    with bench.consumers(workers) as consumers:
        worker, everything = _watch(bench, consumers)
    kept = bench.runner.kept() - before
    if kept != jobs:
        raise RuntimeError(f"expected {jobs} results to be kept, found {kept}")
    return bench.board.rate(jobs), worker, everything


def _watch(bench: Bench, consumers: Consumers) -> tuple[float, float]:
    """Return when all jobs have run; the peaks of memory in MB, looked at a few times a second."""
    bench.board.await_run(0, START_SECONDS, consumers.check)
    pids = consumers.pids()
    deadline = time.monotonic() + bench.plan.drain_seconds
    seen, looks, samples = 0, 0, [pss_bytes(pids)]
    while (seen := bench.board.seen_from(seen, bench.plan.jobs)) < bench.plan.jobs:
        consumers.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{seen} of {bench.plan.jobs} jobs ran within {bench.plan.drain_seconds:g} s")
        time.sleep(_LOOK_SECONDS)
        looks += 1
        if looks % _MEMORY_EVERY_LOOKS == 0:
            samples.append(pss_bytes(pids))
    samples.append(pss_bytes(consumers.pids()))
    return max(map(max, samples)) / _MEGABYTE, max(map(sum, samples)) / _MEGABYTE
