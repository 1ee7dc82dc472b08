"""How long a short job waits behind a long one, while a second worker has nothing to do."""

from __future__ import annotations

import time
from collections.abc import Iterator

from benchmarks.bench import START_SECONDS, Bench
from benchmarks.measures import Figures

#: What is run first, so that workers that take more when jobs are short do.
_FIRST = 50
#: For the second worker, which may come up later than the first.
_REST_SECONDS = 1.0


def measure(bench: Bench) -> Iterator[Figures]:
    """The consumer is killed in the end: nobody waits for the long job.

    The numbers are others than those of the crashes, whose jobs may still come back.
    """
    bench.board.clear()
    first = range(bench.plan.crash_jobs, bench.plan.crash_jobs + _FIRST)
    long, short = first.stop, first.stop + 1
    bench.runner.enqueue_bulk(first)
    with bench.consumers(2) as consumers:
        bench.board.await_all(first, START_SECONDS, consumers.check)
        time.sleep(_REST_SECONDS)
        bench.runner.enqueue_naps([long], bench.plan.long_seconds)
        enqueued = time.monotonic_ns()
        bench.runner.enqueue(short)
        started = bench.board.await_run(short, bench.plan.long_seconds + START_SECONDS, consumers.check)
        consumers.kill()
    yield {"behind_long": (started - enqueued) / 1e6}
