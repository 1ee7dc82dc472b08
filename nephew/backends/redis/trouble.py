"""What an error of the server's, or of the way to it, means for a step; and what is said of an outage."""

from __future__ import annotations

import logging
import re
import time
from typing import TypeVar

from redis.exceptions import (
    AskError,
    AuthenticationError,
    ClusterDownError,
    ConnectionError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
    TryAgainError,
)

from nephew.errors import BackendError

log = logging.getLogger("huey.nephew.redis")

T = TypeVar("T")

#: The server is not there, or is not the one that writes just now. A slot that is being moved (ASK) is in two halves:
#: a script would see one of them, so it waits until the move is over.
_AWAY = (ConnectionError, TimeoutError, ReadOnlyError, ClusterDownError, TryAgainError, AskError)
#: The same as words, for what redis-py has no class for; Redis 6.2 puts a script's error behind one of its own.
_AWAY_WORDS = re.compile(
    r"(?:^|[\s-])(READONLY|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|NOREPLICAS|MISCONF|UNBLOCKED|BUSY|MOVED|ASK|LATE) "
)
_FULL = re.compile(r"(?:^|[\s-])OOM ")
_WRONG_TYPE = re.compile("WRONGTYPE|is not an integer")
#: How our scripts name the key that a call failed on.
_KEY = re.compile(r"\[(\S+)\]")
_NOT_ALLOWED = re.compile(
    r"(?:^|[\s-])(NOPERM|NOAUTH|WRONGPASS) |can't (?:run this command|access at least one of the keys)"
)


def is_late(error: Exception) -> bool:
    """Whether a step came later than it was given time for, and was not done."""
    return "LATE step" in str(error)


def is_away(error: Exception) -> bool:
    """Whether it is worth while to connect again and repeat the step."""
    if is_hopeless(error):
        return False
    return isinstance(error, _AWAY) or (isinstance(error, ResponseError) and bool(_AWAY_WORDS.search(str(error))))


def is_of_a_cluster(error: Exception) -> bool:
    """Whether a server says that the key is on another one, as only a cluster's node does."""
    return isinstance(error, MovedError) or str(error).startswith("MOVED ")


def is_hopeless(error: Exception) -> bool:
    """Whether only a change of the URL, of the server's users or of its certificate helps."""
    return _is_not_allowed(error) or _is_distrusted(error)


def _is_not_allowed(error: Exception) -> bool:
    return isinstance(error, AuthenticationError | NoPermissionError) or bool(_NOT_ALLOWED.search(str(error)))


def _is_distrusted(error: Exception) -> bool:
    return "CERTIFICATE_VERIFY_FAILED" in str(error)


def explained(error: Exception, step: str, tag: str) -> str:
    """What an error that repeating does not help against means, and what is to be done."""
    if _is_not_allowed(error):
        return f"the user of the URL is not known or may not do this ({error}); see «Users» in docs/redis.md"
    if _is_distrusted(error):
        return f"its certificate is not trusted ({error}); name its authority's with ?ssl_ca_certs=/file.pem"
    if isinstance(error, OutOfMemoryError) or _FULL.search(str(error)):
        return "the memory is full (maxmemory) and nothing was stored; raise maxmemory or delete jobs, then try again"
    if _WRONG_TYPE.search(str(error)):
        named = _KEY.search(str(error))
        key = f"that the key {named[1]}" if named else f"a key under {tag}: that"
        return f"{step} found {key} is of the wrong type; delete or rename it, and it goes on ({error})"
    return f"{step} failed ({error})"


class Lost(Exception):
    """A step did not get through.

    :ivar error: why.
    :ivar done: whether the server may have done it all the same.
    """

    def __init__(self, error: Exception, done: bool) -> None:
        super().__init__(str(error))
        self.error, self.done = error, done


class Outage:
    """Says once that the server cannot be reached, and once that it is back.

    Of threads that say it at the same time, one takes the token. (A lock may be locked in a fork's child for ever.)
    """

    def __init__(self, description: str) -> None:
        self._description = description
        self._calm: list[bool] = [True]
        self._since: list[float] = []

    @property
    def lasts(self) -> bool:
        """Whether it was said."""
        return bool(self._since)

    def begin(self, error: Exception) -> None:
        """Connecting again did not help at once."""
        if _taken(self._calm):
            log.warning("%s cannot be reached (%s); it is tried again until it can.", self._description, error)
            self._since.append(time.monotonic())

    def end(self) -> None:
        """A step got through."""
        since = _taken(self._since)
        if since is not None:
            log.info("%s is back after %.1f s.", self._description, time.monotonic() - since)
            self._calm.append(True)

    def error(self, error: Exception) -> BackendError:
        """For those who cannot wait longer."""
        return BackendError(
            f"{self._description} cannot be reached ({error}); the step may be repeated once it is back"
        )


def _taken(tokens: list[T]) -> T | None:
    try:
        return tokens.pop()
    except IndexError:
        return None
