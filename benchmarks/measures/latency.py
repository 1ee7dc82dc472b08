"""How soon a job starts, and how soon its result is there, when it meets an idle consumer; and what idling costs."""

from __future__ import annotations

import random
import statistics
import time

from benchmarks.bench import START_SECONDS, Bench
from benchmarks.consumers import Consumers
from benchmarks.processes import cpu_seconds

#: Between two jobs, at random, so that no poller falls into step.
_GAP_SECONDS = (0.05, 0.15)


def measure(bench: Bench) -> dict[str, float]:
    """One worker process; a job at a time."""
    bench.board.clear()
    with bench.consumers(1) as consumers:
        bench.runner.enqueue(0)
        bench.board.await_run(0, START_SECONDS, consumers.check)
        gaps = random.Random(1)
        starts = [_start_ms(bench, consumers, number, gaps) for number in range(1, bench.plan.starts + 1)]
        first = bench.plan.starts + 1
        results = [_result_ms(bench, first + number, gaps) for number in range(bench.plan.results)]
        idle = _idle_percent(bench, consumers)
    return {
        "start_p50": statistics.median(starts),
        "start_p99": statistics.quantiles(starts, n=100, method="inclusive")[98],
        "result_p50": statistics.median(results),
        "idle_cpu": idle,
    }


def _start_ms(bench: Bench, consumers: Consumers, number: int, gaps: random.Random) -> float:
    time.sleep(gaps.uniform(*_GAP_SECONDS))
    enqueued = time.monotonic_ns()
    bench.runner.enqueue(number)
    return (bench.board.await_run(number, START_SECONDS, consumers.check) - enqueued) / 1e6


def _result_ms(bench: Bench, number: int, gaps: random.Random) -> float:
    time.sleep(gaps.uniform(*_GAP_SECONDS))
    enqueued = time.monotonic_ns()
    result = bench.runner.await_result(bench.runner.enqueue(number), START_SECONDS)
    ended = time.monotonic_ns()
    if result != number:
        raise RuntimeError(f"expected the result {number}, got {result!r}")
    return (ended - enqueued) / 1e6


def _idle_percent(bench: Bench, consumers: Consumers) -> float:
    """Processor time of all of the consumer's processes, in percent of one core."""
    time.sleep(bench.plan.idle_seconds / 4)
    pids = consumers.pids()
    started, used = time.monotonic(), cpu_seconds(pids)
    time.sleep(bench.plan.idle_seconds)
    consumers.check()
    return (cpu_seconds(pids) - used) / (time.monotonic() - started) * 100
