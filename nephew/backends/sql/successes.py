"""Jobs that simply succeeded: most outcomes say no more, and nothing has to be read to apply them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter
from typing import Any

from nephew.backends.records import Outcome
from nephew.backends.sql.connection import Run, Statement
from nephew.backends.sql.events import Happened, as_told
from nephew.backends.sql.queue import Queue
from nephew.backends.sql.rows import Rows
from nephew.backends.sql.wakeup import channel
from nephew.job import ENDED, State

#: Bytes of a result that is written for itself: SQLite would copy it once more.
LARGE = 10_000

#: That a job has not ended. Not by `finished_at`: PostgreSQL might go through the index of claims, and so through all
#: that a worker ever held.
OPEN = " AND ".join(f"state <> '{state}'" for state in sorted(ENDED))
HOLDS = (
    "nephew_job.seq = given.seq AND nephew_job.worker = given.worker AND nephew_job.claim = given.claim"
    f" AND {OPEN} AND nephew_job.cancelling IS NULL"
)
#: With the end goes what earlier attempts had left.
SUCCEED = (
    "UPDATE nephew_job SET state = 'succeeded', attempts = attempts + 1,"
    " started_at = coalesce(given.started_at, nephew_job.started_at), finished_at = given.finished_at,"
    " result = given.result, worker_label = given.worker_label, error = NULL, fingerprint = NULL, reason = NULL"
)
#: A whole settle, for a database that writes to several tables with one statement, and across a network: all of it,
#: where every claim holds and there are no revocations, and else nothing.
AT_ONCE = (
    ", held AS MATERIALIZED (SELECT nephew_job.seq FROM nephew_job, given"
    f" WHERE {HOLDS} ORDER BY nephew_job.seq FOR UPDATE OF nephew_job),"
    " known AS (UPDATE nephew_worker SET settled = ?, reply = NULL WHERE number = ? AND settled < ?"
    " AND (SELECT count(*) FROM held) = ?"
    " AND NOT EXISTS (SELECT 1 FROM nephew_data WHERE name = ? AND revocation) RETURNING 1),"
    f" ended AS ({SUCCEED} FROM given WHERE nephew_job.seq = given.seq AND EXISTS (SELECT 1 FROM known)),"
    " told AS (INSERT INTO nephew_event (name, txid, at, size, told)"
    " SELECT ?, txid_current(), ?, ?, ? FROM known RETURNING 1)"
    " SELECT pg_notify(?, '') FROM told"
)

#: What all these outcomes say, but for what each of them may.
_OWN = {"seq", "id", "claim", "started_at", "finished_at", "result", "worker", "forget", "task"}
_said = itemgetter(*(place for place, field in enumerate(Outcome._fields) if field not in _OWN))
PLAIN = _said(Outcome(0, "", 0, State.SUCCEEDED, counted=True))

#: The event of an outcome, and its claim.
happened: Callable[[Outcome], Happened] = attrgetter("id", "task", "state", "worker", "error")
claim_of: Callable[[Outcome], tuple[int, int]] = attrgetter("seq", "claim")


class Overtaken(Exception):
    """Not all claims hold; roll back, and look which do."""


class Successes(Queue):
    """Ends of jobs from which nothing follows."""

    def _at_once(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Statement | None:
        """What applies all of these, remembers that, and tells of it, and has a row if it did; None: nothing can."""
        # Where there is no server in between, one statement would save nothing.
        if self.one_writer or not all(map(is_plain, outcomes)):
            return None
        rows = list(self.dialect.given(self._columns(worker, outcomes)))
        if len(rows) != 1:
            return None
        return (
            _given(rows[0]) + AT_ONCE,
            (
                *rows[0].values,
                *(number, worker, number, len(outcomes), self.name),
                *(self.name, self.now(), len(outcomes), as_told(map(happened, outcomes))),
                channel(self.name, "_ended"),
            ),
        )

    def _succeed(self, run: Run, worker: int, plain: Sequence[Outcome]) -> None:
        """Apply all of these.

        :raises Overtaken: when a claim holds no more, or somebody has asked for a job's end. They are counted, since
            SQLite takes half as long again for a statement that tells which they are.
        """
        ended = 0
        for rows in self.dialect.given(self._columns(worker, plain)) if plain else ():
            given = f"({_given(rows)} SELECT * FROM given) AS given"
            ended += run(f"{SUCCEED} FROM {given} WHERE {HOLDS}", rows.values).rowcount
        if ended < len(plain):
            raise Overtaken

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
    return _said(outcome) == PLAIN and len(outcome.result or b"") < LARGE
