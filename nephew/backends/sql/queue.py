"""Jobs come in and are taken: enqueue and claim."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import lru_cache
from itertools import compress
from operator import itemgetter
from typing import Any

from nephew.backends.records import Claimed, Enqueued, NewJob
from nephew.backends.sql.connection import Run, Statement
from nephew.backends.sql.results import Results
from nephew.backends.sql.rows import marks
from nephew.errors import Refused, UnknownWorker
from nephew.tuples import maker

#: Columns of a claimed job, as its record begins, and whether there are any revocations.
FIELDS = Claimed._fields[: Claimed._fields.index("chord_values")]
TAKEN = f"{', '.join(FIELDS)}, EXISTS (SELECT 1 FROM nephew_data WHERE name = ? AND revocation)"
#: What most jobs have of a chord's values and of revocations.
BARE: tuple[tuple[bytes, ...], dict[str, bytes]] = ((), {})
#: The columns of a new job.
NEW = (*NewJob._fields, "name", "state", "enqueued_at")
#: What stands in the way of a job stays, and may stand for it.
UNLESS_THERE = " ON CONFLICT DO NOTHING"
#: Asked by a claim of itself: a repeated one takes nothing more.
HELD = "SELECT 1 FROM nephew_job WHERE worker = ? AND claim = ? AND finished_at IS NULL"

_claimed, _enqueued = maker(Claimed), maker(Enqueued)
_SEQ, _PRIORITY, _PAYLOAD = (itemgetter(FIELDS.index(field)) for field in ("seq", "priority", "payload"))
_CHORD = itemgetter(FIELDS.index("chord"))

#: Stores jobs inside a transaction.
Step = Callable[[Run, Sequence[NewJob]], list[Enqueued]]


class Queue(Results):
    """The way into the job table, and into a worker's hand."""

    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Store jobs; see the contract."""
        if len(jobs) == 1:
            return [self._enqueue_one(jobs[0])]
        if not any(job.unique_key is not None for job in jobs):
            with suppress(Refused):  # one of them may be there already
                return self._enqueue_by(self._enqueue_new, jobs)
        return self._enqueue_by(self._enqueue, jobs)

    def _enqueue_by(self, step: Step, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return self.write(lambda run: step(run, jobs), lambda run: self._enqueue_missing(run, jobs))

    def _enqueue_new(self, run: Run, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Inside a transaction: store jobs whose ids are new, which PostgreSQL is spared from making sure of first.

        :raises Refused: when one is not; then nothing is stored.
        """
        self._insert(run, jobs, "")
        return [_enqueued((job.id, False)) for job in jobs]

    def _enqueue_missing(self, run: Run, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """After a lost reply: what is there was stored by the first try, and may have ended since."""
        stored = {job.id for job in jobs if self._exists(run, job)}
        rest = iter(self._enqueue(run, [job for job in jobs if job.id not in stored]))
        return [Enqueued(job.id, False) if job.id in stored else next(rest) for job in jobs]

    def _exists(self, run: Run, job: NewJob) -> bool:
        found = run("SELECT 1 FROM nephew_job WHERE name = ? AND id = ?", (self.name, job.id))
        return found.fetchone() is not None

    def _enqueue_one(self, job: NewJob) -> Enqueued:
        values = self._values(job, self.now())
        insert, more = self.dialect.telling(_insert_some(tuple([value is not None for value in values])), self.name)
        given = (*[value for value in values if value is not None], *more)
        if self.write_count(insert, given, unless=lambda: self._exists(self._run, job)):
            return _enqueued((job.id, False))
        return self.write(lambda run: self._conflicting(run, job))

    def _enqueue(self, run: Run, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Inside a transaction: store jobs."""
        if self._insert(run, jobs, UNLESS_THERE) == len(jobs):
            return [Enqueued(job.id, False) for job in jobs]
        return [self._conflicting(run, job) for job in jobs]

    def _insert(self, run: Run, jobs: Sequence[NewJob], unless: str) -> int:
        """Store those that nothing stands in the way of; how many."""
        if not jobs:
            return 0
        now, count = self.now(), len(jobs)
        columns: dict[str, Sequence[Any]] = dict(zip(NewJob._fields, zip(*jobs, strict=True), strict=True))
        states = [_state(eta, now) for eta in columns["eta"]]
        columns |= {"name": [self.name] * count, "state": states, "enqueued_at": [now] * count}
        used = {name: values for name, values in columns.items() if values.count(None) < count}
        # INSERT comes first, since the driver counts the rows of no statement that begins with another word.
        written: int = sum(
            run(
                f"INSERT INTO nephew_job ({rows.names}) WITH given ({rows.names}) AS ({rows.select})"
                f" SELECT * FROM given WHERE TRUE{unless}",
                rows.values,
            ).rowcount
            for rows in self.dialect.given(used)
        )
        self.dialect.tell(run, self.name)
        return written

    def _values(self, job: NewJob, now: float) -> tuple[Any, ...]:
        """The columns of a new job: `NEW`."""
        return (*job, self.name, _state(job.eta, now), now)

    def _conflicting(self, run: Run, job: NewJob) -> Enqueued:
        """A job whose id or key is taken: an unfinished one stands for it, an ended one lives again."""
        if job.unique_key is not None:
            twin = run(
                "SELECT id FROM nephew_job WHERE name = ? AND unique_key = ? AND finished_at IS NULL",
                (self.name, job.unique_key),
            ).fetchone()
            if twin is not None:
                return Enqueued(twin[0], twin[0] != job.id)
        values = self._values(job, self.now())
        revived = run(
            f"UPDATE nephew_job SET seq = ?, {', '.join(f'{name} = ?' for name in NEW)}, worker = NULL,"
            " claim = NULL, attempts = 0, crashes = 0, alone = FALSE, started_at = NULL, finished_at = NULL,"
            " result = NULL, error = NULL, reason = NULL, progress = NULL, progress_message = NULL,"
            " fingerprint = NULL, cancelling = NULL, once = FALSE"
            " WHERE name = ? AND id = ? AND finished_at IS NOT NULL",
            (self.dialect.fresh_seqs(run, 1)[0], *values, self.name, job.id),
        ).rowcount
        if revived:
            for table in ("nephew_attempt", "nephew_log"):
                run(f"DELETE FROM {table} WHERE name = ? AND job = ?", (self.name, job.id))
            self.dialect.tell(run, self.name)
        elif not run("SELECT 1 FROM nephew_job WHERE name = ? AND id = ?", (self.name, job.id)).fetchone():
            # The twin that stood in the way has ended meanwhile; a new one may stand there already.
            if not run(_insert(NEW), values).rowcount:
                return self._conflicting(run, job)
            self.dialect.tell(run, self.name)
        return Enqueued(job.id, False)

    def claim(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = (), ids: Sequence[str] = ()
    ) -> list[Claimed]:
        """Take waiting jobs; see the contract."""
        where, params = self._claimable(queues, ids)
        if self.dialect.look_first and not self.read(f"{_waiting(where)} LIMIT 1", params):
            return self._claimed(self._taken_by(worker, claim))
        rows = self.write_one(*self._claim(worker, claim, limit, where, params), lambda: self._taken(worker, claim))
        if self.one_writer:  # it returns nothing
            rows = self._taken(worker, claim)
        return self._claimed(rows or self._taken_by(worker, claim))

    def _claim(self, worker: int, claim: int, limit: int, where: str, params: Sequence[Any]) -> Statement:
        # SQLite takes half as long again for an UPDATE that returns something, and a question more costs little there.
        returning, named = ("", ()) if self.one_writer else (f" RETURNING {TAKEN}", (self.name,))
        return (
            # Materialized: PostgreSQL might otherwise choose anew for each row, and exceed the limit. With a limit
            # that it does not know beforehand it would plan each claim anew.
            f"WITH chosen AS MATERIALIZED ({_waiting(where)} LIMIT {limit:d}{self.dialect.skip_locked})"
            " UPDATE nephew_job SET worker = ?, claim = ? WHERE seq IN (SELECT seq FROM chosen)"
            f" AND EXISTS (SELECT 1 FROM nephew_worker WHERE number = ?) AND NOT EXISTS ({HELD})"
            f"{returning}",
            (*params, worker, claim, worker, worker, claim, *named),
        )

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
        known = "EXISTS (SELECT 1 FROM nephew_worker WHERE number = ?)"
        is_known, has_taken = self.read(f"SELECT {known}, EXISTS ({HELD})", (worker, worker, claim))[0]
        if not is_known and not has_taken:
            raise UnknownWorker(f"worker {worker} is not registered; it signs on anew")
        return self._taken(worker, claim) if has_taken else []

    def _taken(self, worker: int, claim: int) -> list[Any]:
        """What this claim took already, should its reply have been lost."""
        return self.read(
            f"SELECT {TAKEN} FROM nephew_job WHERE worker = ? AND claim = ? AND finished_at IS NULL",
            (self.name, worker, claim),
        )

    def _claimed(self, rows: Sequence[Any]) -> list[Claimed]:
        ordered = sorted(rows, key=_SEQ)
        ordered.sort(key=_PRIORITY, reverse=True)  # those of the same one stay in their order
        jobs = [_claimed(row[:-1] + BARE) for row in ordered]
        if rows and not isinstance(_PAYLOAD(rows[0]), bytes):  # a driver of the application's own may have another type
            jobs = [job._replace(payload=bytes(job.payload)) for job in jobs]
        if rows and rows[0][-1]:
            jobs = self._with_revocations(jobs)
        if any(map(_CHORD, jobs)):
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


def _waiting(where: str) -> str:
    return f"SELECT seq FROM nephew_job WHERE {where} ORDER BY priority DESC, seq"


def _state(eta: float | None, now: float) -> str:
    return "scheduled" if eta is not None and eta > now else "queued"


@lru_cache(maxsize=512)
def _insert_some(used: tuple[bool, ...]) -> str:
    """The statement for a job of which these columns are used."""
    return _insert(tuple(compress(NEW, used)))


def _insert(names: Sequence[str]) -> str:
    return f"INSERT INTO nephew_job ({', '.join(names)}) VALUES ({marks(names)}){UNLESS_THERE}"
