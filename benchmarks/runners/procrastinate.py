"""procrastinate."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from importlib.metadata import version

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.jobs import Status

from benchmarks import jobs, place
from benchmarks.runner import About, Runner

_CONCURRENCY = 50
_QUEUE = "benchmark"
_LOOK_SECONDS = 0.005

app = App(connector=PsycopgConnector(conninfo=place.postgres()))
noop = app.task(queue=_QUEUE)(jobs.anoop)
nap = app.task(queue=_QUEUE)(jobs.anap)


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="retry_stalled", pass_context=True)
async def retry_stalled(context: JobContext, timestamp: int) -> None:
    """From its manual: without it, the jobs of a killed worker never run again."""
    for job in await context.app.job_manager.get_stalled_jobs():
        await context.app.job_manager.retry_job(job)


class Procrastinate(Runner):
    """Its client is synchronous."""

    about = About(
        title="procrastinate",
        worker="N × `procrastinate worker`",
        concurrency=f"{_CONCURRENCY} coroutines",
        late_seconds=100,
        acknowledges="each job after its end: a killed worker's jobs run again when it has been silent for 30 s and "
        "the periodic task of its manual, here once a minute, finds them",
        keeps="the job and its events, for ever; no result",
        durability="each commit is synced (`fsync` and `synchronous_commit` on)",
        bulk="`batch_defer`, one statement per call",
        versions={"procrastinate": version("procrastinate"), "psycopg": version("psycopg")},
    )

    def __init__(self) -> None:
        self._is_open = False

    def enqueue(self, number: int) -> object:
        """`defer`."""
        self._open()
        return noop.defer(number=number), number

    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """`batch_defer`."""
        self._open()
        noop.batch_defer(*({"number": number} for number in numbers))

    def enqueue_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """`batch_defer`."""
        self._open()
        nap.batch_defer(*({"number": number, "seconds": seconds} for number in numbers))

    def await_result(self, handle: tuple[int, int], seconds: float) -> object:
        """It tells nobody of a job's end: its status is looked at again and again."""
        job, number = handle
        deadline = time.monotonic() + seconds
        while app.job_manager.get_job_status(job) is not Status.SUCCEEDED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {job} did not succeed within {seconds:g} s")
            time.sleep(_LOOK_SECONDS)
        return number

    def commands(self, workers: int) -> list[list[str]]:
        """One each."""
        app_and_log = [f"--app={__name__}.app", "--log-level=warning"]
        options = ["worker", f"--concurrency={_CONCURRENCY}"]
        return [[sys.executable, "-m", "procrastinate", *app_and_log, *options]] * workers

    def nap_commands(self) -> list[list[str]]:
        """The same."""
        return self.commands(1)

    def waiting(self) -> int:
        """procrastinate's own count."""
        return self._count("todo")

    def kept(self) -> int:
        """procrastinate's own count."""
        return self._count("succeeded")

    def close(self) -> None:
        """Its pool."""
        app.close()

    def _open(self) -> None:
        if not self._is_open:
            app.open()
            app.schema_manager.apply_schema()
            self._is_open = True

    def _count(self, status: str) -> int:
        self._open()
        return sum(queue[status] for queue in app.job_manager.list_queues(queue=_QUEUE))


RUNNER = Procrastinate()
