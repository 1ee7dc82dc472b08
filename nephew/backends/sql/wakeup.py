"""How a consumer learns of a write without a thread: PostgreSQL notifies; beside SQLite the file is watched."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from typing import Any

from nephew.backends.contract import Watcher

log = logging.getLogger("huey.nephew.wakeup")


class FileWatcher(Watcher):
    """Looks at SQLite's files every few milliseconds; a look costs two `stat` calls, no lock, no open file."""

    interval = 0.004
    #: File times advance with the kernel's tick (up to 10 ms), so that a second write within one leaves the
    #: time as it was: a time this young counts as changed.
    _young = 0.015

    def __init__(self, path: str) -> None:
        self._paths = (path + "-wal", path)
        self._seen: tuple[Any, ...] = ()

    def fileno(self) -> int | None:
        return None

    def changed(self) -> bool:
        seen = tuple(_stamp(path) for path in self._paths)
        before, self._seen = self._seen, seen
        return seen != before or time.time() - max(stamp[0] for stamp in seen) < self._young

    def close(self) -> None:
        self._seen = ()


def _stamp(path: str) -> tuple[float, int]:
    try:
        found = os.stat(path)
    except OSError:
        return 0.0, 0
    return found.st_mtime, found.st_size


class SilentWatcher(Watcher):
    """For a store that only this process sees: whoever enqueues also wakes."""

    interval = 0.02

    def fileno(self) -> int | None:
        return None

    def changed(self) -> bool:
        return True

    def close(self) -> None:
        pass


class NotificationWatcher(Watcher):
    """Listens on a connection of its own; while that cannot be had, workers poll once a second."""

    interval = None
    _retry_seconds = 1.0

    def __init__(self, connect: Callable[[], Any], channel: str) -> None:
        self._connect, self._channel = connect, channel
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
            return self._take()
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
