"""What happened and what waits, for people: records, attempts, counts; and deleting them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from nephew.backends.records import EVERY, AttemptRow, Failures, Filter, LogLines, Row
from nephew.backends.redis import packing
from nephew.backends.redis.places import CHUNK, LATER, Places, steps, waiter
from nephew.backends.redis.results import Results
from nephew.job import ENDED

#: What a flush of these deletes: jobs in these states.
FLUSHED = {"queue": ("queued", "running", "parked"), "schedule": LATER}


class History(Places, Results):
    """The records of jobs, read."""

    def row(self, job_id: str) -> Row | None:
        """A job's record; see the contract."""
        rows = self._read([job_id], None)
        return rows[0] if rows else None

    def rows(
        self,
        wanted: Filter = EVERY,
        limit: int | None = 100,
        oldest_first: bool = False,
        longest: int | None = None,
    ) -> list[Row]:
        """Records of jobs; see the contract."""
        found = self._in_their_order(wanted) if oldest_first else self.latest_first(wanted.states, wanted.queue)
        rows = self._meant(wanted, (job_id for _, job_id in found), longest, limit)
        return list(islice(rows, limit))

    def _in_their_order(self, wanted: Filter) -> Iterator[tuple[float, str]]:
        """As they will run: those who wait for a worker as it is their turn, then the others by their times."""
        if not wanted.states or "queued" in wanted.states:
            yield from self.in_turn(wanted.queue)
        yield from self.by_time(state for state in LATER if not wanted.states or state in wanted.states)

    def _meant(
        self, wanted: Filter, ids: Iterator[str], longest: int | None, limit: int | None = None
    ) -> Iterator[Row]:
        """Of these jobs those that are meant, each once; where no more are looked at than are wanted, only `limit`."""
        plain = wanted._replace(states=()) == EVERY
        met: set[str] = set()
        for some in steps(ids, min(limit, CHUNK) if plain and limit else CHUNK):
            fresh = [job_id for job_id in some if job_id not in met]
            met.update(fresh)
            yield from (row for row in self._read(fresh, longest) if is_meant(row, wanted))

    def _read(self, ids: Sequence[str], longest: int | None) -> list[Row]:
        """The records of these jobs, as far as they are there."""
        found = self.run("rows", "" if longest is None else longest, *ids) if ids else []
        return [packing.row(*values) for values in found]

    def count(self, wanted: Filter) -> int:
        """How many jobs are meant; see the contract."""
        if wanted._replace(states=()) == EVERY:
            counts = self.counts()
            return sum(counts.get(state, 0) for state in wanted.states or counts)
        ids = (job_id for _, job_id in self.latest_first(wanted.states, wanted.queue))
        return sum(1 for _ in self._meant(wanted, ids, 0))

    def ids(self, wanted: Filter, after: int = 0, limit: int = 500) -> list[tuple[int, str]]:
        """Places and ids of jobs; see the contract."""
        places: dict[str, int] = {}

        def ids() -> Iterator[str]:
            for place, job_id in self.behind(after, wanted.states, wanted.queue):
                places.setdefault(job_id, place)
                yield job_id

        found = islice(self._meant(wanted, ids(), 0, limit), limit)
        return [(places[row.id], row.id) for row in found]

    def relatives(self, job_id: str) -> tuple[list[str], list[str]]:
        """What a job follows from, and what follows from it; see the contract."""
        found = self._read([job_id], 0)
        if not found:
            return [], []
        (row,) = found
        parents = [row.parent] if row.parent is not None else []
        if row.relation == "chord" and row.parent is not None:
            parents = self._kept(self.key("members", row.parent))
        kin = (self.key("kin", name) for name in (job_id, row.member) if name is not None)
        return parents, self._kept(*kin)

    def _kept(self, *sets: str) -> list[str]:
        """The jobs of these sets that are still there, in the order of their places."""
        ids = sorted(self.call("SUNION", *sets))
        places = self.run("places", *ids) if ids else []
        return [job_id.decode() for place, job_id in sorted(zip(places, ids, strict=True)) if place]

    def failures(self, task: str | None = None, limit: int = 100) -> list[Failures]:
        """Failed jobs by their fingerprints; see the contract."""
        wanted = Filter(("failed",), task)
        kinds: dict[str | None, Failures] = {}
        ids = (job_id for _, job_id in self.latest_first(wanted.states))
        for row in self._meant(wanted, ids, 0):
            ended_at = row.finished_at or 0.0
            kind = kinds.get(row.fingerprint) or Failures(row.fingerprint, 0, 0.0, row.id, row.task, row.error, None)
            kinds[row.fingerprint] = kind._replace(jobs=kind.jobs + 1, last_at=max(kind.last_at, ended_at))
        most = sorted(kinds.values(), key=lambda kind: (-kind.jobs, -kind.last_at))[:limit]
        results = self.peek([kind.id for kind in most])
        return [kind._replace(result=results.get(kind.id)) for kind in most]

    def logs(self, job_id: str) -> list[LogLines]:
        """Log lines of a job; see the contract."""
        logs = {int(attempt): json.loads(kept) for attempt, kept in self.scan(self.key("logs", job_id))}
        return [LogLines(attempt, *logs[attempt]) for attempt in sorted(logs)]

    def attempts(self, job_id: str) -> list[AttemptRow]:
        """Stored attempts; see the contract."""
        return [AttemptRow(*json.loads(kept)) for kept in self.call("LRANGE", self.key("attempts", job_id), 0, -1)]

    def counts(self) -> dict[str, int]:
        """Jobs by state; see the contract."""
        *found, _ = self.run("counts")
        return {state.decode(): count for state, count in zip(found[::2], found[1::2], strict=True) if count}

    def waiting_count(self) -> int:
        """Unclaimed jobs in the queue; see the contract."""
        return int(self.run("counts")[-1])

    def oldest_waiting(self) -> float | None:
        """When the oldest waiting job was enqueued; see the contract."""
        firsts = [waiter(first) for _, _, first in self.run("lines", "")]
        oldest = self._read([min(firsts)[1]], 0) if firsts else []
        return oldest[0].enqueued_at if oldest else None

    def delete_jobs(self, ids: Sequence[str], ended: bool = False) -> int:
        """Delete jobs; see the contract."""
        return self._delete(ids, (*ENDED, "parked") if ended else ()) if ids else 0

    def _delete(self, ids: Sequence[str], states: Sequence[str]) -> int:
        """Delete those of these jobs that are in one of these states; none: in any."""
        return int(self.run("delete", f" {' '.join(states)} " if states else "", *ids))

    def flush(self, what: str) -> None:
        """Delete all of one kind, a little at a time; see the contract."""
        if what == "results":
            self._flush_results()
        elif what == "counters":
            self.call("UNLINK", self.key("counters"))
        else:
            states = FLUSHED[what]
            for ids in steps([job_id for _, job_id in self.latest_first(states)], CHUNK):
                self._delete(ids, states)

    def _flush_results(self) -> None:
        self.call("UNLINK", *(self.key(word) for word in ("data", "revoked", "data_until")))
        for slot in self.call("ZRANGE", self.key("slots"), 0, -1):
            for some in steps((job_id for job_id, _ in self.scan(slot)), CHUNK):
                self.run("take_results", *some)


def is_meant(row: Row, wanted: Filter) -> bool:
    """Whether a job is one of those."""
    return (
        (not wanted.states or row.state in wanted.states)
        and (wanted.task is None or row.task == wanted.task)
        and (wanted.queue is None or row.queue == wanted.queue)
        and (wanted.tag is None or f",{wanted.tag}," in (row.tags or ""))
        and (wanted.error is None or wanted.error in (row.error or ""))
        and (wanted.fingerprint is None or row.fingerprint == wanted.fingerprint)
        and (wanted.before is None or row.enqueued_at < wanted.before)
        and (wanted.after is None or row.enqueued_at >= wanted.after)
    )
