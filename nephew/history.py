"""The jobs of a queue on Redis and those in its archive, read and steered as one.

A job goes from the queue into the archive: the queue is always asked first, so that none is missed on its way, and
one that is in both is as the queue says.
"""

from __future__ import annotations

import heapq
import sys
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from nephew.backends.records import EVERY, AttemptRow, Failures, Filter, LogLines, Row
from nephew.job import ENDED

if TYPE_CHECKING:
    from nephew.backends.redis import RedisBackend
    from nephew.backends.sql.archive import Archive

Place = tuple[int, str]


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
        return self._queue.row(job_id) or self._store.row(job_id)

    def attempts(self, job_id: str) -> list[AttemptRow]:
        """The stored attempts of a job, oldest first."""
        return self._queue.attempts(job_id) or self._store.attempts(job_id)

    def logs(self, job_id: str) -> list[LogLines]:
        """What a job's attempts have logged, the first attempt first."""
        return self._queue.logs(job_id) or self._store.logs(job_id)

    def relatives(self, job_id: str) -> tuple[list[str], list[str]]:
        """The ids of the jobs that a job follows from, and of those that follow from it."""
        row = self.row(job_id)
        if row is None:
            return [], []
        here, there = self._queue.family(row), self._store.family(row)
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
        met = {row.id for row in here}
        there = (row for row in self._store.rows(wanted, limit, oldest_first, longest) if row.id not in met)
        merged = heapq.merge(here, there, key=lambda row: row.seq, reverse=not oldest_first)
        return list(islice(merged, limit))

    def ids(self, wanted: Filter, after: int = 0, limit: int = 500) -> list[Place]:
        """Places and ids of the jobs that are meant, behind the place `after`, in order."""
        here = self._queue.ids(wanted, after, limit)
        return sorted({*here, *self._store.ids(wanted, after, limit)})[:limit]

    def count(self, wanted: Filter) -> int:
        """How many jobs are meant."""
        return self._queue.count(wanted) + self._store.count(wanted)

    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        here, there = self._queue.counts(), self._store.counts()
        return {state: here.get(state, 0) + there.get(state, 0) for state in {**here, **there}}

    def failures(self, task: str | None = None, limit: int = 100) -> list[Failures]:
        """Failed jobs by their fingerprints, the most frequent first."""
        kinds: dict[str | None, Failures] = {}
        for kind in (*self._queue.failures(task, sys.maxsize), *self._store.failures(task, sys.maxsize)):
            known = kinds.get(kind.fingerprint)
            if known is not None:
                latest = max(known, kind, key=lambda each: each.last_at)
                kind = latest._replace(jobs=known.jobs + kind.jobs)
            kinds[kind.fingerprint] = kind
        return sorted(kinds.values(), key=lambda kind: (-kind.jobs, -kind.last_at))[:limit]

    # -- steering -----------------------------------------------------------------------------------
    def requeue(self, job_id: str) -> bool:
        """Put an ended job back into the queue; see the contract. One in the archive leaves it."""
        if not (self._queue.requeue(job_id) or self._restore(job_id)):
            return False
        self._store.delete_jobs([job_id])
        return True

    def _restore(self, job_id: str) -> bool:
        row = self._store.row(job_id)
        if row is None or row.state not in ENDED:
            return False
        return self._queue.restore(row, self._store.attempts(job_id), self._store.logs(job_id))

    def delete_jobs(self, ids: Sequence[str], ended: bool = False) -> int:
        """Delete jobs and all that belongs to them; how many.

        :param ended: only those that have ended or are parked.
        """
        self._queue.note_deleted(ids)
        return self._queue.delete_jobs(ids, ended) + self._store.delete_jobs(ids, ended)


def _ids(places: Iterable[Place]) -> list[str]:
    return list(dict.fromkeys(job_id for _, job_id in sorted(places)))
