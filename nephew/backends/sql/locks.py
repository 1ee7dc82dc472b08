"""Locks: rows whose key lets one of many in."""

from __future__ import annotations

from typing import Any

from nephew.backends.records import LockRow
from nephew.backends.sql.connection import Run
from nephew.backends.sql.queue import Queue


class Locks(Queue):
    """Rows that one holds and others see."""

    def acquire_lock(self, name: str, owner: str, label: str, ttl: float) -> int | None:
        """Take a free lock; see the contract."""

        def step(run: Run) -> int | None:
            now = self._now_alone(run, name)
            found = run(
                "INSERT INTO nephew_lock (name, key, owner, label, fence, acquired_at, expires_at)"
                " VALUES (?, ?, ?, ?, 1, ?, ?) ON CONFLICT (name, key) DO UPDATE SET owner = excluded.owner,"
                " label = excluded.label, fence = nephew_lock.fence + 1, acquired_at = excluded.acquired_at,"
                " expires_at = excluded.expires_at WHERE nephew_lock.owner IS NULL"
                " OR nephew_lock.owner = excluded.owner OR nephew_lock.expires_at <= ? RETURNING fence",
                (self.name, name, owner, label, now, now + ttl, now),
            ).fetchone()
            return None if found is None else int(found[0])

        return self.write(step)

    def renew_lock(self, name: str, owner: str, ttl: float) -> bool:
        """Prolong a lock; see the contract."""

        def step(run: Run) -> bool:
            now = self._now_alone(run, name)
            renewed = run(
                "UPDATE nephew_lock SET expires_at = ? WHERE name = ? AND key = ? AND owner = ? AND expires_at > ?",
                (now + ttl, self.name, name, owner, now),
            )
            return bool(renewed.rowcount)

        return self.write(step)

    def _now_alone(self, run: Run, name: str) -> float:
        """The time once nobody else can change the lock: what was waited for is not part of its `ttl`."""
        run(f"SELECT 1 FROM nephew_lock WHERE name = ? AND key = ?{self.dialect.for_update}", (self.name, name))
        return self.now()

    def release_lock(self, name: str, owner: str | None) -> bool:
        """Give a lock up or break it; see the contract."""
        mine = "" if owner is None else " AND owner = ?"
        params = (self.name, name) if owner is None else (self.name, name, owner)
        return bool(
            self.write_one(
                "UPDATE nephew_lock SET owner = NULL WHERE name = ? AND key = ? AND owner IS NOT NULL"
                f"{mine} RETURNING 1",
                params,
                unless=lambda: self._free(name, owner),
            )
        )

    def _free(self, name: str, owner: str | None) -> list[Any]:
        """Asked by a release whose reply was lost: a row when it is done, since its lock is nobody's of that name."""
        held = "owner IS NOT NULL" if owner is None else "owner = ?"
        params = (self.name, name) if owner is None else (self.name, name, owner)
        return [] if self.read(f"SELECT 1 FROM nephew_lock WHERE name = ? AND key = ? AND {held}", params) else [(1,)]

    def locks(self) -> list[LockRow]:
        """The held locks; see the contract."""
        rows = self.read(
            "SELECT key, owner, label, fence, acquired_at, expires_at FROM nephew_lock"
            " WHERE name = ? AND owner IS NOT NULL AND expires_at > ? ORDER BY key",
            (self.name, self.now()),
        )
        return [LockRow(*row) for row in rows]
