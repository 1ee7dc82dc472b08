"""What the archive asks of a queue: what has happened, the ended jobs whole, and to forget those that it has."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from nephew.backends.records import AttemptRow, LogLines, News, Record, Row
from nephew.backends.redis import packing
from nephew.backends.redis.history import History
from nephew.backends.redis.schedules import tick_row
from nephew.backends.schedules import TickRow
from nephew.job import ENDED

#: How many batches of events are read at once, after how many events no more of them are told, and how many bytes of
#: records are held in memory.
BATCHES, EVENTS, BYTES = 100, 500, 1 << 22
#: How long (seconds) it is remembered that an ended job was deleted.
REMEMBERED = 3600


class Archiving(History):
    """The way out of the queue, for good, and back."""

    @property
    def keeps(self) -> int | None:
        """Of how many ended jobs it keeps the records; see the contract."""
        return self.most

    def last_event(self) -> int:
        """The number of the latest event; 0: there was none."""
        return int(self.call("GET", self.key("event")) or 0)

    def last_place(self) -> int:
        """The last place that was given; 0: none was."""
        return int(self.call("GET", self.key("place")) or 0)

    def news(self, since: int) -> News | None:
        """The next events behind this one, as far as they are still kept; None: there are none."""
        entries = self.call("XRANGE", self.key("events"), f"({since}-0", "+", "COUNT", BATCHES)
        if not entries:
            return None
        first, last = 0, 0
        told: list[Any] = []
        for number, values in entries:
            last = int(number.partition(b"-")[0])
            events = _events(values)
            first = first or last - len(events) + 1
            told += events
            if len(told) >= EVENTS:
                break
        return News(first, last, tuple(_ended(told)))

    def records(self, ids: Sequence[str]) -> tuple[list[Record], list[str], int]:
        """The first of these jobs, whole, as far as they have ended and nobody has deleted them.

        :returns: the records; the ids of those whose record is gone though nobody has deleted it; and how many of
            `ids` were looked at: as many as can be held in memory.
        """
        found = self.run("ended", BYTES, *ids) if ids else []
        beside = {job_id: values for job_id, values in zip(ids, found, strict=False) if len(values) > 1}
        cut = [job_id for job_id, values in zip(ids, found, strict=False) if values == [b"cut"]]
        rows = [row for row in self._read(list(beside), None) if row.state in ENDED]
        # What told when it ended may have expired.
        records = [_record(row._replace(finished_at=row.finished_at or self.now()), *beside[row.id]) for row in rows]
        return records, cut, len(found)

    def drop(self, records: Sequence[Record]) -> list[str]:
        """Forget jobs that are archived, where they are still ended in the same way; their results stay.

        :returns: the ids of those that do not belong into the archive: somebody has deleted them, or they live again.
        """
        values = [value for record in records for value in (record.row.id, record.end)]
        return [job_id.decode() for job_id in self.run("drop_archived", self.ttl_others, *values)] if values else []

    def note_deleted(self, ids: Sequence[str]) -> None:
        """Note that jobs are about to be deleted, should they be on their way into the archive."""
        if ids:
            self.run("note_deleted", REMEMBERED, *ids)

    def filed_ticks(self, limit: int) -> dict[str, TickRow | None]:
        """Ticks that nothing will change of any more and that are not archived, each by what `drop_ticks` calls it.

        None: it was deleted meanwhile.
        """
        found = self.run("filed_ticks", limit)
        return {
            called.decode(): None if stored is None else tick_row(called.decode().partition(" ")[2], stored)
            for called, stored in zip(found[::2], found[1::2], strict=True)
        }

    def drop_ticks(self, called: Iterable[str], left: int) -> None:
        """Forget ticks that are archived, but for the latest few of each schedule."""
        self.run("drop_ticks", left, *called)

    def raise_place(self, last: int) -> None:
        """Let places go on behind this one."""
        self.run("raise_place", last)

    def restore(self, row: Row, attempts: Sequence[AttemptRow], logs: Sequence[LogLines]) -> bool:
        """Put an archived job back into its queue, as `requeue` does with one that is still here."""
        head = packing.body(tuple(getattr(row, name) for name in packing.HEAD), row.payload)
        marks = {"attempts": str(row.attempts), "eta": "-", "expires_at": "inf", "kept": True}
        told = [json.dumps(attempt) for attempt in attempts]
        lines = [value for log in logs for value in (log.attempt, json.dumps((log.lines, log.dropped)))]
        parent = row.parent if row.parent is not None and row.relation != "schedule" else ""
        described = (row.id, row.queue, row.priority, row.unique_key or "", row.chord or "", parent, row.member or "")
        written = (f"{row.enqueued_at:.6f}", head, json.dumps(marks, separators=(",", ":")))
        return bool(self.run("restore", *described, *written, len(told), *told, *lines, tells=True))

    def family(self, row: Row) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        """Places and ids of the jobs here that a job follows from, and of those that follow from it."""
        parents: list[tuple[int, str]] = []
        if row.parent is not None and row.relation != "schedule":
            ids = [row.parent.encode()]
            if row.relation == "chord":
                ids = self.call("SMEMBERS", self.key("members", row.parent))
            parents = self._here(ids)
        kin = [self.key("kin", name) for name in (row.id, row.member) if name is not None]
        return parents, self._here(self.call("SUNION", *kin))

    def known(self, ids: Sequence[str]) -> set[str]:
        """Those of these jobs that are here."""
        return {job_id for _, job_id in self._here([job_id.encode() for job_id in ids])}

    def _here(self, ids: Sequence[bytes]) -> list[tuple[int, str]]:
        places = self.run("places", *ids) if ids else []
        return [(place, job_id.decode()) for place, job_id in zip(places, ids, strict=True) if place]


def _events(values: Sequence[bytes]) -> list[Any]:
    """The events of an entry of the stream."""
    fields = dict(zip(values[::2], values[1::2], strict=True))
    return packing.events(fields[b"of"])


def _ended(events: Sequence[Any]) -> Iterator[str]:
    """The ids of the jobs that ended, each once, where it ended last."""
    ended = [job_id for job_id, _, state, *_ in events if state in ENDED]
    yield from reversed(dict.fromkeys(reversed(ended)))


def _record(row: Row, end: bytes, attempts: Sequence[bytes], logs: Sequence[bytes]) -> Record:
    lines = [LogLines(int(attempt), *json.loads(kept)) for attempt, kept in zip(logs[::2], logs[1::2], strict=True)]
    return Record(row, tuple(AttemptRow(*json.loads(kept)) for kept in attempts), tuple(lines), end.decode())
