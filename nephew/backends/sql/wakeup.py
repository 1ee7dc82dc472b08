"""How a consumer learns of a write without a thread: PostgreSQL notifies, a SQLite file is watched."""

from __future__ import annotations

import ctypes
import logging
import os
import time
import uuid
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from nephew.backends.watcher import Watcher

log = logging.getLogger("huey.nephew.wakeup")


class FileWatcher(Watcher):
    """Looks at SQLite's log every few milliseconds; a look costs one `stat` call, no lock, no open file."""

    interval = 0.004
    #: File times advance with the kernel's tick (up to 10 ms), so that a second write within one leaves the
    #: time as it was: a time this young (nanoseconds) counts as changed.
    _young = 15_000_000

    def __init__(self, path: str) -> None:
        self._log, self._file = path + "-wal", path
        self._seen: tuple[int, int] = (0, 0)

    def fileno(self) -> int | None:
        return None

    def changed(self) -> bool:
        try:
            found = os.stat(self._log)
        except OSError:  # another journal mode, or nobody has written yet
            try:
                found = os.stat(self._file)
            except OSError:
                return False
        seen = (found.st_mtime_ns, found.st_size)
        before, self._seen = self._seen, seen
        return seen != before or time.time_ns() - seen[0] < self._young

    def close(self) -> None:
        self._seen = (0, 0)


class InotifyWatcher(Watcher):
    """Linux tells of every write to SQLite's log by itself: nothing is done while nothing is written.

    A write is told within microseconds; under load the consumer looks at most every `_pause` seconds.
    """

    interval = None
    _pause = 0.001
    _MODIFIED, _CREATED = 0x2, 0x100
    _NONBLOCK, _CLOEXEC = getattr(os, "O_NONBLOCK", 0), getattr(os, "O_CLOEXEC", 0)

    def __init__(self, path: str) -> None:
        """:raises OSError: where there is no inotify, or no room for one more."""
        self._names = (os.path.basename(path).encode(), os.path.basename(path).encode() + b"-wal")
        self._descriptor: int | None = None
        self._not_before = 0.0
        libc = ctypes.CDLL(None, use_errno=True)
        descriptor = libc.inotify_init1(self._NONBLOCK | self._CLOEXEC)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        folder = os.fsencode(os.path.dirname(path))
        if libc.inotify_add_watch(descriptor, folder, self._MODIFIED | self._CREATED) < 0:
            os.close(descriptor)
            raise OSError(ctypes.get_errno(), "inotify_add_watch")
        self._descriptor = descriptor

    def fileno(self) -> int | None:
        return self._descriptor

    def changed(self) -> bool:
        if self._descriptor is None:
            return False
        try:
            told = os.read(self._descriptor, 65536)
        except BlockingIOError:
            return False
        early = self._not_before - time.monotonic()
        if early > 0:
            time.sleep(early)
        self._not_before = time.monotonic() + self._pause
        return any(name in told for name in self._names)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def watch_file(path: str) -> Watcher:
    """The best way that this system has to see writes to a SQLite file."""
    try:
        return InotifyWatcher(path)
    except (AttributeError, OSError, TypeError) as error:
        log.debug("No inotify here (%s); looking at the file every few milliseconds.", error)
        return FileWatcher(path)


class SilentWatcher(Watcher):
    """For a store that only this process sees: whoever enqueues also wakes."""

    def __init__(self, interval: float = 0.02) -> None:
        self.interval = interval

    def fileno(self) -> int | None:
        return None

    def changed(self) -> bool:
        return True

    def close(self) -> None:
        pass


class NotificationWatcher(Watcher):
    """Listens on a connection of its own; while that cannot be had, workers poll once a second."""

    interval: float | None = None
    _retry_seconds = 1.0

    def __init__(self, connect: Callable[[], Any], channel: str, deaf_seconds: float | None = None) -> None:
        """:param deaf_seconds: how often to look behind a pooler, which lets no notification through."""
        self._connect, self._channel, self._deaf_seconds = connect, channel, deaf_seconds
        self._connection: Any = None
        self._not_before = 0.0

    def fileno(self) -> int | None:
        if self._connection is None:
            self._listen()
        return None if self._connection is None else int(self._connection.fileno())

    def changed(self) -> bool:
        if self._connection is None:
            return self._listen()
        try:
            return self._take() or self.interval is not None
        except Exception as error:
            log.warning("Lost the connection that listens for jobs (%s); polling until it is back.", error)
            self.close()
            self._not_before = time.monotonic() + self._retry_seconds
            return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except Exception as error:
                log.debug("The listening connection did not close cleanly: %s", error)

    def _listen(self) -> bool:
        """Whether a connection was made; what was written before it counts as changed."""
        if time.monotonic() < self._not_before:
            return False
        try:
            connection = self._connect()
            connection.cursor().execute(f'LISTEN "{self._channel}"')
        except Exception as error:
            self._not_before = time.monotonic() + self._retry_seconds
            log.warning("Cannot listen for jobs yet (%s); polling, next try in 1 s.", error)
            return False
        self._connection = connection
        is_pooled = getattr(connection, "prepare_threshold", 0) is None  # see `PoolerAwareDatabase`
        self.interval = self._deaf_seconds if is_pooled else None
        return True

    def _take(self) -> bool:
        connection = self._connection
        if hasattr(connection, "pgconn"):
            connection.pgconn.consume_input()
            told = False
            while connection.pgconn.notifies() is not None:
                told = True
            return told
        connection.poll()
        told = bool(connection.notifies)
        connection.notifies.clear()
        return told


@lru_cache(maxsize=64)
def channel(name: str, what: str = "") -> str:
    """A notification channel of an instance (PostgreSQL cuts names at 63 bytes)."""
    return f"nephew_{uuid.uuid5(uuid.NAMESPACE_OID, name).hex}{what}"
