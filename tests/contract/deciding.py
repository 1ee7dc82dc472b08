"""Decisions on due times, as schedulers make them, and what the ledger says of them."""

from __future__ import annotations

from collections.abc import Callable

from nephew.backends.contract import Backend
from nephew.backends.records import NewJob
from nephew.backends.schedules import Decided, Decision, NewTick, ScheduleRow
from tests.contract.jobs import Hand, job, succeeded

#: A moment in the past, on the full hour.
NOON = 1772366400.0


def tick(due: float, job_: NewJob | None = None) -> NewTick:
    return NewTick(due, job_ or job(), "enqueued")


def decision(*ticks: NewTick, schedule: str = "hourly", seen: float = NOON, overlap: str = "allow") -> Decision:
    return Decision(schedule, seen, ticks[-1].due, overlap, ticks)


def begun(backend: Backend, *names: str) -> Backend:
    backend.begin_schedules(names or ["hourly"], NOON)
    return backend


def decide(backend: Backend, *given: Decision) -> list[Decided]:
    return backend.decide(given)


def fates(backend: Backend, schedule: str = "hourly") -> list[tuple[float, str, str]]:
    """Minutes after noon, fate and reason of all rows, the first one first."""
    rows = backend.ticks(schedule, 10_000)
    return [((row.due - NOON) / 60, row.fate, row.reason) for row in reversed(rows)]


def ends(backend: Backend, *ids: str, how: Callable[..., object] = succeeded) -> None:
    """These jobs are run and end."""
    hand = Hand(backend)
    hand.settle(*(how(claimed, finished_at=backend.now()) for claimed in hand.claim(len(ids), ids=ids)))
    backend.retire(hand.number)


def stored(backend: Backend, name: str = "hourly") -> ScheduleRow:
    return next(row for row in backend.schedules()[1] if row.schedule == name)
