"""A backend and the model of it: whatever is done is done to both, and compared."""

from __future__ import annotations

import uuid
from collections import Counter
from typing import Any

from hypothesis import note

from nephew.backends.contract import Backend
from nephew.backends.records import Filter, Row
from nephew.errors import UnknownWorker
from nephew.job import ENDED, State
from nephew.opening import open_backend
from nephew.settings import Settings
from tests.contract import ageing
from tests.contract.model import NOBODY, Model

UNKNOWN = "a worker that is not registered"


class Pair:
    """An instance of its own on a backend, and what it should be."""

    def __init__(self, url: str) -> None:
        self.backend = open_backend(f"model-{uuid.uuid4().hex[:12]}", url, None, None, "", Settings())
        self.backend.begin_schedules(["nightly"], 0.0)
        self.model = Model(float(int(self.backend.now())))

    def pass_time(self, seconds: float) -> None:
        ageing.pass_time(self.backend, seconds)
        self.model.pass_time(seconds)

    def rows(self, *states: State) -> list[Row]:
        """The jobs in these states, or all, the latest first."""
        return [row for row in reversed(self.model.rows.values()) if not states or row.state in states]

    def held(self) -> list[Row]:
        return [row for row in self.rows() if row.worker is not None]

    # -- comparing ----------------------------------------------------------------------------------
    def both(self, verb: str, *args: Any) -> Any:
        """Do it on the model and on the backend: the answer, which is the same."""
        expected, got = (_answer(side, verb, args) for side in (self.model, self.backend))
        note(f"    {verb}{args} -> {got}")
        assert got == expected, f"{verb} has to answer\n{expected}, and answers\n{got}"
        return [] if got == UNKNOWN else got

    def compare(self) -> None:
        """All that can be seen is the same."""
        backend, model = self.backend, self.model
        rows = {row.id: self.seen(row) for row in reversed(backend.rows(limit=None))}
        assert list(rows) == list(model.rows), "the places are in another order"
        for id, row in rows.items():
            model.rows[id] = model.rows[id]._replace(seq=row.seq)  # the store's numbers; their order is the model's
            assert row == model.rows[id]._replace(finished_at=None)
        counts = Counter(str(row.state) for row in rows.values())
        in_turn = [row.id for row in model.in_turn()]
        assert backend.counts() == counts
        assert backend.waiting_count() == len(in_turn)
        assert [row.id for row in backend.rows(Filter(("queued",)), None, oldest_first=True)] == in_turn
        assert sorted(backend.expired()) == sorted(model.expired())
        assert (backend.next_due(), backend.has_lost()) == (model.next_due(), model.has_lost())
        assert {worker.number for worker in backend.workers()} == set(model.workers)
        for number in model.workers:
            assert sorted(backend.held(number)) == sorted(model.held(number))
            assert sorted(backend.asked_to_stop(number)) == sorted(model.asked_to_stop(number))
        assert [(lock.name, lock.owner) for lock in backend.locks()] == model.locks()

    def seen(self, row: Row) -> Row:
        """Of a row, what the model knows: not when it was written, nor who held what has ended."""
        row = row._replace(enqueued_at=0.0, worker_label=None, finished_at=None)
        if row.worker is None or row.state in ENDED:
            ended = row.state in ENDED
            return row._replace(worker=None, claim=None, cancelling=None if ended else row.cancelling)
        return row if row.worker in self.model.workers else row._replace(worker=NOBODY)


def _answer(side: Backend | Model, verb: str, args: tuple[Any, ...]) -> Any:
    try:
        answer = getattr(side, verb)(*args)
    except UnknownWorker:
        return UNKNOWN
    if verb == "claim":  # the once of a repeated claim is nobody's business
        return [claimed._replace(once=False) for claimed in answer]
    if verb == "settle":  # who has instead what was lost is for people
        return answer._replace(lost=dict.fromkeys(answer.lost))
    return answer
