"""The two databases' differences: how a transaction begins, how rows are locked, who is told of a write."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import lru_cache
from typing import Any, ClassVar
from urllib.parse import unquote

from peewee import OperationalError, SqliteDatabase

from nephew.backends import hosts
from nephew.backends.sql.rows import Columns, Rows, in_arrays, in_values
from nephew.backends.sql.wakeup import NotificationWatcher, SilentWatcher, channel, watch_file
from nephew.backends.watcher import Watcher
from nephew.errors import BackendError, ConfigError

try:
    import psycopg
except ImportError:  # the extra `postgres` is not installed
    psycopg = None  # type: ignore[assignment]

Run = Callable[..., Any]

#: Seconds to try to switch a new file to WAL while others do the same.
WAL_PATIENCE = 10.0
#: The first SQLite that knows RETURNING and MATERIALIZED.
OLDEST_SQLITE = (3, 35, 0)
#: In memory, ends are seen within this (seconds).
SEEN_WITHIN = 0.002
#: Seconds between two looks of those who wait behind a pooler, which lets no notification through.
DEAF_SECONDS = 0.1
#: Seconds that a fork waits for another thread's write to be over.
FORK_PATIENCE = 1.0


class Dialect:
    """What differs between the databases; everything else is one implementation."""

    #: Appended to a SELECT of rows that are about to be changed.
    for_update: ClassVar[str] = ""
    #: The same, passing over rows that another worker has locked.
    skip_locked: ClassVar[str] = ""
    #: Written before a column whose index is the wrong one; a planner that counts rows needs no telling.
    aside: ClassVar[str] = ""
    #: Arguments of Peewee's `atomic()` for a transaction that writes.
    begin: ClassVar[tuple[str, ...]] = ()
    #: Whether a read that finds nothing should come before a write that would take the lock.
    look_first: ClassVar[bool] = False
    #: Whether an open transaction that has written keeps all others from writing.
    one_writer: ClassVar[bool] = False
    heartbeats: ClassVar[bool] = True
    errors: ClassVar[tuple[type[Exception], ...]] = ()

    def __init__(self, database: Any, description: str) -> None:
        self.database, self.description = database, description

    def sql(self, text: str) -> str:
        """The statement in the driver's placeholder style (written with `?`)."""
        return text

    def contains(self, column: str) -> str:
        """The condition that a column holds a text, to the letter."""
        return f"instr({column}, ?) > 0"

    def given(self, columns: Columns) -> Iterator[Rows]:
        """Values for many rows of the table of jobs, in as few statements as there may be."""
        return in_values(columns)

    def writing(self) -> AbstractContextManager[Any]:
        """Held while a write transaction of this process is open."""
        return nullcontext()

    def forked(self) -> None:
        """In a fork's child: forget what belongs to the parent."""

    def lock_migrations(self, run: Run) -> None:
        """Let one migration at a time pass; freed with the transaction."""

    def fresh_seqs(self, run: Run, count: int) -> list[int]:
        """The next places at the back of the queue."""
        raise NotImplementedError

    def tell(self, run: Run, name: str) -> None:
        """Tell waiting consumers, once the transaction commits, that there is work."""

    #: The number of the transaction that writes; where writers take turns, the numbers of rows tell their order.
    txid: ClassVar[str] = "0"
    #: Appended to a condition on rows with a `txid`: nothing will be committed in front of these any more.
    settled: ClassVar[str] = ""
    #: The transaction before which everything is settled.
    horizon: ClassVar[str] = ""

    def telling_waiters(self, insert: str, name: str) -> tuple[str, tuple[str, ...]]:
        """A single INSERT that also tells those who wait and follow, and the parameters that it takes last."""
        return insert, ()

    def telling(self, insert: str, name: str) -> tuple[str, tuple[str, ...]]:
        """A single INSERT that also tells consumers, and the parameters that it takes last."""
        return insert, ()

    #: Whether the store's clock is another than this process's.
    has_clock: ClassVar[bool] = False

    def ahead(self, run: Run) -> float:
        """Seconds by which the store's clock is ahead of this process's monotonic one."""
        return time.time() - time.monotonic()

    def is_refusal(self, error: BaseException) -> bool:
        """Whether the store does not take a value, however often it is offered."""
        return False

    def is_in_transaction(self, connection: Any) -> bool:
        """Whether the driver's connection has a transaction open."""
        return bool(getattr(connection, "in_transaction", False))

    def is_aborted(self, connection: Any) -> bool:
        """Whether an error keeps the open transaction from being committed."""
        return False

    def is_cut_off(self, connection: Any) -> bool:
        """Whether the driver's connection was lost, and not closed here."""
        return False

    def has_snapshots(self) -> bool:
        """Whether a transaction is undone when others write to a row that it writes later."""
        return False

    def is_broken(self, error: BaseException) -> bool:
        """Whether the connection is gone and a new one may do."""
        return False

    def is_hopeless(self, error: BaseException) -> bool:
        """Whether waiting will not help: what is there is no database."""
        return False

    def is_conflict(self, error: BaseException) -> bool:
        """Whether the step was undone for the sake of another transaction, and may be tried again."""
        return False

    def is_deferred_upgrade(self, error: BaseException) -> bool:
        """Whether a caller's read transaction could not become a write transaction."""
        return False

    def watcher(self, name: str) -> Watcher:
        raise NotImplementedError

    def ends_watcher(self, name: str) -> Watcher:
        """What tells those who wait and follow."""
        raise NotImplementedError

    def run_dir(self) -> str:
        """A folder for the workers' files that all workers of this host see."""
        return hosts.run_dir()

    def is_shared(self) -> bool:
        """Whether other processes see the same jobs."""
        return True

    def prepare(self) -> None:
        """Make the file or the server ready for the tables."""

    def file(self) -> str | None:
        """The path of the database's file, if it is one that others can open."""
        return None

    def exists(self) -> bool:
        """Whether there is a place to look into without making one.

        :raises ConfigError: when it could not be made or written.
        """
        return True


class Sqlite(Dialect):
    """One file, one writer at a time, all workers on one host."""

    begin = ("IMMEDIATE",)
    aside = "+"
    look_first = True
    one_writer = True
    #: All workers share the host, and a write would not get through beside a long transaction.
    heartbeats = False
    errors = (sqlite3.Error,)

    def __init__(self, database: SqliteDatabase, description: str) -> None:
        if sqlite3.sqlite_version_info < OLDEST_SQLITE:
            oldest = ".".join(map(str, OLDEST_SQLITE))
            raise ConfigError(f"expected SQLite {oldest} or later (RETURNING), got {sqlite3.sqlite_version}")
        super().__init__(database, description)
        self._lock = threading.RLock()
        self._forking = threading.local()
        if hasattr(os, "register_at_fork"):
            _write_nothing_while_forking(self)

    @contextmanager
    def writing(self) -> Iterator[None]:
        # SQLite waits for its write lock by sleeping; threads of one process need not, and greenlets must not.
        lock = self._lock
        if not lock.acquire(timeout=self.database.timeout):
            raise OperationalError("database is locked")
        try:
            yield
        finally:
            lock.release()

    def before_fork(self) -> None:
        """No write of another thread should be inside SQLite when its memory is copied: its mutexes are as well.

        Not for ever: that thread may itself be waiting for the one that forks.
        """
        self._forking.held = self._lock if self._lock.acquire(timeout=FORK_PATIENCE) else None

    def after_fork(self) -> None:
        """In the parent: the others may write again."""
        held, self._forking.held = getattr(self._forking, "held", None), None
        if held is not None:
            held.release()

    def forked(self) -> None:
        self._lock = threading.RLock()
        self._forking = threading.local()

    def prepare(self) -> None:
        if self.file() is None:
            return
        # SQLite does not wait for this switch by itself, and consumers may start together.
        until = time.monotonic() + WAL_PATIENCE
        while True:
            try:
                self.database.execute_sql("PRAGMA journal_mode = wal")
                return
            except OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def is_refusal(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.IntegrityError | sqlite3.DataError | sqlite3.InterfaceError)

    def is_hopeless(self, error: BaseException) -> bool:
        return "file is not a database" in str(error)

    def is_shared(self) -> bool:
        return self.file() is not None

    def exists(self) -> bool:
        path = self.file()
        if path is None:
            return True
        found = os.path.exists(path)
        needed = path if found else os.path.dirname(path)
        if not os.access(needed, os.R_OK | os.W_OK):
            raise ConfigError(f"expected to be able to read and write {needed}; no job can be kept there")
        return found

    def fresh_seqs(self, run: Run, count: int) -> list[int]:
        first = (run("SELECT max(seq) FROM nephew_job").fetchone()[0] or 0) + 1
        return list(range(first, first + count))

    def is_deferred_upgrade(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.OperationalError) and "locked" in str(error)

    def watcher(self, name: str) -> Watcher:
        path = self.file()
        return watch_file(path) if path else SilentWatcher()

    def ends_watcher(self, name: str) -> Watcher:
        path = self.file()
        return watch_file(path) if path else SilentWatcher(SEEN_WITHIN)

    def run_dir(self) -> str:
        path = self.file()
        return f"{path}-workers" if path else super().run_dir()

    def file(self) -> str | None:
        path = str(self.database.database)
        if path == ":memory:" or "vfs=memdb" in path or "mode=memory" in path:
            return None
        if path.startswith("file:"):
            path = unquote(path[len("file:") :].split("?", 1)[0])
        return os.path.abspath(path)


def _write_nothing_while_forking(dialect: Sqlite) -> None:
    reference = weakref.ref(dialect)

    def before() -> None:
        found = reference()
        if found is not None:
            found.before_fork()

    def after() -> None:
        found = reference()
        if found is not None:
            found.after_fork()

    os.register_at_fork(before=before, after_in_parent=after)


class Postgres(Dialect):
    """A server with row locks and notifications."""

    has_clock = True
    for_update = " FOR UPDATE"
    skip_locked = " FOR UPDATE SKIP LOCKED"
    errors = (psycopg.Error,) if psycopg else ()

    @staticmethod
    @lru_cache(maxsize=512)
    def _translate(text: str) -> str:
        return text.replace("?", "%s")

    def sql(self, text: str) -> str:
        return self._translate(text)

    def contains(self, column: str) -> str:
        return f"strpos({column}, ?) > 0"

    def given(self, columns: Columns) -> Iterator[Rows]:
        return in_arrays(columns)

    def lock_migrations(self, run: Run) -> None:
        run("SELECT pg_advisory_xact_lock(7311873)")

    def fresh_seqs(self, run: Run, count: int) -> list[int]:
        rows = run("SELECT nextval(pg_get_serial_sequence('nephew_job', 'seq')) FROM generate_series(1, ?)", (count,))
        return sorted(row[0] for row in rows)

    def tell(self, run: Run, name: str) -> None:
        run("SELECT pg_notify(?, '')", (channel(name),))

    txid = "txid_current()"
    settled = " AND txid < txid_snapshot_xmin(txid_current_snapshot())"
    horizon = "SELECT txid_snapshot_xmin(txid_current_snapshot())"

    def telling_waiters(self, insert: str, name: str) -> tuple[str, tuple[str, ...]]:
        text = f"WITH written AS ({insert} RETURNING 1) SELECT pg_notify(?, '') FROM written"
        return text, (channel(name, "_ended"),)

    def telling(self, insert: str, name: str) -> tuple[str, tuple[str, ...]]:
        text = f"WITH written AS ({insert} RETURNING 1) SELECT pg_notify(?, '') FROM written"
        return text, (channel(name),)

    def ahead(self, run: Run) -> float:
        measured = []
        for _ in range(2):  # the first may have had to connect, and then says too much
            before = time.monotonic()
            (theirs,) = run("SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
            after = time.monotonic()
            measured.append((after - before, float(theirs) - (before + after) / 2))
        return min(measured)[1]

    def is_in_transaction(self, connection: Any) -> bool:
        status = getattr(getattr(connection, "info", None), "transaction_status", 0)
        return int(status) != 0  # idle

    def is_aborted(self, connection: Any) -> bool:
        return int(connection.info.transaction_status) == 3  # in error

    def is_cut_off(self, connection: Any) -> bool:
        return bool(getattr(connection, "broken", False))

    def has_snapshots(self) -> bool:
        return bool(getattr(self.database, "_isolation_level", None))  # the application has asked for more

    def is_refusal(self, error: BaseException) -> bool:
        # Data exceptions (the driver's own have no code), violated constraints, values beyond a limit of the server.
        if psycopg is not None and isinstance(error, psycopg.DataError):
            return True
        return str(getattr(error, "sqlstate", None) or "")[:2] in ("22", "23", "54")

    def is_broken(self, error: BaseException) -> bool:
        lost = psycopg and (psycopg.OperationalError, psycopg.InterfaceError, psycopg.InternalError)
        if not lost or not isinstance(error, lost):
            return False
        # A lock timeout or a deadlock has a code; a connection that is gone has none, 25P03 or one of class 08 or 57.
        code = getattr(error, "sqlstate", None)
        return code is None or code[:2] in ("08", "57") or code == "25P03"

    def is_conflict(self, error: BaseException) -> bool:
        return getattr(error, "sqlstate", None) in ("40001", "40P01")  # serialization failure, deadlock

    def watcher(self, name: str) -> Watcher:
        return NotificationWatcher(self.database._connect, channel(name))

    def ends_watcher(self, name: str) -> Watcher:
        return NotificationWatcher(self.database._connect, channel(name, "_ended"), DEAF_SECONDS)


__all__ = ["BackendError", "Dialect", "Postgres", "Sqlite"]
