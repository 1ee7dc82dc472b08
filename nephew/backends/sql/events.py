"""Events: written in batches, one row each, and read by anybody who says how far he is, or by a group.

PostgreSQL's transactions do not commit in the order of their numbers. A reader must not pass by a batch that is
committed later than those behind it: batches are read in the order of their transactions, as soon as none is open
that began before. The id of an event is `<transaction>-<row>-<place in the row>`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring_ascii
from typing import Any

from nephew.backends.events import EventBatch, EventRow
from nephew.backends.sql.connection import Run
from nephew.backends.sql.dialects import Dialect
from nephew.backends.sql.results import LIVE, Results
from nephew.backends.sql.rows import marks
from nephew.errors import NephewError

#: Id, task, state, worker and error of a job that came into a state.
Happened = tuple[str, str, str, str | None, str | None]

#: The most ids in one question, and the most rows deleted in one step.
ASKED, DELETED = 500, 500

_dump, _quoted = json.JSONEncoder(separators=(",", ":")).encode, encode_basestring_ascii

BATCH = "number, txid, at, told"


def tell(run: Run, dialect: Dialect, name: str, at: float, happened: Sequence[Happened]) -> None:
    """Inside a transaction: write events, and tell those who wait for them once it commits."""
    if happened:
        insert = f"INSERT INTO nephew_event (name, txid, at, size, told) VALUES (?, {dialect.txid}, ?, ?, ?)"
        statement, more = dialect.telling_waiters(insert, name)
        run(statement, (name, at, len(happened), as_told(happened), *more))


def as_told(happened: Iterable[Happened]) -> str:
    """Events as a row keeps them. Of most the job is all that is new."""
    told: list[str] = []
    before, rest = (), ""  # type: tuple[Any, ...], str
    for event in happened:
        if event[1:] != before:
            before = event[1:]
            rest = _dump(before)[1:]
        told.append(f"[{_quoted(event[0])},{rest}")
    return ",".join(told)


class Events(Results):
    """The table of events, and the ends that somebody waits for."""

    def ended(self, ids: Sequence[str], follows: bool = False) -> set[str]:
        """Which of these jobs have ended; see the contract. Of ends it is told without being asked to."""
        found: set[str] = set()
        for first in range(0, len(ids), ASKED):
            some = ids[first : first + ASKED]
            rows = self.read(
                f"SELECT id FROM nephew_job WHERE name = ? AND id IN ({marks(some)}) AND finished_at IS NOT NULL"
                f" UNION ALL SELECT key FROM nephew_data WHERE name = ? AND key IN ({marks(some)}) AND {LIVE}"
                " AND NOT EXISTS (SELECT 1 FROM nephew_job WHERE name = nephew_data.name AND id = key)",
                (self.name, *some, self.name, *some, self.now()),
            )
            found.update(row[0] for row in rows)
        return found

    def latest_event(self) -> str:
        """Behind which id new events are; see the contract."""
        if self.dialect.horizon:  # whatever is committed from now on may have begun earlier
            return f"{self.read(self.dialect.horizon)[0][0]}-0-0"
        (number,) = self.read("SELECT max(number) FROM nephew_event WHERE name = ?", (self.name,))[0]
        return f"0-{(number or 0) + 1}-0" if number else "0"

    def events(self, after: str, limit: int = 100) -> list[EventBatch]:
        """What happened; see the contract."""
        txid, number, place = _position(after)
        rows = self.read(
            f"SELECT {BATCH} FROM nephew_event WHERE name = ? AND (txid, number) >= (?, ?) AND told <> ''"
            f"{self.dialect.settled} ORDER BY txid, number LIMIT ?",
            (self.name, txid, number, limit),
        )
        batches = [_batch(*row) for row in rows]
        if rows and (rows[0][1], rows[0][0]) == (txid, number):
            batches[0] = batches[0]._replace(events=batches[0].events[place:])
        return [batch for batch in batches if batch.events]

    def first_event_after_gap(self, after: str) -> str | None:
        """The first event that is kept, if some before it are not; see the contract."""
        seen = _position(after)
        rows = self.read(
            "SELECT txid, number, size, told FROM nephew_event WHERE name = ? ORDER BY txid, number LIMIT 2",
            (self.name,),
        )
        if seen == (0, 0, 0) or not rows or rows[0][3] or seen >= tuple(rows[0][:3]):
            return None
        return f"{rows[1][0]}-{rows[1][1]}-1" if len(rows) > 1 else ""

    def cut_events(self, most: int) -> bool:
        """Delete the oldest; see the contract."""
        found = self.read(
            "SELECT txid, number FROM (SELECT txid, number, sum(size) OVER (ORDER BY txid DESC, number DESC) AS later"
            " FROM nephew_event WHERE name = ?) AS counted WHERE later > ? ORDER BY txid DESC, number DESC LIMIT 1",
            (self.name, most),
        )
        return bool(found) and self.write(lambda run: self._cut(run, *found[0]))

    def _cut(self, run: Run, txid: int, number: int) -> bool:
        """Delete what is before a batch, and empty that, which then says how far it was cut."""
        deleted = run(
            "DELETE FROM nephew_event WHERE number IN (SELECT number FROM nephew_event WHERE name = ?"
            f" AND (txid, number) < (?, ?) ORDER BY txid, number LIMIT {DELETED})",
            (self.name, txid, number),
        ).rowcount
        run("UPDATE nephew_event SET told = '' WHERE number = ?", (number,))
        return bool(deleted == DELETED)

    # -- groups -------------------------------------------------------------------------------------
    def join_group(self, group: str, after: str) -> None:
        """Make a group; see the contract."""
        txid, number, place = _position(after)

        def step(run: Run) -> None:
            rest = "SELECT 1 FROM nephew_event WHERE number = ? AND size <= ?"
            passed = number if run(rest, (number, place)).fetchone() else number - 1
            run(
                "INSERT INTO nephew_event_group (name, key, txid, number) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                (self.name, group, txid, passed),
            )

        self.write(step)

    def take_events(self, group: str, consumer: str, idle: float, again: bool = False) -> EventBatch | None:
        """The next batch for a consumer of a group; see the contract."""
        now = self.now()
        old = "consumer = ?" if again else "taken_at <= ?"
        pending = f"SELECT number FROM nephew_event_taken WHERE name = ? AND key = ? AND {old} ORDER BY number"
        params = (self.name, group, consumer if again else now - idle)

        def step(run: Run) -> EventBatch | None:
            self._lock_group(run, group)
            for (number,) in run(pending, params).fetchall():
                row = run(f"SELECT {BATCH} FROM nephew_event WHERE number = ? AND told <> ''", (number,)).fetchone()
                if row is not None:
                    self._note_taken(run, group, number, consumer, now)
                    return _batch(*row)
                self._drop_taken(run, group, number)  # it was cut meanwhile
            return None if again else self._take_next(run, group, consumer, now)

        # A look first: whoever waits for news should not be in the way of those who write them.
        news = self.read(pending, params) or (not again and self.read(*self._next(group)))
        return self.write(step) if news else None

    def _lock_group(self, run: Run, group: str) -> None:
        """Its members come one after the other."""
        run(
            f"SELECT 1 FROM nephew_event_group WHERE name = ? AND key = ?{self.dialect.for_update}", (self.name, group)
        ).fetchone()

    def _next(self, group: str) -> tuple[str, tuple[Any, ...]]:
        """The query for the batch behind those that a group has taken, and its parameters."""
        sql = (
            f"SELECT {BATCH} FROM nephew_event WHERE name = ? AND told <> '' AND (txid, number) >"
            " (SELECT txid, number FROM nephew_event_group WHERE name = ? AND key = ?)"
            f"{self.dialect.settled} ORDER BY txid, number LIMIT 1"
        )
        return sql, (self.name, self.name, group)

    def _take_next(self, run: Run, group: str, consumer: str, now: float) -> EventBatch | None:
        row = run(*self._next(group)).fetchone()
        if row is None:
            return None
        run(
            "UPDATE nephew_event_group SET txid = ?, number = ? WHERE name = ? AND key = ?",
            (row[1], row[0], self.name, group),
        )
        self._note_taken(run, group, row[0], consumer, now)
        return _batch(*row)

    def _note_taken(self, run: Run, group: str, number: int, consumer: str, now: float) -> None:
        run(
            "INSERT INTO nephew_event_taken (name, key, number, consumer, taken_at) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (name, key, number) DO UPDATE SET consumer = excluded.consumer, taken_at = excluded.taken_at",
            (self.name, group, number, consumer, now),
        )

    def _drop_taken(self, run: Run, group: str, number: int) -> None:
        run("DELETE FROM nephew_event_taken WHERE name = ? AND key = ? AND number = ?", (self.name, group, number))

    def acknowledge(self, group: str, batch: str) -> None:
        """A batch is dealt with; see the contract."""
        self.write(lambda run: self._drop_taken(run, group, _position(batch)[1]))


def _position(event_id: str) -> tuple[int, int, int]:
    """Transaction, row and place of an event: the place is counted from 1."""
    try:
        parts = [int(part) for part in event_id.split("-")]
    except ValueError:
        parts = []
    if not 1 <= len(parts) <= 3:
        raise NephewError(f"expected the id of an event, such as 0-17-1, got {event_id!r}")
    txid, number, place = (*parts, 0, 0)[:3]
    return txid, number, place


def _batch(number: int, txid: int, at: float, told: str) -> EventBatch:
    events: Iterable[list[Any]] = json.loads(f"[{told}]")
    rows = (EventRow(f"{txid}-{number}-{place}", at, *event) for place, event in enumerate(events, 1))
    return EventBatch(f"{txid}-{number}", tuple(rows))
