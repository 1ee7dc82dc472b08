"""How an idle worker comes by its next jobs: a claim waits on the server, behind a blocking pop, for work to come."""

from __future__ import annotations

import logging
import select
import time
from collections.abc import Callable, Sequence
from typing import Any

from redis.connection import AbstractConnection
from redis.exceptions import RedisError

from nephew.backends.records import Claimed
from nephew.backends.redis.steps import Evaluation
from nephew.backends.watcher import Doorbell
from nephew.errors import NephewError, UnknownWorker

log = logging.getLogger("huey.nephew.wakeup")

#: Seconds until a connection that could not be had is tried for again: till then, workers look by themselves.
RETRY_SECONDS = 1.0

#: A claim that may be done after so many seconds: worker, claim, limit, queues and these.
Claim = Callable[[int, int, int, Sequence[str], float], Evaluation]
#: The jobs that its reply brings.
Taken = Callable[[int, int, Any], list[Claimed]]


class ClaimingDoorbell(Doorbell):
    """A blocking pop of a token, and the claim behind it on the same connection.

    The server does the claim in the moment in which it is over with the pop. So what is popped is only a token, and
    what is claimed is held by its worker, whoever reads the reply.
    """

    def __init__(
        self, connect: Callable[[], AbstractConnection], keys: Sequence[str], claim: Claim, taken: Taken
    ) -> None:
        """:param keys: lists, each of which gets a token when there is work."""
        self._connect, self._keys, self._claim, self._taken = connect, keys, claim, taken
        self._connection: Any = None
        self._asked: tuple[int, int, Evaluation] | None = None
        self._not_before = 0.0

    def ask(self, worker: int, claim: int, limit: int, queues: Sequence[str], seconds: float) -> int | None:
        if time.monotonic() < self._not_before:
            return None
        step = self._claim(worker, claim, limit, queues, seconds)
        try:
            if self._connection is None:
                self._connection = self._connect()
            self._connection.send_command("BLPOP", *self._keys, seconds)
            step.send(self._connection, again=False)
        except (NephewError, RedisError, OSError) as error:
            self._lose(error)
            return None
        self._asked = worker, claim, step
        return int(self._connection._sock.fileno())

    def jobs(self) -> list[Claimed] | None:
        asked, self._asked = self._asked, None
        if asked is None:
            return None
        worker, claim, step = asked
        try:
            if not _is_readable(self._connection):
                self.close()
                return None
            self._connection.read_response()
            return self._taken(worker, claim, step.read(self._connection))
        except UnknownWorker:
            return None
        except (NephewError, RedisError, OSError) as error:
            self._lose(error)
            return None

    def close(self) -> None:
        connection, self._connection, self._asked = self._connection, None, None
        if connection is not None:
            connection.disconnect()

    def _lose(self, error: Exception) -> None:
        log.debug("Cannot wait for work (%s); looking once a second until that is over.", error)
        self.close()
        self._not_before = time.monotonic() + RETRY_SECONDS


def _is_readable(connection: Any) -> bool:
    """Whether the server has answered, or is gone. redis-py would look twice, while a job is waiting."""
    poller = select.poll()
    poller.register(connection._sock.fileno(), select.POLLIN)
    return bool(poller.poll(0))
