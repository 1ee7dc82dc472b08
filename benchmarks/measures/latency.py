"""How soon a job starts, and how soon its result is there, when it meets an idle consumer; and what idling costs."""

from __future__ import annotations

import random
import statistics
import time
from collections.abc import Iterator

from benchmarks.bench import START_SECONDS, Bench
from benchmarks.consumers import Consumers
from benchmarks.measures import Figures
from benchmarks.processes import cpu_seconds

#: Who starts jobs sooner is given so many of them that a 99th percentile can be told.
_QUICK_MS = 20
#: Between two jobs, at random, so that no poller falls into step.
_GAP_SECONDS = (0.03, 0.1)


def measure(bench: Bench) -> Iterator[Figures]:
    """One worker process; a job at a time. The first one waits for it."""
    bench.board.clear()
    bench.runner.enqueue(0)
    with bench.consumers(1) as consumers:
        first_job = bench.board.await_run(0, START_SECONDS, consumers.check) - consumers.began
        yield {"first_job": first_job / 1e6}
        gaps = random.Random(1)
        starts = [_start_ms(bench, consumers, number, gaps) for number in range(1, bench.plan.starts + 1)]
        is_quick = statistics.median(starts) < _QUICK_MS
        if is_quick:
            more = range(len(starts) + 1, bench.plan.tail_starts + 1)
            starts += [_start_ms(bench, consumers, number, gaps) for number in more]
        yield {"start_p50": statistics.median(starts)}
        if is_quick and bench.plan.tail_starts:
            yield {"start_p99": statistics.quantiles(starts, n=100, method="inclusive")[98]}
        first = len(starts) + 1
        results = [_result_ms(bench, first + number, gaps) for number in range(bench.plan.results)]
        yield {"result_p50": statistics.median(results)}
        yield {"idle_cpu": _idle_percent(bench, consumers)}


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
    seconds = bench.plan.beat_seconds if bench.runner.beats_seldom else bench.plan.idle_seconds
    time.sleep(bench.plan.idle_seconds / 4)
    pids = consumers.pids()
    started, used = time.monotonic(), cpu_seconds(pids)
    time.sleep(seconds)
    consumers.check()
    return (cpu_seconds(pids) - used) / (time.monotonic() - started) * 100
