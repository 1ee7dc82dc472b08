"""The ledger of ticks, read, closed and pruned: for a queue that is here, and for the archive of one on Redis."""

from __future__ import annotations

from collections.abc import Sequence

from nephew.backends.schedules import FORGOTTEN, TickRow
from nephew.backends.sql.connection import Connected, Run
from nephew.backends.sql.tables import OPEN
from nephew.job import State

_STORED = "schedule, due, fate, reason, job, until, written_at"
#: Asked for each tick, whatever a planner thinks of how many there are.
_ITS_JOB = "FROM nephew_job job WHERE job.name = tick.name AND job.id = tick.job"
_LEDGER = (
    f"SELECT {_STORED}, COALESCE(state, (SELECT job.state {_ITS_JOB})), ended_at FROM nephew_tick tick"
    " WHERE tick.name = ? AND schedule = ?"
)
_OVER = (
    f"FROM nephew_tick tick WHERE tick.name = ? AND {OPEN} AND fate = 'enqueued'"
    f" AND COALESCE((SELECT job.finished_at IS NOT NULL {_ITS_JOB}), TRUE) LIMIT ?"
)
_ENDS = f"SELECT {_STORED}, (SELECT job.state {_ITS_JOB}), (SELECT job.finished_at {_ITS_JOB}) {_OVER}"
_CLOSE = "UPDATE nephew_tick SET state = ?, ended_at = ? WHERE name = ? AND schedule = ? AND due = ?"
_SUCCEEDED = (
    "UPDATE nephew_schedule SET succeeded_at = ? WHERE name = ? AND schedule = ?"
    " AND (succeeded_at IS NULL OR succeeded_at < ?)"
)
_BEYOND = (
    f"SELECT due FROM nephew_tick WHERE name = ? AND schedule = ? AND NOT ({OPEN}) AND due <= (SELECT due"
    " FROM nephew_tick WHERE name = ? AND schedule = ? ORDER BY due DESC LIMIT 1 OFFSET ?) ORDER BY due LIMIT ?"
)
#: How many rows a schedule has in the ledger.
COUNTED = (
    "UPDATE nephew_schedule SET ticks = (SELECT count(*) FROM nephew_tick tick WHERE tick.name = nephew_schedule.name"
    " AND tick.schedule = nephew_schedule.schedule) WHERE name = ? AND schedule = ?"
)

#: More than there are.
ALL = 2**31 - 1


class Ticks(Connected):
    """The table of ticks."""

    def ticks(self, schedule: str, limit: int = 20, before: float | None = None) -> list[TickRow]:
        """The ledger of a schedule; see the contract."""
        earlier, moment = ("", ()) if before is None else (" AND due < ?", (before,))
        rows = self.read(f"{_LEDGER}{earlier} ORDER BY due DESC LIMIT ?", (self.name, schedule, *moment, limit))
        return [TickRow(*row) for row in rows]

    def close_ticks(self, limit: int = 500) -> list[TickRow]:
        """Note how jobs of ticks ended; see the contract."""
        if not self.read(f"SELECT 1 {_OVER}", (self.name, 1)):
            return []
        return self.write(lambda run: self._close(run, limit))

    def _close(self, run: Run, limit: int = ALL) -> list[TickRow]:
        """Inside a transaction."""
        now = self.now()
        found = run(f"{_ENDS}{self.dialect.skip_locked}", (self.name, limit)).fetchall()
        rows = sorted(TickRow(*row) for row in found)
        closed = [row._replace(state=row.state or FORGOTTEN, ended_at=row.ended_at or now) for row in rows]
        if not closed:
            return []
        run(_CLOSE, [(tick.state, tick.ended_at, self.name, tick.schedule, tick.due) for tick in closed], many=True)
        ends = sorted((tick.ended_at or 0.0, tick.schedule) for tick in closed if tick.state == State.SUCCEEDED)
        succeeded = {schedule: ended_at for ended_at, schedule in ends}
        if succeeded:
            values = [(ended_at, self.name, schedule, ended_at) for schedule, ended_at in sorted(succeeded.items())]
            run(_SUCCEEDED, values, many=True)
        return closed

    def prune_ticks(self, before: float, most: int, limit: int = 500) -> int:
        """Delete ticks that are not kept; see the contract."""
        found = self.read(
            f"SELECT schedule, due FROM nephew_tick WHERE name = ? AND written_at < ? AND NOT ({OPEN})"
            " ORDER BY written_at LIMIT ?",
            (self.name, before, limit),
        )
        gone = {(row[0], row[1]) for row in found}
        too_many = self.read(
            "SELECT schedule FROM nephew_schedule WHERE name = ? AND ticks > ? ORDER BY schedule LIMIT ?",
            (self.name, most, limit),
        )
        for (schedule,) in too_many:
            rows = self.read(_BEYOND, (self.name, schedule, self.name, schedule, most, limit))
            gone |= {(schedule, row[0]) for row in rows[: max(0, limit - len(gone))]}
        if gone:
            self.write(lambda run: self._delete_ticks(run, sorted(gone)))
        return len(gone)

    def _delete_ticks(self, run: Run, gone: Sequence[tuple[str, float]]) -> None:
        delete = f"DELETE FROM nephew_tick WHERE name = ? AND schedule = ? AND due = ? AND NOT ({OPEN})"
        run(delete, [(self.name, *each) for each in gone], many=True)
        run(COUNTED, [(self.name, schedule) for schedule in sorted({schedule for schedule, _ in gone})], many=True)
