"""What happens to jobs, as it happens: one iterable for programs with and without an event loop."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import socket
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from nephew.backends.events import EventBatch, EventRow
from nephew.errors import BackendError, EventsLost, NephewError
from nephew.job import State
from nephew.waitingroom import LONGEST, Visit

if TYPE_CHECKING:
    from nephew.backends.contract import Backend
    from nephew.instance import Nephew

#: Seconds after which what a member of a group has not acknowledged is given to another one.
IDLE = 60.0


@dataclass(frozen=True, slots=True)
class Event:
    """A job came into a state.

    :ivar id: whoever has seen it goes on behind it, with `huey.events(after=event.id)`.
    :ivar job: the job's id.
    :ivar task: the task's stored name.
    :ivar state: the state that the job came into.
    :ivar at: when.
    :ivar worker: where the job ran; None: it did not.
    :ivar error: what the attempt ended with, if it failed.
    """

    id: str
    job: str
    task: str
    state: State
    at: dt.datetime
    worker: str | None = None
    error: str | None = None


class Events:
    """Events, for `for` and `async for`; each loop begins anew. See `huey.events`."""

    def __init__(
        self,
        huey: Nephew,
        after: str | None,
        block: float | None,
        group: str | None,
        consumer: str | None,
        idle: float,
        lossy: bool,
    ) -> None:
        if consumer is not None and group is None:
            raise NephewError(f"expected a group for the consumer {consumer!r}, got none; members share what it reads")
        self._huey, self._after, self._block = huey, after, block
        self._group, self._consumer, self._idle, self._lossy = group, consumer, idle, lossy

    def _reader(self) -> _Reader:
        backend = self._huey.backend
        if self._group is None:
            return _Reader(backend, self._after, self._lossy)
        consumer = self._consumer or f"{socket.gethostname()}:{os.getpid()}"
        return _Member(backend, self._after, self._group, consumer, self._idle)

    def _left(self, since: float) -> float:
        """How long (seconds) to wait for an event at most; 0: no longer."""
        return LONGEST if self._block is None else min(LONGEST, max(0.0, since + self._block - time.monotonic()))

    def __iter__(self) -> Iterator[Event]:
        """Begins at once, so that nothing is missed which happens before the first event is asked for."""
        reader = self._reader()
        reader.begin()
        return self._follow(reader)

    def _follow(self, reader: _Reader) -> Iterator[Event]:
        rung, since = threading.Event(), time.monotonic()
        with self._huey.waiting_room.visit(Visit((), rung.set, follows=True)) as visit:
            while visit.is_over():
                rung.clear()
                found = reader.advance()
                for row in found:
                    yield _event(row)
                if found:
                    since = time.monotonic()
                elif left := self._left(since):
                    rung.wait(left)
                else:
                    return

    async def __aiter__(self) -> AsyncIterator[Event]:
        loop, errands = asyncio.get_running_loop(), self._huey.errands
        rung, reader = asyncio.Event(), self._reader()
        await errands.run(reader.begin)
        since = time.monotonic()
        visit = Visit((), lambda: loop.call_soon_threadsafe(rung.set), follows=True)
        with self._huey.waiting_room.visit(visit):
            while visit.is_over():
                rung.clear()
                found = await errands.run(reader.advance)
                for row in found:
                    yield _event(row)
                if found:
                    since = time.monotonic()
                elif left := self._left(since):
                    await _rings(rung, left)
                else:
                    return


class _Reader:
    """Reads on behind the last event that it has read."""

    def __init__(self, backend: Backend, after: str | None, lossy: bool) -> None:
        self._backend, self._after, self._lossy = backend, after, lossy
        self._batches: deque[EventBatch] = deque()

    def begin(self) -> None:
        """Find the place to begin at.

        :raises EventsLost: when events behind it are not kept any longer.
        """
        if self._after is None:
            self._after = self._backend.latest_event()
            return
        first = self._backend.first_event_after_gap(self._after)
        if first is not None and not self._lossy:
            raise EventsLost(self._after, first or None)

    def advance(self) -> Sequence[EventRow]:
        """The next events, those before are dealt with; none: there are none yet, or the store is away."""
        try:
            batch = self._next()
        except BackendError:
            return ()
        return () if batch is None else batch.events

    def _next(self) -> EventBatch | None:
        assert self._after is not None
        if not self._batches:
            self._batches.extend(self._backend.events(self._after))
        if not self._batches:
            return None
        batch = self._batches.popleft()
        self._after = batch.events[-1].id
        return batch


class _Member(_Reader):
    """Reads for a group: what it gets, nobody else of the group does, unless it is not acknowledged in time."""

    def __init__(self, backend: Backend, after: str | None, group: str, consumer: str, idle: float) -> None:
        super().__init__(backend, after, lossy=True)
        self._group, self._consumer, self._idle = group, consumer, idle
        self._taken: EventBatch | None = None
        self._has_left = True

    def begin(self) -> None:
        """Join the group; one that is there already goes on where it is."""
        super().begin()
        assert self._after is not None
        self._backend.join_group(self._group, self._after)

    def _next(self) -> EventBatch | None:
        if self._taken is not None:
            self._backend.acknowledge(self._group, self._taken.id)
            self._taken = None
        if self._has_left:  # what it took in an earlier life
            self._taken = self._take(again=True)
            self._has_left = self._taken is not None
        if self._taken is None:
            self._taken = self._take(again=False)
        return self._taken

    def _take(self, again: bool) -> EventBatch | None:
        return self._backend.take_events(self._group, self._consumer, self._idle, again)


def _event(row: EventRow) -> Event:
    at = dt.datetime.fromtimestamp(row.at, dt.UTC)
    return Event(row.id, row.job, row.task, State(row.state), at, row.worker, row.error)


async def _rings(rung: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(rung.wait(), seconds)
    except TimeoutError:
        pass
