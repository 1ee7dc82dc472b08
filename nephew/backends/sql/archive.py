"""The history of a queue that is on Redis: its ended jobs, in the same tables as those of a queue that is here.

How far it has come is written in the transaction that writes the jobs, so that none is missed or told twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from nephew.backends.records import Filter, Record, Row
from nephew.backends.schedules import TickRow
from nephew.backends.sql.connection import Run
from nephew.backends.sql.pruning import Pruning
from nephew.backends.sql.rows import marks
from nephew.backends.sql.ticks import COUNTED
from nephew.backends.sql.urls import open_url
from nephew.backends.texts import storable

#: Counters: the number of the last event that was followed, and of those that were gone before.
CURSOR, CUT = "archive", "archive cut"
#: Data: the ids of the jobs that were written last, as JSON.
MOVED = "archive moved"

_FIELDS = ["name", "place", *(field for field in Row._fields if field != "seq")]
_JOB = (
    f"INSERT INTO nephew_job ({', '.join(_FIELDS)}) VALUES ({marks(_FIELDS)})"
    f" ON CONFLICT (name, id) DO UPDATE SET {', '.join(f'{field} = excluded.{field}' for field in _FIELDS)}"
)
_ATTEMPT = (
    "INSERT INTO nephew_attempt (name, job, attempt, started_at, finished_at, worker, outcome, error, traceback)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_LOG = "INSERT INTO nephew_log (name, job, attempt, lines, dropped) VALUES (?, ?, ?, ?, ?)"
_TICK_FIELDS = ["name", *TickRow._fields]
_TICK = (
    f"INSERT INTO nephew_tick ({', '.join(_TICK_FIELDS)}) VALUES ({marks(_TICK_FIELDS)})"
    " ON CONFLICT (name, schedule, due) DO UPDATE SET"
    f" {', '.join(f'{field} = excluded.{field}' for field in TickRow._fields)}"
)
#: Here it is only there to have its ticks counted.
_LEDGER = "INSERT INTO nephew_schedule (name, schedule, seen, since) VALUES (?, ?, 0, 0) ON CONFLICT DO NOTHING"
_COUNT = (
    "INSERT INTO nephew_counter (name, key, value) VALUES (?, ?, ?)"
    " ON CONFLICT (name, key) DO UPDATE SET value = nephew_counter.value + excluded.value"
)
_MOVED = (
    "INSERT INTO nephew_data (name, key, value, revocation) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (name, key) DO UPDATE SET value = excluded.value"
)


class Archive(Pruning):
    """Ended jobs of a queue on Redis. A job's place is the one that it had there."""

    place = "place"
    ours = "name = ? AND place IS NOT NULL"
    #: Whether those who look were told that it cannot be reached; set and taken back by `nephew.history`.
    away = False

    def _in_order(self) -> str:
        return self.ours

    def _where(self, wanted: Filter, oldest_first: bool = False) -> tuple[str, tuple[Any, ...]]:
        where, params = super()._where(wanted, oldest_first)
        return f"{where} AND place IS NOT NULL", params

    # -- writing ------------------------------------------------------------------------------------
    def cursor(self) -> int | None:
        """The number of the last event that was followed; None: nothing was archived yet."""
        return self._counted(CURSOR)

    def cut(self) -> int:
        """How many events, or the records that they told of, were gone before they could be archived."""
        return self._counted(CUT) or 0

    def _counted(self, key: str) -> int | None:
        rows = self.read("SELECT value FROM nephew_counter WHERE name = ? AND key = ?", (self.name, key))
        return int(rows[0][0]) if rows else None

    def keep(self, records: Sequence[Record], since: int, upto: int, cut: int = 0) -> bool:
        """Write jobs, what was known of them replaced, and that events were followed.

        :param since: up to which event it was before, `upto`: is from now on.
        :param cut: how many events were gone, or the records that they told of.
        :returns: False, and nothing was written: somebody else has followed events meanwhile.
        """

        def step(run: Run) -> bool:
            if not self._advance(run, since, upto):
                return False
            self._write(run, records)
            if cut:
                run(_COUNT, (self.name, CUT, cut))
            return True

        def again(run: Run) -> bool:
            return (upto > since and self._stands_at(run, upto)) or step(run)

        return self.write(step, again)

    def keep_ticks(self, ticks: Sequence[TickRow]) -> None:
        """Write ticks that nothing will change of any more; what was known of them is replaced."""
        schedules = sorted({tick.schedule for tick in ticks})

        def step(run: Run) -> None:
            run(_TICK, [(self.name, *map(_storable, tick)) for tick in sorted(ticks)], many=True)
            run(_LEDGER, [(self.name, schedule) for schedule in schedules], many=True)
            run(COUNTED, [(self.name, schedule) for schedule in schedules], many=True)

        self.write(step)

    def _advance(self, run: Run, since: int, upto: int) -> bool:
        run(
            "INSERT INTO nephew_counter (name, key, value) VALUES (?, ?, 0) ON CONFLICT DO NOTHING", (self.name, CURSOR)
        )
        moved = run(
            "UPDATE nephew_counter SET value = ? WHERE name = ? AND key = ? AND value = ?",
            (upto, self.name, CURSOR, since),
        )
        return bool(moved.rowcount)

    def _stands_at(self, run: Run, number: int) -> bool:
        found = run("SELECT value FROM nephew_counter WHERE name = ? AND key = ?", (self.name, CURSOR)).fetchone()
        return found is not None and int(found[0]) == number

    def _write(self, run: Run, records: Sequence[Record]) -> None:
        jobs = [record.row for record in records]
        attempts = [(record.row.id, *attempt) for record in records for attempt in record.attempts]
        logs = [(record.row.id, *log) for record in records for log in record.logs]
        for statement, values in (
            (_JOB, jobs),
            # Singly: a planner that has not counted the rows of new tables yet would read all of them for a list.
            (
                "DELETE FROM nephew_attempt WHERE name = ? AND job = ?",
                dict.fromkeys((job_id,) for job_id, *_ in attempts),
            ),
            ("DELETE FROM nephew_log WHERE name = ? AND job = ?", dict.fromkeys((job_id,) for job_id, *_ in logs)),
            (_ATTEMPT, attempts),
            (_LOG, logs),
        ):
            if values:
                run(statement, [(self.name, *map(_storable, each)) for each in values], many=True)
        if jobs:
            run(_MOVED, (self.name, MOVED, json.dumps([job.id for job in jobs]).encode(), False))

    # -- reading ------------------------------------------------------------------------------------
    def is_there(self) -> bool:
        """Whether anything can have been archived yet. Only looks: no file and no table is made."""
        return self._ready or self.schema().found > 0

    def moved(self) -> list[str]:
        """The ids of the jobs that were written last: no others can still be in the queue as well."""
        rows = self.read("SELECT value FROM nephew_data WHERE name = ? AND key = ?", (self.name, MOVED))
        return list(json.loads(bytes(rows[0][0]))) if rows else []

    def seqs(self, ids: Sequence[str]) -> list[int]:
        """Where the rows of these jobs are; by these a pruner knows them."""
        if not ids:
            return []
        rows = self.read(f"SELECT seq FROM nephew_job WHERE name = ? AND id IN ({marks(ids)})", (self.name, *ids))
        return [row[0] for row in rows]

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of these jobs that are here."""
        if not ids:
            return set()
        rows = self.read(f"SELECT id FROM nephew_job WHERE name = ? AND id IN ({marks(ids)})", (self.name, *ids))
        return {row[0] for row in rows}

    def last_place(self) -> int:
        """The last place that a job had; 0: there is none."""
        rows = self.read(f"SELECT max(place) FROM nephew_job WHERE {self.ours}", (self.name,))
        return int(rows[0][0] or 0)

    def family(self, row: Row) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        """Places and ids of the jobs here that a job follows from, and of those that follow from it."""
        parents: list[tuple[int, str]] = []
        if row.parent is not None:
            parents = self._found_as("member" if row.relation == "chord" else "id", (row.parent,))
        return parents, self._found_as("parent", tuple(filter(None, (row.id, row.member))))

    def _found_as(self, column: str, values: Sequence[str]) -> list[tuple[int, str]]:
        rows = self.read(
            f"SELECT place, id FROM nephew_job WHERE {self.ours} AND {column} IS NOT NULL"
            f" AND {column} IN ({marks(values)})",
            (self.name, *values),
        )
        return [(row[0], row[1]) for row in rows]


def _storable(value: Any) -> Any:
    """A value as every database takes it: Redis takes any text."""
    return storable(value) if isinstance(value, str) else value


def open_archive(name: str, url: str, auto_migrate: bool) -> Archive:
    """The archive of an instance; connects to nothing.

    :raises ConfigError: when the URL is no database's.
    """
    dialect = open_url(url)
    return Archive(dialect, name, auto_migrate or dialect.look_first)


__all__ = ["Archive", "open_archive"]
