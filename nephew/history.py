"""The jobs of a queue on Redis and those in its archive, read and steered as one.

A job goes from the queue into the archive: the queue is always asked first, so that none is missed on its way, and
one that is in both is as the queue says. While the archive cannot be reached, all is told and done as far as the
queue goes.
"""

from __future__ import annotations

import heapq
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from nephew.backends.records import EVERY, AttemptRow, Failures, Filter, LogLines, Row
from nephew.backends.redis.history import is_meant
from nephew.backends.schedules import TickRow
from nephew.errors import NephewError
from nephew.job import ENDED, State

if TYPE_CHECKING:
    from nephew.backends.redis import RedisBackend
    from nephew.backends.sql.archive import Archive
    from nephew.pruning import Pruner

log = logging.getLogger("huey.nephew.history")

#: Jobs that have failed, of one task or of all.
FAILED = Filter((str(State.FAILED),))

Place = tuple[int, str]
T = TypeVar("T")


class History:
    """What a backend tells of its jobs (see `nephew.backends.contract`), for a queue with an archive."""

    def __init__(self, queue: RedisBackend, store: Archive) -> None:
        self._queue, self._store = queue, store

    def now(self) -> float:
        """The queue's clock."""
        return self._queue.now()

    # -- one job ------------------------------------------------------------------------------------
    def row(self, job_id: str) -> Row | None:
        """A job's record."""
        return self._queue.row(job_id) or self._archived(lambda: self._store.row(job_id))

    def attempts(self, job_id: str) -> list[AttemptRow]:
        """The stored attempts of a job, oldest first."""
        return self._queue.attempts(job_id) or self._unless_here(job_id, self._store.attempts)

    def logs(self, job_id: str) -> list[LogLines]:
        """What a job's attempts have logged, the first attempt first."""
        return self._queue.logs(job_id) or self._unless_here(job_id, self._store.logs)

    def _unless_here(self, job_id: str, ask: Callable[[str], list[T]]) -> list[T]:
        """What the archive answers about a job that the queue does not have."""
        return [] if self._queue.known([job_id]) else self._archived(lambda: ask(job_id)) or []

    def relatives(self, job_id: str) -> tuple[list[str], list[str]]:
        """The ids of the jobs that a job follows from, and of those that follow from it."""
        row = self.row(job_id)
        if row is None:
            return [], []
        here, there = self._queue.family(row), self._archived(lambda: self._store.family(row)) or ([], [])
        return _ids([*here[0], *there[0]]), _ids([*here[1], *there[1]])

    # -- many ---------------------------------------------------------------------------------------
    def rows(
        self,
        wanted: Filter = EVERY,
        limit: int | None = 100,
        oldest_first: bool = False,
        longest: int | None = None,
    ) -> list[Row]:
        """Records of jobs, the latest first."""
        here = self._queue.rows(wanted, limit, oldest_first, longest)
        if not _may_have_ended(wanted):
            return here
        met = {row.id for row in here}
        there = self._archived(lambda: self._store.rows(wanted, limit, oldest_first, longest)) or []
        others = (row for row in there if row.id not in met)
        merged = heapq.merge(here, others, key=lambda row: row.seq, reverse=not oldest_first)
        return list(islice(merged, limit))

    def ids(self, wanted: Filter, after: int = 0, limit: int = 500) -> list[Place]:
        """Places and ids of the jobs that are meant, behind the place `after`, in order."""
        here = self._queue.ids(wanted, after, limit)
        if not _may_have_ended(wanted):
            return here
        there = self._archived(lambda: self._store.ids(wanted, after, limit)) or []
        return sorted({*here, *there})[:limit]

    def count(self, wanted: Filter) -> int:
        """How many jobs are meant."""
        here = self._queue.count(wanted)
        if not _may_have_ended(wanted):
            return here
        twice = sum(1 for row in self._in_both() if is_meant(row, wanted))
        return here + (self._archived(lambda: self._store.count(wanted) - twice) or 0)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        twice = Counter(row.state for row in self._in_both())
        here, there = self._queue.counts(), self._archived(self._store.counts) or {}
        return {state: here.get(state, 0) + there.get(state, 0) - twice[state] for state in {**here, **there}}

    def failures(self, task: str | None = None, limit: int = 100) -> list[Failures]:
        """Failed jobs by their fingerprints, the most frequent first."""
        wanted = FAILED._replace(task=task)
        twice = Counter(row.fingerprint for row in self._in_both() if is_meant(row, wanted))
        there = self._archived(lambda: self._store.failures(task, sys.maxsize)) or []
        kinds: dict[str | None, Failures] = {}
        for kind in (
            *self._queue.failures(task, sys.maxsize),
            *(kind._replace(jobs=kind.jobs - twice[kind.fingerprint]) for kind in there),
        ):
            known = kinds.get(kind.fingerprint)
            if known is not None:
                latest = max(known, kind, key=lambda each: each.last_at)
                kind = latest._replace(jobs=known.jobs + kind.jobs)
            kinds[kind.fingerprint] = kind
        found = (kind for kind in kinds.values() if kind.jobs > 0)
        return sorted(found, key=lambda kind: (-kind.jobs, -kind.last_at))[:limit]

    def _in_both(self) -> list[Row]:
        """Archived jobs that the queue has not let go of yet, or has again; a batch at most."""
        ids = self._ids_in_both()
        return self._archived(lambda: list(filter(None, map(self._store.row, ids)))) or []

    def _ids_in_both(self) -> set[str]:
        return self._queue.known(self._archived(self._store.moved) or [])

    # -- ticks --------------------------------------------------------------------------------------
    def ticks(self, schedule: str, limit: int = 20, before: float | None = None) -> list[TickRow]:
        """The ledger of a schedule, the latest tick first."""
        here = self._queue.ticks(schedule, limit, before)
        met = {tick.due for tick in here}
        there = self._archived(lambda: self._store.ticks(schedule, limit, before)) or []
        others = (tick for tick in there if tick.due not in met)
        return list(islice(heapq.merge(here, others, key=lambda tick: tick.due, reverse=True), limit))

    # -- steering -----------------------------------------------------------------------------------
    def requeue(self, job_id: str) -> bool:
        """Put an ended job back into the queue; see the contract. One in the archive leaves it.

        :raises BackendError: when the job is not in the queue and the archive cannot be reached.
        """
        if not (self._queue.requeue(job_id) or self._restore(job_id)):
            return False
        self._archived(lambda: self._store.delete_jobs([job_id]))
        return True

    def _restore(self, job_id: str) -> bool:
        if self._queue.known([job_id]) or not self._store.is_there():
            return False
        row = self._store.row(job_id)
        if row is None or row.state not in ENDED:
            return False
        return self._queue.restore(row, self._store.attempts(job_id), self._store.logs(job_id))

    def delete_jobs(self, ids: Sequence[str], ended: bool = False) -> int:
        """Delete jobs and all that belongs to them; how many.

        :param ended: only those that have ended or are parked.
        """
        self._queue.note_deleted(ids)
        here = self._queue.known(ids)
        count = self._queue.delete_jobs(ids, ended)
        self._archived(lambda: self._store.delete_jobs(list(here), ended))
        others = [job_id for job_id in ids if job_id not in here]
        return count + (self._archived(lambda: self._store.delete_jobs(others, ended)) or 0)

    def prune(self, pruner: Pruner, dry_run: bool) -> Mapping[State, int]:
        """Let a pruner of the archive do its part, or only count; how many jobs of each state.

        :param dry_run: only count, those aside that the queue has as well.
        """
        if not dry_run:
            return self._archived(pruner.run) or {}
        twice = list(self._ids_in_both())
        return self._archived(lambda: pruner.count(self._store.seqs(twice))) or {}

    # -- the archive --------------------------------------------------------------------------------
    def _archived(self, ask: Callable[[], T]) -> T | None:
        """What the archive answers; None while there is none yet, and while it cannot be reached: that is said once."""
        try:
            answer = ask() if self._store.is_there() else None
        except NephewError as error:
            if not self._store.away:
                log.warning("The archive cannot be reached (%s); what is on Redis is told and changed alone.", error)
            self._store.away = True
            return None
        self._store.away = False
        return answer


def _may_have_ended(wanted: Filter) -> bool:
    """Whether ended jobs are meant; only these are archived."""
    return not wanted.states or not ENDED.isdisjoint(wanted.states)


def _ids(places: Iterable[Place]) -> list[str]:
    return list(dict.fromkeys(job_id for _, job_id in sorted(places)))
