"""pgqueuer."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import version

import asyncpg
import uvloop
from pgqueuer import Job, PgQueuer, Queries
from pgqueuer.core.completion import CompletionWatcher

from benchmarks import jobs, place
from benchmarks.coroutines import AsyncRunner
from benchmarks.runner import About

_BATCH = 100
_NAP_BATCH = 25
_NAP_CONCURRENCY = 50


@asynccontextmanager
async def worker() -> AsyncIterator[PgQueuer]:
    """What `pgq run` asks for."""
    connection = await asyncpg.connect(place.postgres())
    try:
        queuer = PgQueuer.from_asyncpg_connection(connection)
        queuer.entrypoint("noop")(noop)
        queuer.entrypoint("nap")(nap)
        yield queuer
    finally:
        await connection.close()


async def noop(job: Job) -> None:
    """The job, as pgqueuer calls it."""
    await jobs.anoop(int(job.payload or b""))


async def nap(job: Job) -> None:
    """The job that sleeps, as pgqueuer calls it."""
    number, _, seconds = (job.payload or b"").partition(b" ")
    await jobs.anap(int(number), float(seconds))


class Pgqueuer(AsyncRunner):
    """On asyncpg, the faster of its two drivers."""

    about = About(
        title="pgqueuer",
        worker=f"N × `pgq run --batch-size {_BATCH}`, on uvloop",
        concurrency=f"coroutines, as many as it fetches; {_NAP_CONCURRENCY} when jobs sleep",
        late_seconds=30,
        acknowledges=f"{_BATCH} jobs in one statement, at most 0.1 s after their end: a killed worker's jobs run again "
        "after 30 s",
        keeps="a row of its log, for ever; no result and no arguments",
        durability="each commit is synced (`fsync` and `synchronous_commit` on)",
        bulk="`enqueue` of lists, one statement per call",
        versions={"pgqueuer": version("pgqueuer"), "asyncpg": version("asyncpg"), "uvloop": version("uvloop")},
    )

    _queries: Queries
    _watcher: CompletionWatcher

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """As its workers have."""
        return uvloop.new_event_loop()

    async def open(self) -> None:
        """Connect, and make the tables; one watcher sees the ends of all jobs."""
        self._queries = Queries.from_asyncpg_connection(await asyncpg.connect(place.postgres()))
        await self._queries.install()
        self._watcher = await CompletionWatcher(self._queries.driver, queries=self._queries).__aenter__()

    async def put(self, number: int) -> object:
        """One call."""
        (job,) = await self._queries.enqueue("noop", b"%d" % number)
        return job, number

    async def put_many(self, numbers: Sequence[int]) -> None:
        """One call."""
        await self._put_all("noop", [b"%d" % number for number in numbers])

    async def put_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """One call."""
        await self._put_all("nap", [b"%d %f" % (number, seconds) for number in numbers])

    async def result(self, handle: tuple[int, int], seconds: float) -> object:
        """Told by PostgreSQL of the end."""
        job, number = handle
        status = await asyncio.wait_for(self._watcher.wait_for(job), seconds)
        return number if status == "successful" else status

    async def count_waiting(self) -> int:
        """pgqueuer's own count."""
        return sum(part.count for part in await self._queries.queue_size() if part.status == "queued")

    async def count_kept(self) -> int:
        """The rows of successful jobs."""
        log = self._queries.qbe.settings.queue_table_log
        (row,) = await self._queries.driver.fetch(f"SELECT count(*) AS kept FROM {log} WHERE status = 'successful'")
        return row["kept"]

    def commands(self, workers: int) -> list[list[str]]:
        """One each."""
        return [_command(f"--batch-size={_BATCH}")] * workers

    def nap_commands(self) -> list[list[str]]:
        """One that is held back."""
        return [_command(f"--batch-size={_NAP_BATCH}", f"--max-concurrent-tasks={_NAP_CONCURRENCY}")]

    async def _put_all(self, name: str, payloads: list[bytes]) -> None:
        await self._queries.enqueue([name] * len(payloads), payloads, [0] * len(payloads))


def _command(*options: str) -> list[str]:
    return [sys.executable, "-m", "pgqueuer", "run", f"{__name__}:worker", "--log-level=WARNING", *options]


RUNNER = Pgqueuer()
