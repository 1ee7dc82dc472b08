"""What happened and what waits, for people: records, attempts, counts; and deleting them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, ClassVar

from nephew.backends.records import EVERY, AttemptRow, Failures, Filter, LogLines, Row
from nephew.backends.sql.connection import Connected, Run
from nephew.backends.sql.rows import marks
from nephew.backends.sql.tables import RARE

RARE_STATES = frozenset(re.findall(r"'(\w+)'", RARE))
#: Where a job ran is written with its end; until then its claim tells.
_WHERE = (
    "CASE WHEN state = 'running' THEN (SELECT host || ':' || pid FROM nephew_worker WHERE number = worker)"
    " ELSE worker_label END"
)
_FIELDS = [_WHERE if field == "worker_label" else field for field in Row._fields if field != "seq"]
#: A row's columns behind its place.
COLUMNS = ", ".join(_FIELDS)
#: The same without what is longer than a number of bytes; an empty value stands for it.
SHORT_COLUMNS = ", ".join(
    f"CASE WHEN length({field}) > ? THEN ? ELSE {field} END" if field in ("payload", "result") else field
    for field in _FIELDS
)
#: What a flush deletes: jobs in these states, or all of a table.
FLUSHED = {"queue": "'queued', 'running', 'parked'", "schedule": "'scheduled', 'retrying'"}
EMPTIED = {"counters": "nephew_counter", "results": "nephew_data"}
#: How many jobs a flush deletes with one statement.
CHUNK = 500


class History(Connected):
    """The job table, read."""

    #: The column that tells a job's place, and the condition that it is one of ours.
    place: ClassVar[str] = "seq"
    ours: ClassVar[str] = "name = ?"

    def row(self, job_id: str) -> Row | None:
        """A job's record; see the contract."""
        rows = self.read(
            f"SELECT {self.place}, {COLUMNS} FROM nephew_job WHERE {self.ours} AND id = ?", (self.name, job_id)
        )
        return _row(rows[0]) if rows else None

    def rows(
        self,
        wanted: Filter = EVERY,
        limit: int | None = 100,
        oldest_first: bool = False,
        longest: int | None = None,
    ) -> list[Row]:
        """Records of jobs; see the contract."""
        where, params = self._where(wanted, oldest_first)
        order = f"priority DESC, {self.place}" if oldest_first else f"{self.place} DESC"
        if wanted.states and set(wanted.states) <= {"scheduled", "retrying"} and oldest_first:
            order = f"eta, {self.place}"
        columns, bounds = (COLUMNS, ()) if longest is None else (SHORT_COLUMNS, (longest, b"", longest, b""))
        sql = f"SELECT {self.place}, {columns} FROM nephew_job WHERE {where} ORDER BY {order}"
        if limit is not None:
            sql, params = f"{sql} LIMIT ?", (*params, limit)
        return [_row(row) for row in self.read(sql, (*bounds, *params))]

    def count(self, wanted: Filter) -> int:
        """How many jobs are meant; see the contract."""
        where, params = self._where(wanted)
        return int(self.read(f"SELECT count(*) FROM nephew_job WHERE {where}", params)[0][0])

    def ids(self, wanted: Filter, after: int = 0, limit: int = 500) -> list[tuple[int, str]]:
        """Places and ids of jobs; see the contract."""
        where, params = self._where(wanted)
        rows = self.read(
            f"SELECT {self.place}, id FROM nephew_job WHERE {where} AND {self.place} > ? ORDER BY {self.place} LIMIT ?",
            (*params, after, limit),
        )
        return [(row[0], row[1]) for row in rows]

    def _where(self, wanted: Filter, oldest_first: bool = False) -> tuple[str, tuple[Any, ...]]:
        where, params = self._found_by(wanted, oldest_first)
        for condition, value in (
            ("task = ?", wanted.task),
            ("queue = ?", wanted.queue),
            ("enqueued_at < ?", wanted.before),
            ("enqueued_at >= ?", wanted.after),
        ):
            if value is not None:
                where.append(condition)
                params.append(value)
        if wanted.error is not None:
            where.append(self.dialect.contains("error"))
            params.append(wanted.error)
        return " AND ".join(where), tuple(params)

    def _found_by(self, wanted: Filter, oldest_first: bool) -> tuple[list[str], list[Any]]:
        """Conditions that lead to the index that leaves the fewest jobs, or past all of them to the order of places."""
        states = wanted.states
        params: list[Any] = [self.name, *states]
        among = [f"state IN ({marks(states)})"] if states else []
        if wanted.fingerprint is not None:
            return ["name = ?", *among, "fingerprint = ?"], [*params, wanted.fingerprint]
        if wanted.tag is not None:
            tagged = f"tags IS NOT NULL AND {self.dialect.contains('tags')}"
            return ["name = ?", *among, tagged], [*params, f",{wanted.tag},"]
        if states and set(states) <= RARE_STATES:
            return ["name = ?", *among, RARE], params
        if states and set(states) <= {"scheduled", "retrying"}:
            return ["name = ?", *among, "state IN ('scheduled', 'retrying')"], params
        if list(states) == ["queued"] and oldest_first:  # those that wait for a worker, in their order
            return ["name = ?", "state = 'queued'", "worker IS NULL"], params[:1]
        return [self._in_order(), *among], params

    def _in_order(self) -> str:
        """The condition of all our jobs that leads past their other indexes to the order of places."""
        return f"{self.dialect.aside}{self.ours}"

    def relatives(self, job_id: str) -> tuple[list[str], list[str]]:
        """What a job follows from, and what follows from it; see the contract."""
        parents = self.read(
            "SELECT CASE WHEN job.relation = 'chord' THEN other.id ELSE job.parent END"
            " FROM nephew_job job LEFT JOIN nephew_job other"
            " ON job.relation = 'chord' AND other.name = job.name AND other.member = job.parent"
            " WHERE job.name = ? AND job.id = ? AND job.parent IS NOT NULL ORDER BY other.seq",
            (self.name, job_id),
        )
        children = self.read(
            "SELECT child.id FROM nephew_job job JOIN nephew_job child ON child.name = job.name"
            " AND child.parent IS NOT NULL AND child.parent IN (job.id, job.member)"
            " WHERE job.name = ? AND job.id = ? ORDER BY child.seq",
            (self.name, job_id),
        )
        return [row[0] for row in parents if row[0] is not None], [row[0] for row in children]

    def failures(self, task: str | None = None, limit: int = 100) -> list[Failures]:
        """Failed jobs by their fingerprints; see the contract."""
        which, params = ("", ()) if task is None else (" AND task = ?", (task,))
        rows = self.read(
            "SELECT kind.fingerprint, kind.jobs, kind.last_at, job.id, job.task, job.error, job.result FROM"
            " (SELECT fingerprint, count(*) AS jobs, max(finished_at) AS last_at, max(seq) AS latest FROM nephew_job"
            f" WHERE name = ? AND state = 'failed' AND {RARE}{which} GROUP BY fingerprint) kind"
            " JOIN nephew_job job ON job.seq = kind.latest ORDER BY kind.jobs DESC, kind.last_at DESC LIMIT ?",
            (self.name, *params, limit),
        )
        return [Failures(row[0], int(row[1]), *row[2:]) for row in rows]

    def logs(self, job_id: str) -> list[LogLines]:
        """Log lines of a job; see the contract."""
        rows = self.read(
            "SELECT attempt, lines, dropped FROM nephew_log WHERE name = ? AND job = ? ORDER BY attempt",
            (self.name, job_id),
        )
        return [LogLines(*row) for row in rows]

    def attempts(self, job_id: str) -> list[AttemptRow]:
        """Stored attempts; see the contract."""
        rows = self.read(
            "SELECT attempt, started_at, finished_at, worker, outcome, error, traceback FROM nephew_attempt"
            " WHERE name = ? AND job = ? ORDER BY number",
            (self.name, job_id),
        )
        return [AttemptRow(*row) for row in rows]

    def counts(self) -> dict[str, int]:
        """Jobs by state; see the contract."""
        rows = self.read(f"SELECT state, count(*) FROM nephew_job WHERE {self.ours} GROUP BY state", (self.name,))
        return {state: int(count) for state, count in rows}

    def waiting_count(self) -> int:
        """Unclaimed jobs in the queue; see the contract."""
        rows = self.read(
            "SELECT count(*) FROM nephew_job WHERE name = ? AND state = 'queued' AND worker IS NULL",
            (self.name,),
        )
        return int(rows[0][0])

    def oldest_waiting(self) -> float | None:
        """When the oldest waiting job was enqueued; see the contract."""
        rows = self.read(
            "SELECT enqueued_at FROM nephew_job WHERE name = ? AND state = 'queued' AND worker IS NULL"
            " ORDER BY seq LIMIT 1",
            (self.name,),
        )
        return float(rows[0][0]) if rows else None

    def delete_jobs(self, ids: Sequence[str], ended: bool = False) -> int:
        """Delete jobs; see the contract."""
        if not ids:
            return 0
        which = " AND (finished_at IS NOT NULL OR state = 'parked')" if ended else ""

        def step(run: Run) -> int:
            rows = run(
                f"SELECT seq, id, chord FROM nephew_job WHERE name = ? AND id IN ({marks(ids)}){which}"
                f" ORDER BY seq{self.dialect.for_update}",
                (self.name, *ids),
            ).fetchall()
            self._delete(run, rows)
            return len(rows)

        return self.write(step)

    def _delete(self, run: Run, rows: Sequence[Any]) -> None:
        """Delete jobs, given by place, id and chord, with all that belongs to them."""
        if rows:
            run(f"DELETE FROM nephew_job WHERE seq IN ({marks(rows)})", [row[0] for row in rows])
        for table in ("nephew_attempt", "nephew_log"):
            self._delete_of(run, table, "job", [row[1] for row in rows])
        for table in ("nephew_chord_member", "nephew_chord"):
            self._delete_of(run, table, "cid", [row[2] for row in rows if row[2] is not None])
        self._delete_of(run, "nephew_data", "key", [f"r:{row[1]}" for row in rows])

    def _delete_of(self, run: Run, table: str, column: str, values: Sequence[Any]) -> None:
        if values:
            run(f"DELETE FROM {table} WHERE name = ? AND {column} IN ({marks(values)})", (self.name, *values))

    def flush(self, what: str) -> None:
        """Delete all of one kind; see the contract."""

        def step(run: Run) -> None:
            if what in FLUSHED:
                self._flush_jobs(run, FLUSHED[what])
                return
            run(f"DELETE FROM {EMPTIED[what]} WHERE name = ?", (self.name,))
            if what == "results":
                run("UPDATE nephew_job SET result = NULL WHERE name = ? AND result IS NOT NULL", (self.name,))

        self.write(step)

    def _flush_jobs(self, run: Run, states: str) -> None:
        some = (
            f"SELECT seq, id, chord FROM nephew_job WHERE name = ? AND state IN ({states})"
            f" ORDER BY seq LIMIT {CHUNK}{self.dialect.for_update}"
        )
        while rows := run(some, (self.name,)).fetchall():
            self._delete(run, rows)


def _row(values: Sequence[object]) -> Row:
    row = Row(*values)  # type: ignore[arg-type]
    return row._replace(payload=bytes(row.payload), result=None if row.result is None else bytes(row.result))
