"""What the contract tests put into a backend: jobs, workers, and the outcomes of claims."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from typing import Any

from nephew.backends.contract import Backend
from nephew.backends.records import Claimed, Died, NewJob, Outcome, Settled, WorkerRecord
from nephew.job import State, new_id

__all__ = ["Hand", "again", "failed", "fails", "given_back", "job", "jobs", "parked", "record", "succeeded"]


def job(id: str | None = None, **changes: Any) -> NewJob:
    return NewJob(id or new_id(), "demo", "default", b"payload")._replace(**changes)


def jobs(*ids: str, **changes: Any) -> list[NewJob]:
    return [job(id, **changes) for id in ids]


#: A process id that the kernel gives to nobody.
NO_PID = 2**22 + 1


def record(**changes: Any) -> WorkerRecord:
    """A worker that is not registered yet, on a host of which nothing else is known."""
    return WorkerRecord(0, uuid.uuid4().hex, "parent", "host", "boot", "pids", 7, "", "thread", "", 0.0, 0.0)._replace(
        **changes
    )


def succeeded(claimed: Claimed, **changes: Any) -> Outcome:
    return _ended(claimed, State.SUCCEEDED)._replace(result=b"result")._replace(**changes)


def failed(claimed: Claimed, **changes: Any) -> Outcome:
    outcome = _ended(claimed, State.FAILED)._replace(attempt="failed", error="Oops()", traceback="Traceback")
    return outcome._replace(**changes)


def again(claimed: Claimed, **changes: Any) -> Outcome:
    """A failed attempt that is followed by another one."""
    return failed(claimed)._replace(state=State.QUEUED, payload=b"next attempt")._replace(**changes)


def given_back(claimed: Claimed) -> Outcome:
    return Outcome(claimed.seq, claimed.id, claimed.claim, State.QUEUED)


def parked(claimed: Claimed, reason: str) -> Outcome:
    return Outcome(claimed.seq, claimed.id, claimed.claim, State.PARKED, reason=reason)


def fails(*args: Any, **kwargs: Any) -> None:
    """The function of a task."""
    raise ValueError("oops")


def _ended(claimed: Claimed, state: State) -> Outcome:
    return Outcome(
        claimed.seq, claimed.id, claimed.claim, state, True, started_at=100.0, finished_at=101.5, worker="here"
    )


class Hand:
    """A registered worker, which counts its claims and settles as a worker does."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.number = backend.register(record())
        self._claims, self._settles = itertools.count(1), itertools.count(1)

    def claim(self, limit: int = 1, queues: Sequence[str] = (), ids: Sequence[str] = ()) -> list[Claimed]:
        return self.backend.claim(self.number, next(self._claims), limit, queues, ids)

    def settle(self, *outcomes: Outcome) -> Settled:
        return self.backend.settle(self.number, next(self._settles), outcomes)

    def dies(self, *running: Claimed, heir: Hand | None = None, cap: int = 3, charged: bool = True) -> list[Claimed]:
        """It is reaped, with evidence of what it was running; what its heir has to fail."""
        evidence = {(claimed.seq, claimed.claim): 100.0 for claimed in running}
        return self.is_reaped(Died(self.number, evidence, "killed by a test", charged), heir, cap)

    def is_reaped(self, died: Died, heir: Hand | None = None, cap: int = 3) -> list[Claimed]:
        heir = heir or Hand(self.backend)
        return self.backend.reap(died, heir.number, next(heir._claims), lambda task: cap)
