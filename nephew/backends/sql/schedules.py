"""Control of schedules: a row each, and a number that tells when to read them again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nephew.backends.schedules import REMOVED, Fate, ScheduleRow
from nephew.backends.sql.connection import Connected, Run
from nephew.backends.sql.tables import OPEN

_STORED = f"SELECT {', '.join(ScheduleRow._fields)} FROM nephew_schedule WHERE name = ?"
_KNOWN = "SELECT count(*) FROM nephew_tick WHERE name = ? AND schedule = ?"
_BEGIN = (
    f"INSERT INTO nephew_schedule (name, schedule, seen, since, ticks) VALUES (?, ?, ?, ?, ({_KNOWN}))"
    " ON CONFLICT (name, schedule) DO NOTHING"
)
_CHANGE = (
    "INSERT INTO nephew_schedule (name, schedule, seen, since, definition, payload, added, ticks)"
    f" VALUES (?, ?, ?, ?, ?, ?, ?, ({_KNOWN})) ON CONFLICT (name, schedule) DO UPDATE SET"
    " definition = excluded.definition, payload = excluded.payload, added = excluded.added"
)
_DEFINE = f"{_CHANGE}, seen = excluded.seen, since = excluded.since"
_CHANGED = (
    "INSERT INTO nephew_control (name, version) VALUES (?, 1)"
    " ON CONFLICT (name) DO UPDATE SET version = nephew_control.version + 1"
)


class Schedules(Connected):
    """The table of schedules."""

    def schedules_version(self) -> int:
        """How often control has changed; see the contract."""
        rows = self.read("SELECT version FROM nephew_control WHERE name = ?", (self.name,))
        return int(rows[0][0]) if rows else 0

    def schedules(self) -> tuple[int, list[ScheduleRow]]:
        """What is stored of all schedules; see the contract."""
        version = self.schedules_version()
        return version, [_schedule(row) for row in self.read(f"{_STORED} ORDER BY schedule", (self.name,))]

    def schedule(self, name: str) -> ScheduleRow | None:
        """What is stored of one schedule; see the contract."""
        rows = self.read(f"{_STORED} AND schedule = ?", (self.name, name))
        return _schedule(rows[0]) if rows else None

    def begin_schedules(self, names: Sequence[str], seen: float) -> None:
        """Make rows for new schedules; see the contract."""
        rows = [(self.name, name, seen, seen, self.name, name) for name in sorted(set(names))]
        if rows:
            self.write(lambda run: run(_BEGIN, rows, many=True))

    def define_schedule(
        self, name: str, definition: str | None, payload: bytes | None, added: bool, seen: float | None
    ) -> None:
        """Store what a schedule is from now on; see the contract."""
        statement, first = (_CHANGE, self.now()) if seen is None else (_DEFINE, seen)

        def step(run: Run) -> None:
            run(statement, (self.name, name, first, first, definition, payload, added, self.name, name))
            self._changed(run)

        self.write(step)

    def remove_schedule(self, name: str) -> bool:
        """Forget a schedule; see the contract."""

        def step(run: Run) -> bool:
            known = run("DELETE FROM nephew_schedule WHERE name = ? AND schedule = ?", (self.name, name)).rowcount
            run(
                "UPDATE nephew_tick SET fate = ?, reason = ? WHERE name = ? AND schedule = ?"
                f" AND {OPEN} AND fate = 'waiting'",
                (Fate.SKIPPED, REMOVED, self.name, name),
            )
            if known:
                self._changed(run)
            return bool(known)

        return self.write(step)

    def pause_schedule(self, name: str, paused_at: float | None) -> bool:
        """Pause or resume a schedule; see the contract."""
        is_other = "IS NOT NULL" if paused_at is None else "IS NULL"

        def step(run: Run) -> bool:
            changed = run(
                f"UPDATE nephew_schedule SET paused_at = ? WHERE name = ? AND schedule = ? AND paused_at {is_other}",
                (paused_at, self.name, name),
            ).rowcount
            if changed:
                self._changed(run)
            return bool(changed)

        return self.write(step)

    def mark_lapse(self, name: str, was: str | None, now: str | None) -> bool:
        """Change the mark of a dead-man's switch; see the contract."""
        (is_as_it_was, before), (is_now, _) = _is(was), _is(now)
        return bool(
            self.write_one(
                f"UPDATE nephew_schedule SET lapse = ? WHERE name = ? AND schedule = ? AND {is_as_it_was} RETURNING 1",
                (now, self.name, name, *before),
                unless=lambda: self.read(
                    f"SELECT 1 FROM nephew_schedule WHERE name = ? AND schedule = ? AND {is_now}",
                    (self.name, name, *_is(now)[1]),
                ),
            )
        )

    def _changed(self, run: Run) -> None:
        """Note that control has changed, and have the schedulers look."""
        run(_CHANGED, (self.name,))
        self.dialect.tell(run, self.name)


def _is(lapse: str | None) -> tuple[str, tuple[str, ...]]:
    """The condition that this is the mark, and its parameters."""
    return ("lapse IS NULL", ()) if lapse is None else ("lapse = ?", (lapse,))


def _schedule(values: Sequence[Any]) -> ScheduleRow:
    row = ScheduleRow(*values)
    return row._replace(payload=None if row.payload is None else bytes(row.payload), added=bool(row.added))
