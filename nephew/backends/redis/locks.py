"""Locks: keys that let one of many in."""

from __future__ import annotations

from nephew.backends.records import LockRow
from nephew.backends.redis.queue import Queue


class Locks(Queue):
    """What one holds and others see."""

    def acquire_lock(self, name: str, owner: str, label: str, ttl: float) -> int | None:
        """Take a free lock; see the contract."""
        fence: int | None = self.run("acquire_lock", name, owner, label, ttl)
        return fence

    def renew_lock(self, name: str, owner: str, ttl: float) -> bool:
        """Prolong a lock; see the contract."""
        return bool(self.run("renew_lock", name, owner, ttl))

    def release_lock(self, name: str, owner: str | None) -> bool:
        """Give a lock up or break it; see the contract."""
        return bool(self.run("release_lock", name, owner or "", tells=True))

    def locks(self) -> list[LockRow]:
        """The held locks; see the contract."""
        return sorted(_lock(*found) for found in self.run("locks"))


def _lock(name: bytes, owner: bytes, label: bytes, fence: bytes, acquired_at: bytes, expires_at: bytes) -> LockRow:
    return LockRow(name.decode(), owner.decode(), label.decode(), int(fence), float(acquired_at), float(expires_at))
