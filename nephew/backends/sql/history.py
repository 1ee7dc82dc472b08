"""What happened and what waits, for people: records, attempts, counts; and deleting them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nephew.backends.contract import AttemptRow, Row
from nephew.backends.sql.connection import Connected, Run
from nephew.backends.sql.dialects import marks
from nephew.backends.sql.tables import RARE

RARE_STATES = frozenset(re.findall(r"'(\w+)'", RARE))
COLUMNS = ", ".join(Row._fields)
FLUSHED = {
    "queue": "DELETE FROM nephew_job WHERE name = ? AND state IN ('queued', 'running', 'parked')",
    "schedule": "DELETE FROM nephew_job WHERE name = ? AND state IN ('scheduled', 'retrying')",
    "counters": "DELETE FROM nephew_counter WHERE name = ?",
    "results": "DELETE FROM nephew_data WHERE name = ?",
}


class History(Connected):
    """The job table, read."""

    def row(self, job_id: str) -> Row | None:
        """A job's record; see the contract."""
        rows = self.read(f"SELECT {COLUMNS} FROM nephew_job WHERE name = ? AND id = ?", (self.name, job_id))
        return _row(rows[0]) if rows else None

    def rows(
        self,
        states: Sequence[str] = (),
        task: str | None = None,
        queue: str | None = None,
        limit: int | None = 100,
        oldest_first: bool = False,
    ) -> list[Row]:
        """Records of jobs; see the contract."""
        where, params = self._in_states(states, oldest_first)
        for column, value in (("task", task), ("queue", queue)):
            if value is not None:
                where.append(f"{column} = ?")
                params.append(value)
        order = "priority DESC, seq" if oldest_first else "seq DESC"
        if set(states) <= {"scheduled", "retrying"} and states and oldest_first:
            order = "eta, seq"
        sql = f"SELECT {COLUMNS} FROM nephew_job WHERE {' AND '.join(where)} ORDER BY {order}"
        bounds: tuple[int, ...] = ()
        if limit is not None:
            sql, bounds = f"{sql} LIMIT ?", (limit,)
        return [_row(row) for row in self.read(sql, (*params, *bounds))]

    def _in_states(self, states: Sequence[str], oldest_first: bool) -> tuple[list[str], list[str]]:
        """Conditions that lead to the index for these states, or past all of them to the order of places."""
        params = [self.name, *states]
        among = [f"state IN ({marks(states)})"] if states else []
        if states and set(states) <= RARE_STATES:
            return ["name = ?", *among, RARE], params
        if states and set(states) <= {"scheduled", "retrying"}:
            return ["name = ?", *among, "state IN ('scheduled', 'retrying')"], params
        if list(states) == ["queued"] and oldest_first:  # those that wait for a worker, in their order
            return ["name = ?", "state = 'queued'", "worker IS NULL"], params[:1]
        return [f"{self.dialect.aside}name = ?", *among], params

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
        rows = self.read("SELECT state, count(*) FROM nephew_job WHERE name = ? GROUP BY state", (self.name,))
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

    def delete_jobs(self, ids: Sequence[str]) -> int:
        """Delete jobs; see the contract."""
        if not ids:
            return 0

        def step(run: Run) -> int:
            run(f"DELETE FROM nephew_attempt WHERE name = ? AND job IN ({marks(ids)})", (self.name, *ids))
            chords = f"SELECT chord FROM nephew_job WHERE name = ? AND id IN ({marks(ids)})"
            for table in ("nephew_chord_member", "nephew_chord"):
                run(f"DELETE FROM {table} WHERE name = ? AND cid IN ({chords})", (self.name, self.name, *ids))
            return int(
                run(f"DELETE FROM nephew_job WHERE name = ? AND id IN ({marks(ids)})", (self.name, *ids)).rowcount
            )

        return self.write(step)

    def flush(self, what: str) -> None:
        """Delete all of one kind; see the contract."""

        def step(run: Run) -> None:
            run(FLUSHED[what], (self.name,))
            if what == "results":
                run("UPDATE nephew_job SET result = NULL WHERE name = ? AND result IS NOT NULL", (self.name,))

        self.write(step)


def _row(values: Sequence[object]) -> Row:
    row = Row(*values)  # type: ignore[arg-type]
    return row._replace(payload=bytes(row.payload), result=None if row.result is None else bytes(row.result))
