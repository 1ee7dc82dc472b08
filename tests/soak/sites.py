"""The places that a soak runs on: what may happen to them, and what they can tell of themselves."""

from __future__ import annotations

import os
import random
import sqlite3
import time

import psycopg

from tests.consumers import Bench
from tests.servers import PostgresServer, RedisServer
from tests.soak.faults import MOMENT, Fault


class Site:
    """A place where jobs are kept.

    :ivar name: what the report calls it.
    :ivar url: its URL.
    """

    name = ""

    def __init__(self, url: str) -> None:
        self.url = url

    def faults(self, rng: random.Random) -> list[Fault]:
        """What may happen to it at any time."""
        raise NotImplementedError

    def slow_faults(self) -> list[Fault]:
        """What may happen to it in a long run."""
        return []

    def end_all_connections(self) -> None:
        """End them; whoever needs one makes a new one. A pool keeps as many as were once needed at the same time."""

    def connections(self, bench: Bench) -> int:
        """How many connections there are, but for those of the test's own process."""
        raise NotImplementedError

    def size(self) -> int:
        """How many bytes it takes."""
        raise NotImplementedError


class SqliteSite(Site):
    """A file."""

    name = "sqlite"

    @property
    def path(self) -> str:
        return self.url.removeprefix("sqlite:///")

    def faults(self, rng: random.Random) -> list[Fault]:
        def lock_the_file() -> None:
            database = sqlite3.connect(self.path, isolation_level=None, timeout=30)
            database.execute("BEGIN IMMEDIATE")
            time.sleep(rng.uniform(*MOMENT))
            database.execute("ROLLBACK")
            database.close()

        return [lock_the_file]

    def connections(self, bench: Bench) -> int:
        """Descriptors of the file."""
        pids = [pid for consumer in bench.consumers if consumer.is_running() for pid in consumer.group()]
        links = [f"/proc/{pid}/fd/{number}" for pid in pids for number in os.listdir(f"/proc/{pid}/fd")]
        return sum(os.readlink(link) == self.path for link in links)

    def size(self) -> int:
        return os.path.getsize(self.path)


class PostgresSite(Site):
    """A database of a server."""

    name = "postgresql"

    def __init__(self, server: PostgresServer) -> None:
        super().__init__(server.url)
        self._server = server

    def faults(self, rng: random.Random) -> list[Fault]:
        return [self.end_all_connections]

    def end_all_connections(self) -> None:
        self._ask("SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity" + OTHERS)

    def slow_faults(self) -> list[Fault]:
        def restart_the_server() -> None:
            self._server.restart()

        return [restart_the_server]

    def connections(self, bench: Bench) -> int:
        bench.huey.close()
        return self._ask("SELECT count(*) FROM pg_stat_activity" + OTHERS)

    def size(self) -> int:
        return self._ask("SELECT pg_database_size(current_database())")

    def _ask(self, question: str) -> int:
        with psycopg.connect(self._server.url, autocommit=True) as connection:
            return int(connection.execute(question).fetchall()[0][0])


OTHERS = " WHERE datname = current_database() AND pid <> pg_backend_pid()"


class RedisSite(Site):
    """A server of its own."""

    name = "redis"

    def __init__(self, server: RedisServer) -> None:
        super().__init__(server.url)
        self._server = server

    def faults(self, rng: random.Random) -> list[Fault]:
        def forget_the_scripts() -> None:
            with self._server.client() as client:
                client.script_flush()

        return [self.end_all_connections, forget_the_scripts]

    def end_all_connections(self) -> None:
        with self._server.client() as client:
            for kind in ("normal", "pubsub"):
                client.client_kill_filter(_type=kind)

    def slow_faults(self) -> list[Fault]:
        def restart_the_server() -> None:
            self._server.restart()

        return [restart_the_server]

    def connections(self, bench: Bench) -> int:
        bench.huey.close()
        with self._server.client() as client:
            return len(client.client_list()) - 1

    def size(self) -> int:
        with self._server.client() as client:
            return int(client.info("memory")["used_memory"])
