"""Jobs that wait: moved when they are due, changed, parked, and put back."""

from __future__ import annotations

from collections.abc import Sequence

from nephew.backends.records import Change, NewJob
from nephew.backends.sql.connection import Run
from nephew.backends.sql.queue import Queue
from nephew.backends.sql.rows import marks
from nephew.backends.sql.tables import RARE

#: The most jobs moved in one step.
PROMOTED = 500
#: The most steps in one call: whoever moves jobs has ticks to write as well.
STEPS = 20

#: What waits for a new time goes on waiting as what it is.
LATER = "state = CASE state WHEN 'retrying' THEN 'retrying' ELSE ? END"
#: What comes into the queue goes behind those that are there; what is there keeps its place.
AT_THE_BACK = "seq = CASE state WHEN 'queued' THEN seq ELSE ? END"

#: The tick of a job that lives again is not over any more.
REOPEN = (
    "UPDATE nephew_tick SET state = NULL, ended_at = NULL WHERE name = ? AND job = ? AND schedule ="
    " (SELECT parent FROM nephew_job WHERE name = ? AND id = ? AND relation = 'schedule')"
)

#: A job that somebody runs again by hand does not expire any more.
NEVER = float("inf")


class Waiting(Queue):
    """The waiting part of the job table."""

    def add_scheduled(self, job: NewJob) -> None:
        """Store a job in the schedule; see the contract."""

        def step(run: Run) -> None:
            self._enqueue(run, [job])
            run(
                "UPDATE nephew_job SET state = 'scheduled' WHERE name = ? AND id = ? AND state = 'queued'"
                " AND worker IS NULL",
                (self.name, job.id),
            )

        self.write(step)

    def promote(self, now: float | None = None) -> int:
        """Move due jobs to the queue; see the contract."""
        moment = self.now() if now is None else now
        due = "name = ? AND state IN ('scheduled', 'retrying') AND worker IS NULL AND eta <= ?"
        if not self.read(f"SELECT 1 FROM nephew_job WHERE {due} LIMIT 1", (self.name, moment)):
            return 0

        def step(run: Run) -> int:
            rows = run(
                f"SELECT seq FROM nephew_job WHERE {due} ORDER BY eta, seq LIMIT {PROMOTED}" + self.dialect.skip_locked,
                (self.name, moment),
            ).fetchall()
            fresh = self.dialect.fresh_seqs(run, len(rows)) if rows else []
            moves = [(seq, row[0]) for seq, row in zip(fresh, rows, strict=True)]
            if moves:
                run("UPDATE nephew_job SET state = 'queued', seq = ? WHERE seq = ?", moves, many=True)
                self.dialect.tell(run, self.name)
            return len(moves)

        total = 0
        for _ in range(STEPS):
            moved = self.write(step)
            total += moved
            if moved < PROMOTED:
                break
        return total

    def next_due(self) -> float | None:
        """When the next scheduled job is due; see the contract."""
        rows = self.read(
            "SELECT min(eta) FROM nephew_job WHERE name = ? AND state IN ('scheduled', 'retrying') AND worker IS NULL",
            (self.name,),
        )
        return None if rows[0][0] is None else float(rows[0][0])

    def parked(self, after: int = 0, limit: int = 100) -> list[tuple[int, str, str]]:
        """Parked jobs behind a place; see the contract."""
        rows = self.read(
            f"SELECT seq, id, task FROM nephew_job WHERE name = ? AND state = 'parked' AND {RARE} AND seq > ?"
            " ORDER BY seq LIMIT ?",
            (self.name, after, limit),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def unpark(self, ids: Sequence[str]) -> int:
        """Put parked jobs back; see the contract."""

        def step(run: Run) -> int:
            count = run(
                "UPDATE nephew_job SET state = 'queued', reason = NULL"
                f" WHERE name = ? AND state = 'parked' AND worker IS NULL AND id IN ({marks(ids)})",
                (self.name, *ids),
            ).rowcount
            self.dialect.tell(run, self.name)
            return int(count)

        return self.write(step)

    def requeue(self, job_id: str) -> bool:
        """Run an ended job again; see the contract."""

        def step(run: Run) -> bool:
            (seq,) = self.dialect.fresh_seqs(run, 1)
            count = run(
                "UPDATE nephew_job SET state = 'queued', seq = ?, eta = NULL, reason = NULL, worker = NULL,"
                " claim = NULL, crashes = 0, alone = FALSE, started_at = NULL, finished_at = NULL,"
                " result = NULL, error = NULL, progress = NULL, progress_message = NULL, fingerprint = NULL,"
                " cancelling = NULL, once = FALSE, expires_at = ?"
                " WHERE name = ? AND id = ? AND finished_at IS NOT NULL AND NOT EXISTS ("
                " SELECT 1 FROM nephew_job twin WHERE twin.name = nephew_job.name"
                " AND twin.unique_key = nephew_job.unique_key AND twin.finished_at IS NULL)"
                " AND (chord IS NULL OR EXISTS (SELECT 1 FROM nephew_chord_member member"
                " WHERE member.name = nephew_job.name AND member.cid = nephew_job.chord))",
                (seq, NEVER, self.name, job_id),
            ).rowcount
            if count:
                run("DELETE FROM nephew_data WHERE name = ? AND key = ?", (self.name, f"r:{job_id}"))
                run(REOPEN, (self.name, job_id, self.name, job_id))
                self.dialect.tell(run, self.name)
            return bool(count)

        return self.write(step)

    def change(self, job_id: str, change: Change) -> bool:
        """Change a waiting job; see the contract."""
        plain = {"priority": change.priority, "queue": change.queue, "eta": change.eta, "expires_at": change.expires_at}
        given = {f"{column} = ?": value for column, value in plain.items() if value is not None}
        later = change.eta is not None and change.eta > self.now()

        def step(run: Run) -> bool:
            sets = dict(given)
            if later:
                sets[LATER] = "scheduled"
            elif change.eta is not None:
                sets |= {AT_THE_BACK: self.dialect.fresh_seqs(run, 1)[0], "state = ?": "queued"}
            count = run(
                f"UPDATE nephew_job SET {', '.join(sets)}"
                " WHERE name = ? AND id = ? AND state IN ('scheduled', 'queued', 'retrying') AND worker IS NULL",
                (*sets.values(), self.name, job_id),
            ).rowcount
            if count:
                self.dialect.tell(run, self.name)
            return bool(count)

        return self.write(step)

    def expired(self, limit: int = 100) -> list[str]:
        """Waiting jobs that have expired; see the contract."""
        rows = self.read(
            "SELECT id FROM nephew_job WHERE name = ? AND expires_at IS NOT NULL AND finished_at IS NULL"
            " AND expires_at < ? AND state IN ('scheduled', 'queued', 'retrying') AND worker IS NULL"
            " ORDER BY expires_at LIMIT ?",
            (self.name, self.now(), limit),
        )
        return [row[0] for row in rows]
