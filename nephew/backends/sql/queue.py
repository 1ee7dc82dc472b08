"""Jobs come in and are taken: enqueue and claim."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nephew.backends.records import Claimed, Enqueued, NewJob
from nephew.backends.sql.connection import Run
from nephew.backends.sql.dialects import marks
from nephew.backends.sql.results import Results
from nephew.errors import UnknownWorker

INSERT = (
    "INSERT INTO nephew_job"
    " (name, id, task, queue, state, priority, eta, payload, unique_key, chord, expires_at, parent, relation,"
    " member, tags, redacted, enqueued_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)
TAKEN = (
    "seq, id, task, queue, payload, priority, attempts, crashes, alone, claim, chord, expires_at, tags, cancelling,"
    " once,"
    " EXISTS (SELECT 1 FROM nephew_data WHERE name = ? AND revocation)"
)
#: Asked by a claim of itself: a repeated one takes nothing more.
HELD = "SELECT 1 FROM nephew_job WHERE worker = ? AND claim = ? AND finished_at IS NULL"
#: Most jobs have no revocation.
NOTHING: dict[str, bytes] = {}


class Queue(Results):
    """The way into the job table, and into a worker's hand."""

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Store jobs; see the contract."""
        if len(jobs) == 1:
            return [self._enqueue_one(jobs[0])]
        return self.write(lambda run: self._enqueue(run, jobs, tell=True), lambda run: self._enqueue_missing(run, jobs))

    def _enqueue_missing(self, run: Run, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """After a lost reply: what is there was stored by the first try, and may have ended since."""
        stored = {job.id for job in jobs if self._exists(run, job)}
        rest = iter(self._enqueue(run, [job for job in jobs if job.id not in stored], tell=True))
        return [Enqueued(job.id, False) if job.id in stored else next(rest) for job in jobs]

    def _exists(self, run: Run, job: NewJob) -> bool:
        found = run("SELECT 1 FROM nephew_job WHERE name = ? AND id = ?", (self.name, job.id))
        return found.fetchone() is not None

    def _enqueue_one(self, job: NewJob) -> Enqueued:
        insert, more = self.dialect.telling(f"{INSERT} RETURNING seq", self.name)
        values = (*self._values(job, self.now()), *more)
        if self.write_one(insert, values, unless=lambda: [1] if self._exists(self._run, job) else []):
            return Enqueued(job.id, False)
        return self.write(lambda run: self._conflicting(run, job))

    def _enqueue(self, run: Run, jobs: Sequence[NewJob], tell: bool) -> list[Enqueued]:
        """Inside a transaction: store jobs."""
        now = self.now()
        written = run(INSERT, [self._values(job, now) for job in jobs], many=True).rowcount if jobs else 0
        if tell and jobs:
            self.dialect.tell(run, self.name)
        if written == len(jobs):
            return [Enqueued(job.id, False) for job in jobs]
        return [self._conflicting(run, job) for job in jobs]

    def _values(self, job: NewJob, now: float) -> tuple[Any, ...]:
        later = job.eta is not None and job.eta > now
        state = "scheduled" if later else "queued"
        return (
            self.name, job.id, job.task, job.queue, state, job.priority, job.eta, job.payload,
            job.unique_key, job.chord, job.expires_at, job.parent, job.relation, job.member, job.tags,
            job.redacted, now,
        )  # fmt: skip

    def _conflicting(self, run: Run, job: NewJob) -> Enqueued:
        """A job whose id or key is taken: an unfinished one stands for it, an ended one lives again."""
        if job.unique_key is not None:
            twin = run(
                "SELECT id FROM nephew_job WHERE name = ? AND unique_key = ? AND finished_at IS NULL",
                (self.name, job.unique_key),
            ).fetchone()
            if twin is not None:
                return Enqueued(twin[0], twin[0] != job.id)
        revived = run(
            "UPDATE nephew_job SET seq = ?, task = ?, queue = ?, state = ?, priority = ?, eta = ?, payload = ?,"
            " unique_key = ?, chord = ?, expires_at = ?, parent = ?, relation = ?, member = ?, tags = ?,"
            " redacted = ?, enqueued_at = ?, worker = NULL, claim = NULL, attempts = 0, crashes = 0,"
            " alone = FALSE, started_at = NULL, finished_at = NULL, result = NULL, error = NULL, reason = NULL,"
            " progress = NULL, progress_message = NULL, fingerprint = NULL, cancelling = NULL, once = FALSE"
            " WHERE name = ? AND id = ? AND finished_at IS NOT NULL",
            (self.dialect.fresh_seqs(run, 1)[0], *self._values(job, self.now())[2:], self.name, job.id),
        ).rowcount
        if revived:
            for table in ("nephew_attempt", "nephew_log"):
                run(f"DELETE FROM {table} WHERE name = ? AND job = ?", (self.name, job.id))
            self.dialect.tell(run, self.name)
        elif not run("SELECT 1 FROM nephew_job WHERE name = ? AND id = ?", (self.name, job.id)).fetchone():
            # The twin that stood in the way has ended meanwhile; a new one may stand there already.
            if not run(INSERT, self._values(job, self.now())).rowcount:
                return self._conflicting(run, job)
            self.dialect.tell(run, self.name)
        return Enqueued(job.id, False)

    def claim(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = (), ids: Sequence[str] = ()
    ) -> list[Claimed]:
        """Take waiting jobs; see the contract."""
        where, params = self._claimable(queues, ids)
        chosen = f"SELECT seq FROM nephew_job WHERE {where} ORDER BY priority DESC, seq LIMIT ?"
        if self.dialect.look_first and not self.read(chosen, (*params, 1)):
            return self._claimed(self._taken_by(worker, claim))
        rows = self.write_one(
            # Materialized: PostgreSQL might otherwise choose anew for each row, and exceed the limit.
            f"WITH chosen AS MATERIALIZED ({chosen}{self.dialect.skip_locked})"
            " UPDATE nephew_job SET worker = ?, claim = ? WHERE seq IN (SELECT seq FROM chosen)"
            f" AND EXISTS (SELECT 1 FROM nephew_worker WHERE number = ?) AND NOT EXISTS ({HELD})"
            f" RETURNING {TAKEN}",
            (*params, limit, worker, claim, worker, worker, claim, self.name),
            unless=lambda: self._taken(worker, claim),
        )
        return self._claimed(rows or self._taken_by(worker, claim))

    def _claimable(self, queues: Sequence[str], ids: Sequence[str]) -> tuple[str, tuple[Any, ...]]:
        if ids:
            where = (
                "name = ? AND worker IS NULL AND state IN ('queued', 'scheduled', 'retrying', 'parked')"
                f" AND id IN ({marks(ids)})"
            )
            return where, (self.name, *ids)
        where = "name = ? AND state = 'queued' AND worker IS NULL"
        if queues:
            where += f" AND queue IN ({marks(queues)})"
        return where, (self.name, *queues)

    def _taken_by(self, worker: int, claim: int) -> list[Any]:
        """The same of a worker that is known."""
        taken = self._taken(worker, claim)
        if not taken and not self.read("SELECT 1 FROM nephew_worker WHERE number = ?", (worker,)):
            raise UnknownWorker(f"worker {worker} is not registered; it signs on anew")
        return taken

    def _taken(self, worker: int, claim: int) -> list[Any]:
        """What this claim took already, should its reply have been lost."""
        return self.read(
            f"SELECT {TAKEN} FROM nephew_job WHERE worker = ? AND claim = ? AND finished_at IS NULL",
            (self.name, worker, claim),
        )

    def _claimed(self, rows: Sequence[Any]) -> list[Claimed]:
        jobs = [Claimed._make((*row[:4], bytes(row[4]), *row[5:15], (), NOTHING)) for row in rows]
        jobs.sort(key=lambda job: (-job.priority, job.seq))
        if rows and rows[0][15]:
            jobs = self._with_revocations(jobs)
        if any(job.chord is not None for job in jobs):
            jobs = [self._with_values(job) for job in jobs]
        return jobs

    def _with_revocations(self, jobs: list[Claimed]) -> list[Claimed]:
        keys = {f"r:{job.id}" for job in jobs} | {f"rt:{job.task}" for job in jobs}
        found = self.peek(sorted(keys))
        return [
            job._replace(revokes={k: found[k] for k in (f"r:{job.id}", f"rt:{job.task}") if k in found}) for job in jobs
        ]

    def _with_values(self, job: Claimed) -> Claimed:
        if job.chord is None:
            return job
        rows = self.read(
            "SELECT value FROM nephew_chord_member WHERE name = ? AND cid = ? ORDER BY position",
            (self.name, job.chord),
        )
        return job._replace(chord_values=tuple(bytes(row[0]) for row in rows))
