"""The queue of a plain Huey: looking at its messages, and taking out exactly those that were looked at.

Huey's own storage classes connect and know the names of keys and tables. Their ways of taking a message out are
not used: they hand over whatever comes next and forget it, so a kill at that moment would lose it.
"""

from __future__ import annotations

import functools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast
from urllib.parse import unquote, urlsplit

from huey.storage import (
    BaseSqlStorage,
    PostgresStorage,
    PriorityRedisStorage,
    RedisExpireStorage,
    RedisStorage,
    SqliteStorage,
)

from nephew.errors import BackendError, ConfigError, NephewError

F = TypeVar("F", bound=Callable[..., Any])

ACCEPTED = "redis://…, rediss://…, unix://…, sqlite:///file or postgresql://…"

#: Seconds to wait while programs on plain Huey write to its SQLite file.
SQLITE_TIMEOUT = 30

#: What `PriorityRedisHuey` writes before each message: the time, so that equal ones stay in order.
PREFIX_BYTES = 8


class Kept(NamedTuple):
    """A message in the old queue. `group` and `place` find it again: key and member, or table and row."""

    group: str
    place: Any
    data: bytes


def _reaching(function: F) -> F:
    """Tell of an error of whatever driver it is in our words."""

    @functools.wraps(function)
    def asking(source: Source, *arguments: Any) -> Any:
        try:
            return function(source, *arguments)
        except NephewError:
            raise
        except Exception as error:
            raise BackendError(
                f"expected a queue of plain Huey in {source.url}, got {type(error).__name__}: {error}; "
                "nothing is lost, the command may be repeated"
            ) from error

    return cast("F", asking)


class Source(ABC):
    """The messages of one plain Huey. Nothing but `take_out` changes them."""

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def waiting(self) -> list[Kept]:
        """The messages in the queue, in the order in which they would be run."""

    @abstractmethod
    def scheduled(self) -> list[Kept]:
        """The messages in the schedule, soonest first."""

    @abstractmethod
    def values(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The data kept under keys, where there is some."""

    @abstractmethod
    def take_out(self, kept: Sequence[Kept]) -> int:
        """Delete these messages in one step; how many were still there."""

    @abstractmethod
    def close(self) -> None:
        """Close the connections."""


class RedisSource(Source):
    """`RedisHuey` and its variants, told apart by what their queue is: a list, or a set sorted by priority."""

    @_reaching
    def __init__(self, url: str, name: str) -> None:
        super().__init__(url)
        self._storage = RedisStorage(name, url=url, blocking=False)
        self._connection = self._storage.conn
        if self._connection.type(self._storage.queue_key) == b"zset":
            self._storage = PriorityRedisStorage(name, connection_pool=self._storage.pool, blocking=False)
        self._expiring = RedisExpireStorage(name, connection_pool=self._storage.pool)

    @_reaching
    def waiting(self) -> list[Kept]:
        """The queue; see `Source`."""
        key = self._storage.queue_key
        if self._storage.priority:
            return [Kept(key, member, member[PREFIX_BYTES:]) for member in self._connection.zrange(key, 0, -1)]
        return [Kept(key, data, data) for data in self._storage.enqueued_items()]

    @_reaching
    def scheduled(self) -> list[Kept]:
        """The schedule; see `Source`."""
        return [Kept(self._storage.schedule_key, data, data) for data in self._storage.scheduled_items()]

    @_reaching
    def values(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Data under keys; see `Source`."""
        return {**self._storage.peek_many(keys), **self._expiring.peek_many(keys)}

    @_reaching
    def take_out(self, kept: Sequence[Kept]) -> int:
        """Delete messages; see `Source`."""
        with self._connection.pipeline() as steps:
            for group, place, _ in kept:
                if group == self._storage.queue_key and not self._storage.priority:
                    steps.lrem(group, -1, place)  # what would be run next stands at the end
                else:
                    steps.zrem(group, place)
            return sum(steps.execute())

    def close(self) -> None:
        """Close the connections."""
        self._storage.pool.disconnect()


class SqlSource(Source):
    """`SqliteHuey` and `PostgresHuey`."""

    def __init__(self, url: str, storage: BaseSqlStorage, mark: str, queue: str, schedule: str) -> None:
        """
        :param mark: how a parameter is written.
        :param queue: the table of waiting messages.
        :param schedule: the table of scheduled ones.
        """
        super().__init__(url)
        self._storage, self._mark, self._queue, self._schedule = storage, mark, queue, schedule

    @_reaching
    def waiting(self) -> list[Kept]:
        """The queue; see `Source`."""
        return self._rows(self._queue, "priority DESC, id")

    @_reaching
    def scheduled(self) -> list[Kept]:
        """The schedule; see `Source`."""
        return self._rows(self._schedule, "timestamp, id")

    def _rows(self, table: str, order: str) -> list[Kept]:
        query = f"SELECT id, data FROM {table} WHERE queue = {self._mark} ORDER BY {order}"
        rows = self._storage.sql(query, (self._storage.name,), results=True)
        return [Kept(table, number, bytes(data)) for number, data in rows]

    @_reaching
    def values(self, keys: Sequence[str]) -> dict[str, bytes]:
        """Data under keys; see `Source`."""
        return {key: bytes(value) for key, value in self._storage.peek_many(keys).items()}

    @_reaching
    def take_out(self, kept: Sequence[Kept]) -> int:
        """Delete messages; see `Source`."""
        count = 0
        with self._storage.db(commit=True) as cursor:
            for table, number, data in kept:
                # Its data as well: SQLite gives the numbers of deleted rows to new ones.
                cursor.execute(f"DELETE FROM {table} WHERE id = {self._mark} AND data = {self._mark}", (number, data))
                count += cursor.rowcount
        return count

    def close(self) -> None:
        """Close the connections."""
        self._storage.close()


def open_source(url: str, name: str) -> Source:
    """The queue of a plain Huey.

    :param url: where it is.
    :param name: the name of the Huey instance.
    :raises ConfigError: when the URL cannot be one.
    :raises BackendError: when it cannot be reached.
    """
    scheme = url.partition(":")[0]
    if scheme in ("redis", "rediss", "unix"):
        return RedisSource(url, name)
    if scheme == "sqlite":
        return _open_sqlite(url, name)
    if scheme in ("postgresql", "postgres"):
        postgres = PostgresStorage(name, dsn=url, blocking=False, create_tables=False)
        return SqlSource(url, postgres, "%s", postgres.table_task, postgres.table_schedule)
    raise ConfigError(f"expected the URL of a queue of plain Huey ({ACCEPTED}), got {url!r}")


def _open_sqlite(url: str, name: str) -> Source:
    path = unquote(urlsplit(url).path)[1:]
    if not os.path.isfile(path):  # SQLite would make an empty one
        raise ConfigError(f"expected the file of a SqliteHuey, such as sqlite:///huey.db; there is no {path!r}")
    sqlite = SqliteStorage(name, path, timeout=SQLITE_TIMEOUT, journal_mode=None, create_tables=False)
    return SqlSource(url, sqlite, "?", "task", "schedule")
