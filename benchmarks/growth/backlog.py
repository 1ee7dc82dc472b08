"""A store with its load: jobs that wait, in one order, each with a slot on the board."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nephew
from benchmarks.board import Board
from benchmarks.consumers import Consumers
from benchmarks.driver import environment
from benchmarks.growth import app
from benchmarks.growth.comparisons import MIB, Load
from benchmarks.growth.stores import Store
from tests.eventually import eventually

#: Jobs enqueued in one step, and the most bytes in one.
_MAPPED, _MAPPED_BYTES = 10_000, 16 * MIB
#: Rows written by one statement.
_WRITTEN = 1_000_000
#: Messages decoded, to see how long that takes.
_DECODED = 20
_START_SECONDS = 60

#: Copies of one job that has been run, whose ids are older than any: ids of jobs sort by their time.
_COPY = (
    "WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < ?)"
    " INSERT INTO nephew_job (id, {columns})"
    " SELECT '0' || CAST(1000000000 + ? + n AS TEXT) || substr(id, 12), {columns}"
    " FROM (SELECT * FROM nephew_job WHERE state = 'succeeded' LIMIT 1) AS finished, counted"
)


class Backlog:
    """Jobs of a load in a place of their own. The board is a ring: two jobs that wait never share a slot.

    :ivar store: where they are.
    :ivar url: the place in it.
    :ivar bytes_per_job: by how much the store has grown for each job that waits; 0: none has waited.
    """

    def __init__(self, store: Store, url: str, folder: Path, load: Load) -> None:
        self.store, self.url, self.load = store, url, load
        self._folder, self._path, self._size = folder, folder / "board", load.jobs + load.waiting
        self.board = Board.create(self._path, self._size)
        self.huey = nephew.Nephew("growth", url, warn_bytes=16 * MIB)
        self._tasks = app.declare(self.huey, self.board, load.queues)
        self._data = (os.urandom(load.argument),) if load.argument else ()
        self._enqueued = 0
        self.bytes_per_job = 0.0

    def prepare(self) -> None:
        """Write what is beside the jobs, and those that wait."""
        if self.load.finished:
            self._write_finished(self.load.finished)
        if not self.load.surprised:
            self.store.rest(self.url)
            before = self.store.size(self.url)
            self.refill()
            self.bytes_per_job = (self.store.size(self.url) - before) / self._size

    def refill(self) -> None:
        """Enqueue what is missing, behind all others, and let the store come to rest."""
        missing = self._size - self.huey.pending_count()
        at_once = max(1, min(_MAPPED, _MAPPED_BYTES // (self.load.argument or 1)))
        while missing > 0:
            self.enqueue(min(missing, at_once))
            missing -= at_once
        self.store.rest(self.url)

    def enqueue(self, count: int) -> None:
        """So many more jobs, in one step."""
        upto = self._enqueued + count
        self.huey.enqueue_many([self._call(place) for place in range(self._enqueued, upto)])
        self._enqueued = upto

    def slots(self) -> Sequence[int]:
        """Those of the next jobs to be drained, in their order, when all of the load waits."""
        first = self._enqueued - self._size
        return [place % self._size for place in range(first, first + self.load.jobs)]

    def consumers(self) -> Consumers:
        """As many as drain this load; use them in a `with` block."""
        options = f"-m huey.bin.huey_consumer {app.__name__}.huey -k thread -w 1 -q"
        variables = app.environment(self.url, self._path, self.load.queues)
        log = self._folder / "consumers.log"
        return Consumers([[sys.executable, *options.split()]] * self.load.consumers, log, environment() | variables)

    def bare_seconds(self) -> float:
        """What the argument of one job takes by itself: its message got back by the driver, and decoded."""
        if not self.load.argument:
            return 0.0
        message = self.huey.serialize_task(self._call(0))
        fetched = self.store.hand_out(self.url, message, self.load.jobs) / self.load.jobs
        started = time.perf_counter()
        for _ in range(_DECODED):
            self.huey.deserialize_task(message)
        return fetched + (time.perf_counter() - started) / _DECODED

    def await_workers(self) -> None:
        """Return when the workers of all consumers are there."""
        eventually(lambda: len(self.huey.workers()) == self.load.consumers, _START_SECONDS)

    def close(self) -> None:
        """Give back what the instance holds."""
        self.huey.sign_off()
        self.huey.backend.close()

    def _call(self, place: int) -> Any:
        return self._tasks[place % self.load.queues].s(place % self._size, *self._data)

    def _write_finished(self, count: int) -> None:
        self.board.clear()
        self.enqueue(1)
        with self.consumers() as consumers:
            self.board.await_run(0, _START_SECONDS, consumers.check)
        self._enqueued = 0
        backend = self.huey.backend
        columns = ", ".join(
            column.name for column in backend.database.get_columns("nephew_job") if column.name not in ("seq", "id")
        )
        for first in range(0, count, _WRITTEN):
            rows = (min(_WRITTEN, count - first), first)
            backend.write(lambda run, rows=rows: run(_COPY.format(columns=columns), rows))


@contextmanager
def opened(store: Store, number: int, folder: Path, load: Load) -> Iterator[Backlog]:
    """The load in a new place; both are gone after the block."""
    folder.mkdir()
    with store.place(number, folder) as url:
        backlog = Backlog(store, url, folder, load)
        try:
            backlog.prepare()
            yield backlog
        finally:
            backlog.close()
