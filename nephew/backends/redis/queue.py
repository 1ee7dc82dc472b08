"""Jobs come in and are taken: enqueue and claim."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from nephew.backends.records import Claimed, Enqueued, NewJob
from nephew.backends.redis import packing
from nephew.backends.redis.results import Results
from nephew.backends.redis.steps import Evaluation
from nephew.errors import Refused, UnknownWorker
from nephew.tuples import maker

log = logging.getLogger("huey.nephew.redis")

#: The most jobs in one step: a server takes no more values at once, and does nothing else meanwhile.
MOST = 100_000
#: What `lua/enqueue_plain.lua` says.
STORED, REPEATED = 1, 2

_enqueued = maker(Enqueued)


class Queue(Results):
    """The way into the queues, and into a worker's hand."""

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Store jobs; see the contract."""
        if len(jobs) > MOST:
            raise Refused(
                f"expected at most {MOST:,} jobs in one step on Redis, got {len(jobs):,}; enqueue them in parts"
            )
        values = packing.plain(jobs[0]) if len(jobs) == 1 else packing.plain_runs(jobs)
        if values is None:
            return self._enqueue(jobs)
        reply = self.run("enqueue_one" if len(jobs) == 1 else "enqueue_plain", *values, tells=True)
        if reply == STORED:
            return [_enqueued((job.id, False)) for job in jobs]
        return self._enqueue(jobs, again=reply == REPEATED)

    def _enqueue(self, jobs: Sequence[NewJob], again: bool = False) -> list[Enqueued]:
        values = [value for job in jobs for value in packing.new_job(job)]
        replies = self.run("enqueue", "1", *values) if again else self.run("enqueue", *values, tells=True)
        return [Enqueued(reply[0].decode(), bool(reply[1])) for reply in replies]

    def claim(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = (), ids: Sequence[str] = ()
    ) -> list[Claimed]:
        """Take waiting jobs; see the contract."""
        if ids:
            return self.taken(worker, claim, self.run("claim_named", worker, claim, *ids))
        return self.claim_ahead(worker, claim, limit, queues)()

    def claim_ahead(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = ()
    ) -> Callable[[], list[Claimed]]:
        """Send a claim and do not wait; see the contract."""
        answer = self.run_ahead("claim", worker, claim, limit, *queues)
        return lambda: self.taken(worker, claim, answer())

    def waiting_claim(self, worker: int, claim: int, limit: int, queues: Sequence[str], seconds: float) -> Evaluation:
        """A claim that the server may do as late as in so many seconds."""
        return self.evaluation("claim", worker, claim, limit, *queues, within=seconds)

    def taken(self, worker: int, claim: int, reply: Sequence[Any] | None) -> list[Claimed]:
        """The jobs that a claim took, by the reply to it."""
        if reply is None:
            raise UnknownWorker(f"worker {worker} is not registered; it signs on anew")
        return self._claimed(reply, claim)

    def _claimed(self, reply: Sequence[Any], claim: int) -> list[Claimed]:
        """The jobs that a script gave out, in their order, with all that a worker has to know of them."""
        revocations, ordered, dropped, more, ids, records = reply
        jobs = [packing.claimed(id, record, claim) for id, record in zip(ids, records, strict=True)]
        for index, marks, stop in zip(more[::3], more[1::3], more[2::3], strict=True):
            jobs[index] = packing.claimed(ids[index], records[index], claim, marks, stop)
        if not ordered:
            jobs.sort(key=lambda job: (-job.priority, job.seq))
        if dropped:
            log.error("%d places in a queue had no job and were dropped; someone else wrote to it.", dropped)
        if revocations and jobs:
            jobs = self._with_revocations(jobs)
        if any(job.chord is not None for job in jobs):
            jobs = [self._with_values(job) for job in jobs]
        return jobs

    def _with_revocations(self, jobs: Sequence[Claimed]) -> list[Claimed]:
        keys = [*{key: None for job in jobs for key in _revoking(job)}]
        found = {
            key: value
            for key, value in zip(keys, self.call("HMGET", self.key("revoked"), *keys), strict=True)
            if value is not None
        }
        return [job._replace(revokes={key: found[key] for key in _revoking(job) if key in found}) for job in jobs]

    def _with_values(self, job: Claimed) -> Claimed:
        if job.chord is None:
            return job
        values = self.call("HGETALL", self.key("chord", job.chord))
        pairs = sorted(zip(map(int, values[::2]), values[1::2], strict=True))
        return job._replace(chord_values=tuple(value for _, value in pairs))


def _revoking(job: Claimed) -> tuple[str, str]:
    """The keys of what may have revoked a job: its own, and its task's."""
    return f"r:{job.id}", f"rt:{job.task}"
