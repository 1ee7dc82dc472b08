"""What SQLite does for one more job of a batch, counted in instructions of its machine: the same on any computer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nephew.backends.records import Claimed
from nephew.backends.sql import SqlBackend, open_sql
from tests.contract.jobs import Hand, job, succeeded

#: Instructions: 95, 126 and 161 when this was written. Each release of SQLite has its own way with a statement.
ENQUEUE, CLAIM, SETTLE = 119, 157, 201
#: Sizes of two batches; their difference leaves out what is once for all.
FEW, MANY = 64, 128


@pytest.fixture
def backend(sqlite_url: str, name: str) -> Iterator[SqlBackend]:
    backend = open_sql(name, sqlite_url, None, True)
    backend.migrate()
    yield backend
    backend.close()


class Machine:
    """Counts what the machine of a connection does."""

    def __init__(self, backend: SqlBackend) -> None:
        self._done = 0
        backend.database.connection().set_progress_handler(self._count, 1)

    def _count(self) -> None:
        self._done += 1

    def steps(self, act: Callable[[], Any]) -> int:
        """How many instructions an act takes."""
        before = self._done
        act()
        return self._done - before


def test_one_more_job_costs_sqlite_few_instructions(backend: SqlBackend):
    machine, hand = Machine(backend), Hand(backend)

    few, many = life_of(FEW, machine, hand), life_of(MANY, machine, hand)

    enqueue, claim, settle = ((more - less) / (MANY - FEW) for less, more in zip(few, many, strict=True))
    assert enqueue <= ENQUEUE
    assert claim <= CLAIM
    assert settle <= SETTLE


def life_of(size: int, machine: Machine, hand: Hand) -> tuple[int, int, int]:
    """What it takes to enqueue, claim and settle so many jobs at once."""
    given = [job() for _ in range(size)]
    enqueueing = machine.steps(lambda: hand.backend.enqueue(given))
    claimed: list[Claimed] = []
    claiming = machine.steps(lambda: claimed.extend(hand.claim(size)))
    assert len(claimed) == size
    return enqueueing, claiming, machine.steps(lambda: hand.settle(*map(succeeded, claimed)))
