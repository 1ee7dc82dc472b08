"""The stores: empty places for jobs, and what only the server behind them can tell."""

from __future__ import annotations

import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import psycopg
from redis import Redis

from benchmarks.driver import database, postgres_version, redis_program, redis_version, running
from benchmarks.growth.comparisons import POSTGRES, REDIS, SQLITE
from benchmarks.processes import family
from tests.servers import PostgresServer, RedisServer

T = TypeVar("T")


class Store(ABC):
    """One kind of store, with its server if it needs one."""

    @abstractmethod
    def version(self) -> str:
        """The version of its server, or library."""

    @abstractmethod
    def place(self, number: int, folder: Path) -> AbstractContextManager[str]:
        """The URL of an empty place in it; what was put there is gone after the block.

        :param number: no other place of this number is open.
        :param folder: for what has no server.
        """

    def pids(self) -> list[int]:
        """The processes of its server."""
        return []

    def rest(self, url: str) -> None:  # noqa: B027 - most have nothing to do here
        """Let it do now what is left to do in the background after much was written."""

    @abstractmethod
    def size(self, url: str) -> int:
        """The bytes that it takes, on its disk or in its memory, and perhaps those of other places."""

    @abstractmethod
    def hand_out(self, url: str, value: bytes, count: int) -> float:
        """The seconds in which its driver gets so many of these values back, in one bare statement."""


class SqliteStore(Store):
    """A file for each place."""

    def version(self) -> str:
        """The library's."""
        return sqlite3.sqlite_version

    @contextmanager
    def place(self, number: int, folder: Path) -> Iterator[str]:
        """In this folder, with which it goes."""
        yield f"sqlite:///{folder / 'nephew.db'}"

    def rest(self, url: str) -> None:
        """Write the log into the file."""
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()

    def size(self, url: str) -> int:
        """The file, with what has not come to it from the log."""
        path = Path(url.removeprefix("sqlite:///"))
        return sum(each.stat().st_size for each in path.parent.glob(f"{path.name}*") if each.is_file())

    def hand_out(self, url: str, value: bytes, count: int) -> float:
        """From a table of its own, in a file of its own."""
        path = Path(url.removeprefix("sqlite:///")).with_name("bare.db")
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA journal_mode = wal")
            connection.execute("CREATE TABLE bare (value BLOB)")
            connection.executemany("INSERT INTO bare VALUES (?)", [(value,)] * count)
            connection.commit()
            return _seconds(lambda: connection.execute("SELECT value FROM bare").fetchall())
        finally:
            connection.close()
            path.unlink()


class PostgresStore(Store):
    """A database for each place."""

    def __init__(self, server: PostgresServer) -> None:
        self._server = server

    def version(self) -> str:
        """The server's."""
        return postgres_version(self._server)

    def place(self, number: int, folder: Path) -> AbstractContextManager[str]:
        """An empty database."""
        return database(self._server, f"growth_{number}")

    def pids(self) -> list[int]:
        """The server with a process for each connection."""
        return family(self._server.pid)

    def rest(self, url: str) -> None:
        """What autovacuum and the checkpointer would do at some time or other."""
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE")
            connection.execute("CHECKPOINT")

    def size(self, url: str) -> int:
        """All tables and indexes of the database."""
        with psycopg.connect(url) as connection:
            (size,) = connection.execute("SELECT pg_database_size(current_database())").fetchone() or (0,)
            return int(size)

    def hand_out(self, url: str, value: bytes, count: int) -> float:
        """From a table of its own."""
        with psycopg.connect(url) as connection:
            connection.execute("CREATE TEMPORARY TABLE bare (value bytea)")
            connection.cursor().executemany("INSERT INTO bare VALUES (%s)", [(value,)] * count)
            cursor = connection.cursor(binary=True)
            return _seconds(lambda: cursor.execute("SELECT value FROM bare").fetchall())


class RedisStore(Store):
    """A numbered database for each place."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server

    def version(self) -> str:
        """The server's."""
        return redis_version(self._server)

    @contextmanager
    def place(self, number: int, folder: Path) -> Iterator[str]:
        """One of the numbered databases."""
        url = f"{self._server.url.rpartition('/')[0]}/{number}"
        try:
            yield url
        finally:
            with Redis.from_url(url) as client:
                client.flushdb()

    def pids(self) -> list[int]:
        """The server alone."""
        return [self._server.pid]

    def size(self, url: str) -> int:
        """The memory that is used by all places."""
        with Redis.from_url(url) as client:
            return int(client.info("memory")["used_memory"])

    def hand_out(self, url: str, value: bytes, count: int) -> float:
        """From keys of their own."""
        with Redis.from_url(url) as client:
            keys = [f"bare:{number}" for number in range(count)]
            for key in keys:
                client.set(key, value)
            try:
                return _seconds(lambda: client.mget(keys))
            finally:
                client.delete(*keys)


def _seconds(read: Callable[[], object]) -> float:
    started = time.perf_counter()
    read()
    return time.perf_counter() - started


@contextmanager
def opened(backend: str) -> Iterator[Store]:
    """A store of this kind; its server is gone after the block."""
    if backend == SQLITE:
        yield SqliteStore()
    elif backend == POSTGRES:
        with running(PostgresServer()) as postgres:
            yield PostgresStore(postgres)
    elif backend == REDIS:
        with running(RedisServer(redis_program())) as redis:
            yield RedisStore(redis)
    else:
        raise ValueError(f"expected one of {SQLITE}, {POSTGRES}, {REDIS}, got {backend}")
