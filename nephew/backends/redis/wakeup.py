"""How consumers and those who wait learn of a write: a connection of its own listens to a channel."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from redis.connection import AbstractConnection
from redis.exceptions import RedisError

from nephew.backends.watcher import Watcher
from nephew.errors import NephewError

log = logging.getLogger("huey.nephew.wakeup")

#: Seconds until a connection that could not be had is tried for again: till then, workers poll.
RETRY_SECONDS = 1.0
#: Under load, news are passed on at most this often (seconds).
PAUSE = 0.001
#: The longest (seconds) that an idle connection goes without a word: the other end may be gone without one.
SILENCE = 30.0


class ChannelWatcher(Watcher):
    """Hears what is told by a channel; what was told while it was not there counts as something."""

    interval = None

    def __init__(self, connect: Callable[[], AbstractConnection], channel: str) -> None:
        self._connect, self._channel = connect, channel
        self._connection: Any = None
        self._not_before = self._quiet_until = 0.0
        self._heard_at, self._asked, self._said = 0.0, False, False

    def fileno(self) -> int | None:
        if self._connection is None:
            self._listen()
        return None if self._connection is None else int(self._connection._sock.fileno())

    def changed(self) -> bool:
        if self._connection is None:
            return self._listen()
        try:
            return self._take()
        except (RedisError, OSError) as error:
            log.warning("Lost the connection that listens for jobs (%s); polling until it is back.", error)
            self.close()
            self._not_before = time.monotonic() + RETRY_SECONDS
            return True

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def _listen(self) -> bool:
        """Whether a connection was made."""
        if time.monotonic() < self._not_before:
            return False
        try:
            connection = self._connect()
            connection.send_command("SUBSCRIBE", self._channel)
            connection.read_response(push_request=True)  # from here on nothing is missed
        except (NephewError, RedisError, OSError) as error:
            self._not_before = time.monotonic() + RETRY_SECONDS
            level, self._said = logging.DEBUG if self._said else logging.WARNING, True
            log.log(level, "Cannot listen for jobs yet (%s); polling, and trying again every second.", error)
            return False
        self._connection, self._heard_at, self._asked = connection, time.monotonic(), False
        self._said = False
        return True

    def _take(self) -> bool:
        told = False
        while self._connection.can_read(timeout=0):
            told = self._connection.read_response(push_request=True)[0] == b"message" or told
            self._heard_at, self._asked = time.monotonic(), False
        if told:
            time.sleep(max(0.0, self._quiet_until - time.monotonic()))
            self._quiet_until = time.monotonic() + PAUSE
        elif time.monotonic() - self._heard_at > SILENCE:
            self._ask()
        return told

    def _ask(self) -> None:
        """See whether the other end is still there."""
        if self._asked:
            raise OSError(f"no answer for {SILENCE:g} s")
        self._connection.send_command("PING")
        self._heard_at, self._asked = time.monotonic(), True
