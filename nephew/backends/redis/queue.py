"""Jobs come in and are taken: enqueue and claim."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from nephew.backends.records import Claimed, Enqueued, NewJob
from nephew.backends.redis import packing
from nephew.backends.redis.results import Results
from nephew.errors import Refused, UnknownWorker

log = logging.getLogger("huey.nephew.redis")

#: The most jobs in one step: a server takes no more values at once, and does nothing else meanwhile.
MOST = 100_000
#: What `lua/enqueue_plain.lua` says.
STORED, REPEATED = 1, 2


class Queue(Results):
    """The way into the queues, and into a worker's hand."""

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Store jobs; see the contract."""
        if len(jobs) > MOST:
            raise Refused(
                f"expected at most {MOST:,} jobs in one step on Redis, got {len(jobs):,}; enqueue them in parts"
            )
        if all(map(packing.is_plain, jobs)):
            script = "enqueue_one" if len(jobs) == 1 else "enqueue_plain"
            reply = self.run(script, *chain.from_iterable(map(packing.plain, jobs)), tells=True)
            if reply == STORED:
                return [Enqueued(job.id, False) for job in jobs]
            return self._enqueue(jobs, again=reply == REPEATED)
        return self._enqueue(jobs)

    def _enqueue(self, jobs: Sequence[NewJob], again: bool = False) -> list[Enqueued]:
        values = [value for job in jobs for value in packing.new_job(job)]
        replies = self.run("enqueue", "1", *values) if again else self.run("enqueue", *values, tells=True)
        return [Enqueued(reply[0].decode(), bool(reply[1])) for reply in replies]

    def claim(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = (), ids: Sequence[str] = ()
    ) -> list[Claimed]:
        """Take waiting jobs; see the contract."""
        reply = self.run("claim", worker, claim, limit, len(queues), *queues, *ids)
        if reply is None:
            raise UnknownWorker(f"worker {worker} is not registered; it signs on anew")
        return self._claimed(reply, claim)

    def _claimed(self, reply: Sequence[Any], claim: int) -> list[Claimed]:
        """The jobs that a script gave out, in its order, with all that a worker has to know of them."""
        told = zip(reply[1::4], reply[2::4], reply[3::4], reply[4::4], strict=True)
        jobs = [packing.claimed(id, record, marks, stop, claim) for id, record, marks, stop in told]
        jobs.sort(key=lambda job: (-job.priority, job.seq))  # a repeated claim finds them in any order
        if reply[0] > 1:
            log.error("%d places in a queue had no job and were dropped; someone else wrote to it.", reply[0] // 2)
        if reply[0] % 2:
            jobs = self._with_revocations(jobs)
        if any(job.chord is not None for job in jobs):
            jobs = [self._with_values(job) for job in jobs]
        return jobs

    def _with_revocations(self, jobs: Iterable[Claimed]) -> list[Claimed]:
        found = []
        for job in jobs:
            keys = (f"r:{job.id}", f"rt:{job.task}")
            values = self.call("HMGET", self.key("revoked"), *keys)
            revokes = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
            found.append(job._replace(revokes=revokes))
        return found

    def _with_values(self, job: Claimed) -> Claimed:
        if job.chord is None:
            return job
        values = self.call("HGETALL", self.key("chord", job.chord))
        pairs = sorted(zip(map(int, values[::2]), values[1::2], strict=True))
        return job._replace(chord_values=tuple(value for _, value in pairs))
