"""RQ, with its worker that does not fork for each job."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from redis import Redis
from rq import Queue, Retry

from benchmarks import jobs, place
from benchmarks.runner import About, Runner, redis_py

queue = Queue("benchmark", connection=Redis.from_url(place.redis()))


#: So that an abandoned job is enqueued again, instead of being moved to the failed ones.
_RETRY = Retry(max=1)


class Rq(Runner):
    """On `SimpleWorker`: the default one forks, and is twenty times as slow with jobs that do nothing."""

    about = About(
        title="RQ",
        worker="N × `rq worker --worker-class rq.SimpleWorker --quiet`",
        concurrency="1; it has neither threads nor coroutines",
        late_seconds=840,
        acknowledges="each job with its result; `Retry(max=1)`: a killed worker's job runs again when its timeout "
        "(3 minutes) and a minute more are over, found by another worker's start or every 10 minutes",
        keeps="the result and the job, for 500 s",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="`enqueue_many`, one pipeline per call",
        versions={"rq": version("rq"), **redis_py()},
    )

    def enqueue(self, number: int) -> object:
        """`enqueue`."""
        return queue.enqueue(jobs.noop, number, retry=_RETRY)

    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """`enqueue_many`."""
        queue.enqueue_many([Queue.prepare_data(jobs.noop, (number,), retry=_RETRY) for number in numbers])

    def enqueue_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """`enqueue_many`."""
        queue.enqueue_many([Queue.prepare_data(jobs.nap, (number, seconds), retry=_RETRY) for number in numbers])

    def await_result(self, handle: Any, seconds: float) -> object:
        """It blocks in Redis."""
        return handle.latest_result(timeout=int(seconds)).return_value

    def commands(self, workers: int) -> list[list[str]]:
        """One each."""
        options = ["--worker-class=rq.SimpleWorker", f"--url={place.redis()}", "--quiet"]
        return [[sys.executable, "-m", "rq.cli", "worker", *options, queue.name]] * workers

    def nap_commands(self) -> list[list[str]]:
        """None: a worker runs one job at a time."""
        return []

    def waiting(self) -> int:
        """RQ's own count."""
        return queue.count

    def kept(self) -> int:
        """RQ's own count."""
        return queue.finished_job_registry.count


RUNNER = Rq()
