"""Jobs that wait for something, as most do: long ones many at a time, short ones in one and in two worker processes."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import START_SECONDS, Bench, warm_up
from benchmarks.consumers import Consumers
from benchmarks.measures import Figures

#: What `nap_commands` run at a time.
CONCURRENCY = 50

_LONG_SECONDS = 0.1
_SHORT_SECONDS = 0.002


def measure(bench: Bench) -> Iterator[Figures]:
    """Those many at a time are left out for a runner that has no such worker."""
    yield {"short_naps_one": _rate(bench, 1)}
    yield {"short_naps_two": _rate(bench, 2)}
    if bench.runner.nap_commands():
        yield {"naps": _times_the_ideal(bench)}


def _times_the_ideal(bench: Bench) -> float:
    jobs = bench.plan.naps
    _sleep_all(bench, jobs, _LONG_SECONDS, bench.nappers())
    took = max(bench.board.moments[:jobs]) - min(bench.board.begun[:jobs])
    return took / 1e9 / (jobs * _LONG_SECONDS / CONCURRENCY)


def _rate(bench: Bench, workers: int) -> float:
    """Jobs per second."""
    _sleep_all(bench, bench.plan.short_naps, _SHORT_SECONDS, bench.consumers(workers))
    return bench.board.rate(bench.plan.short_naps, warm_up(bench.plan.short_naps))


def _sleep_all(bench: Bench, jobs: int, seconds: float, nappers: Consumers) -> None:
    bench.board.clear()
    bench.runner.enqueue_naps(range(jobs), seconds)
    with nappers as consumers:
        bench.board.await_all(range(jobs), START_SECONDS + 2 * jobs * seconds, consumers.check)
