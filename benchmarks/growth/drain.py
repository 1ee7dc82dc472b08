"""One turn: consumers are started on a load, and what its jobs cost is seen."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.board import Board
from benchmarks.consumers import Consumers
from benchmarks.growth.backlog import Backlog
from benchmarks.processes import used, used_since

_LOOK_SECONDS = 0.005
_START_SECONDS = 60
_PATIENCE_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Cost:
    """What one job cost, in seconds.

    :ivar wall: from the first to the last job of the drain.
    :ivar consumers: processor time of all of the consumers' processes.
    :ivar server: that of the server's.
    :ivar bare: what its argument takes by itself, see `Backlog.bare_seconds`.
    """

    wall: float
    consumers: float
    server: float
    bare: float

    @property
    def ours(self) -> float:
        """The wall time without what the argument takes by itself."""
        return self.wall - self.bare

    @property
    def cpu(self) -> float:
        """All processor time."""
        return self.consumers + self.server

    @property
    def cores(self) -> float:
        """How many cores were in use."""
        return self.cpu / self.wall


def drain(backlog: Backlog) -> Cost:
    """Start the consumers, and stop them when the load's jobs have run; what waits behind stays."""
    load = backlog.load
    if not load.surprised:
        backlog.refill()
    bare = backlog.bare_seconds()
    backlog.board.clear()
    with backlog.consumers() as consumers:
        if load.surprised:
            backlog.await_workers()
            backlog.enqueue(load.jobs)
        slots = backlog.slots()
        cpu = _watch(backlog, slots, consumers)
    moments = [backlog.board.moments[slot] for slot in slots]
    return Cost((max(moments) - min(moments)) / 1e9 / (load.jobs - 1), *cpu, bare)


def _watch(backlog: Backlog, slots: Sequence[int], consumers: Consumers) -> tuple[float, float]:
    """Return when all have run; the processor time per job of the consumers, and of the server."""
    backlog.board.await_run(slots[0], _START_SECONDS, consumers.check)
    ours, theirs = used(consumers.pids()), used(backlog.store.pids())
    first = seen = _seen_from(0, backlog.board, slots)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (seen := _seen_from(seen, backlog.board, slots)) < len(slots):
        consumers.check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{seen} of {len(slots)} jobs ran within {_PATIENCE_SECONDS} s")
        time.sleep(_LOOK_SECONDS)
    jobs = max(1, len(slots) - first)
    return used_since(ours) / jobs, used_since(theirs) / jobs


def _seen_from(seen: int, board: Board, slots: Sequence[int]) -> int:
    while seen < len(slots) and board.moments[slots[seen]]:
        seen += 1
    return seen
