"""Jobs that simply succeeded: most outcomes say no more, and nothing has to be read to apply them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from nephew.backends.records import Outcome
from nephew.backends.sql.connection import Run
from nephew.backends.sql.events import Happened, as_told
from nephew.backends.sql.queue import Queue
from nephew.backends.sql.rows import Rows
from nephew.backends.sql.wakeup import channel
from nephew.job import ENDED, State

#: Bytes of a result that is written for itself: SQLite would copy it once more.
LARGE = 10_000

#: That a job has not ended. Not by `finished_at`: PostgreSQL might go through the index of claims, and so through all
#: that a worker ever held.
OPEN = f"state NOT IN ({', '.join(map(repr, map(str, sorted(ENDED))))})"
HOLDS = (
    "nephew_job.seq = given.seq AND nephew_job.worker = given.worker AND nephew_job.claim = given.claim"
    f" AND nephew_job.{OPEN} AND nephew_job.cancelling IS NULL"
)
#: With the end goes what earlier attempts had left.
SUCCEED = (
    "UPDATE nephew_job SET state = 'succeeded', attempts = attempts + 1,"
    " started_at = coalesce(given.started_at, nephew_job.started_at), finished_at = given.finished_at,"
    " result = given.result, worker_label = given.worker_label, error = NULL, fingerprint = NULL, reason = NULL"
    " FROM given WHERE "
)
#: A whole settle, for a database that writes to several tables with one statement, and across a network: all of it,
#: where every claim holds and there are no revocations, and else nothing.
AT_ONCE = (
    ", held AS MATERIALIZED (SELECT nephew_job.seq FROM nephew_job, given"
    f" WHERE {HOLDS} ORDER BY nephew_job.seq FOR UPDATE OF nephew_job),"
    " known AS (UPDATE nephew_worker SET settled = ?, reply = NULL WHERE number = ? AND settled < ?"
    " AND (SELECT count(*) FROM held) = ?"
    " AND NOT EXISTS (SELECT 1 FROM nephew_data WHERE name = ? AND revocation) RETURNING 1),"
    f" ended AS ({SUCCEED} nephew_job.seq = given.seq AND EXISTS (SELECT 1 FROM known)),"
    " told AS (INSERT INTO nephew_event (name, txid, at, size, told)"
    " SELECT ?, txid_current(), ?, ?, ? FROM known RETURNING 1)"
    " SELECT pg_notify(?, '') FROM told"
)

#: The event of an outcome, and its claim.
happened: Callable[[Outcome], Happened] = attrgetter("id", "task", "state", "worker", "error")
claim_of: Callable[[Outcome], tuple[int, int]] = attrgetter("seq", "claim")


class Successes(Queue):
    """Ends of jobs from which nothing follows."""

    def _settle_at_once(self, worker: int, number: int, plain: Sequence[Outcome]) -> bool:
        """Apply all of these, remember that, and tell of it, with one statement; False: nothing was done."""
        rows = list(self.dialect.given(self._columns(worker, plain)))
        if len(rows) != 1:
            return False
        done = self.write_one(
            _given(rows[0]) + AT_ONCE,
            (
                *rows[0].values,
                *(number, worker, number, len(plain), self.name),
                *(self.name, self.now(), len(plain), as_told(map(happened, plain)), channel(self.name, "_ended")),
            ),
        )
        return bool(done)

    def _succeed(self, run: Run, worker: int, plain: Sequence[Outcome]) -> set[tuple[int, int]]:
        """Apply those whose claim holds, where nobody has asked for the job's end; their claims."""
        ended: set[tuple[int, int]] = set()
        for rows in self.dialect.given(self._columns(worker, plain)) if plain else ():
            statement = f"{_given(rows)} {SUCCEED} {HOLDS} RETURNING nephew_job.seq, nephew_job.claim"
            ended.update(run(statement, rows.values).fetchall())
        return ended

    def _columns(self, worker: int, plain: Sequence[Outcome]) -> dict[str, Sequence[Any]]:
        now = self.now()
        return {
            "seq": [outcome.seq for outcome in plain],
            "worker": [worker] * len(plain),
            "claim": [outcome.claim for outcome in plain],
            "started_at": [outcome.started_at for outcome in plain],
            "finished_at": [outcome.finished_at or now for outcome in plain],
            "result": [outcome.result for outcome in plain],
            "worker_label": [outcome.worker for outcome in plain],
        }


def _given(rows: Rows) -> str:
    # Materialized: PostgreSQL underrates how many jobs a worker holds, and would look for each among all given.
    return f"WITH given ({rows.names}) AS MATERIALIZED ({rows.select})"


def is_plain(outcome: Outcome) -> bool:
    """Whether it says no more than that its job succeeded, where and when, and with which result."""
    return (
        outcome.state is State.SUCCEEDED
        and outcome.counted
        and not (outcome.attempt or outcome.error or outcome.reason or outcome.fingerprint or outcome.payload)
        and not (outcome.progress or outcome.log or outcome.follow_ups or outcome.never)
        and not (outcome.chord_mark or outcome.chord_done)
        and len(outcome.result or b"") < LARGE
    )
