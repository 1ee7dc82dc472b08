"""A connection of the application's own, through which the backend's statements go for a while.

Its transaction is the application's: nothing here commits it or rolls it back.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from typing import Any, ClassVar

from peewee import PostgresqlDatabase, SqliteDatabase

from nephew.backends.sql.dialects import Dialect, Sqlite
from nephew.errors import ConfigError, NephewError

try:
    import psycopg
    from psycopg.rows import tuple_row
except ImportError:  # the extra `postgres` is not installed
    psycopg = None  # type: ignore[assignment]

#: What tells a database from all others, and its tables from those of another schema.
IDENTITY = (
    "SELECT extract(epoch FROM pg_postmaster_start_time())::float8, current_database(),"
    " to_regclass('nephew_job')::oid::int8"
)
AUTOCOMMIT = (
    "expected a connection with an open transaction, got one that commits each statement by itself; begin a "
    "transaction around it (Django: transaction.atomic(), SQLAlchemy: engine.begin(), SQLite: BEGIN IMMEDIATE)"
)


class Loan:
    """A connection that was lent to one flow of control, as a database of Peewee's."""

    def __init__(self, database: LentSqlite | LentPostgres) -> None:
        self.database = database
        self._borrower = _flow()

    def is_here(self) -> bool:
        """Whether the caller is whom it was lent to. A task of asyncio inherits the context of who made it."""
        return self._borrower == _flow()


def _flow() -> tuple[int, int, Any]:
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop runs in this thread
        task = None
    return os.getpid(), threading.get_ident(), task


class _Lent:
    """What both kinds have in common: there is one connection, and a transaction of its owner's is open on it."""

    def __init__(self, connection: Any) -> None:
        self._lent = connection
        super().__init__("the application's", thread_safe=False)  # type: ignore[call-arg]  # Peewee's class, behind it, takes it

    def _connect(self) -> Any:
        return self._lent

    def check_transaction(self) -> None:
        """:raises NephewError: when what is written would be committed at once."""
        if not self.is_begun() and not self.begins_by_itself():
            raise NephewError(AUTOCOMMIT)

    def is_begun(self) -> bool:
        raise NotImplementedError

    def begins_by_itself(self) -> bool:
        raise NotImplementedError


class LentSqlite(_Lent, SqliteDatabase):
    """A connection of the driver `sqlite3`."""

    wanted: ClassVar[str] = "a connection to SQLite (sqlite3)"

    @staticmethod
    def is_one(connection: Any) -> bool:
        """Whether the driver is the right one."""
        return isinstance(connection, sqlite3.Connection)

    def cursor(self, named_cursor: str | None = None) -> Any:
        """A cursor that gives tuples, whatever the application has set for its own."""
        cursor = sqlite3.Cursor(self._lent)
        cursor.row_factory = None
        return cursor

    def savepoint(self) -> Any:
        """A savepoint of the owner's transaction, begun here if the driver would have begun it with a write."""
        self.check_transaction()
        if not self.is_begun():  # releasing a savepoint that stands alone is a commit
            self.cursor().execute("BEGIN IMMEDIATE")
        return super().savepoint()

    def is_begun(self) -> bool:
        """Whether the owner's transaction is open."""
        return bool(self._lent.in_transaction)

    def begins_by_itself(self) -> bool:
        """Whether the driver begins one before it writes."""
        return self._lent.isolation_level is not None and getattr(self._lent, "autocommit", -1) is not True

    def is_same(self, dialect: Dialect, own: Any) -> bool:
        """Whether it is connected to the instance's own file."""
        file, own_file = self.cursor().execute("PRAGMA database_list").fetchone()[2], dialect.file()
        return bool(file and own_file) and os.path.realpath(file) == os.path.realpath(str(own_file))


class LentPostgres(_Lent, PostgresqlDatabase):
    """A connection of the driver psycopg 3."""

    wanted: ClassVar[str] = "a connection to PostgreSQL (psycopg 3)"

    @staticmethod
    def is_one(connection: Any) -> bool:
        """Whether the driver is the right one."""
        return psycopg is not None and isinstance(connection, psycopg.Connection)

    def cursor(self, named_cursor: str | None = None) -> Any:
        """A cursor that gives tuples, whatever the application has set for its own."""
        return psycopg.Cursor(self._lent, row_factory=tuple_row)

    def savepoint(self) -> Any:
        """A savepoint of the owner's transaction."""
        self.check_transaction()
        return super().savepoint()

    def is_begun(self) -> bool:
        """Whether the owner's transaction is open."""
        return bool(self._lent.info.transaction_status != psycopg.pq.TransactionStatus.IDLE)

    def begins_by_itself(self) -> bool:
        """Whether the driver begins one with any statement."""
        return not self._lent.autocommit

    def is_same(self, dialect: Dialect, own: Any) -> bool:
        """Whether it is connected to the instance's own database and sees the same tables."""
        return bool(self.cursor().execute(IDENTITY).fetchone() == own.execute_sql(IDENTITY).fetchone())


def driver_connection(given: Any) -> Any:
    """The driver's connection in what an application has: Django's wrapper, SQLAlchemy's Connection or Session.

    :raises NephewError: when SQLAlchemy would not know of the transaction.
    :raises ConfigError: for an asynchronous connection.
    """
    if LentSqlite.is_one(given) or LentPostgres.is_one(given):
        return given
    if hasattr(given, "__aenter__"):
        raise ConfigError(f"expected a synchronous connection, got {given!r}")
    if hasattr(given, "ensure_connection"):  # Django
        given.ensure_connection()
        return given.connection
    if hasattr(given, "driver_connection"):  # SQLAlchemy's pooled connection
        return given.driver_connection
    if callable(getattr(given, "connection", None)):  # SQLAlchemy's Session, Peewee's Database
        return driver_connection(given.connection())
    if hasattr(given, "connection") and callable(getattr(given, "in_transaction", None)):  # SQLAlchemy's Connection
        if not given.in_transaction():  # it would not commit what it has not begun
            raise NephewError(AUTOCOMMIT)
        return driver_connection(given.connection)
    return given


def borrow(dialect: Dialect, connection: Any) -> LentSqlite | LentPostgres:
    """A database of Peewee's that consists of this connection, inside of its transaction.

    :raises ConfigError: when it is no connection to such a database.
    :raises NephewError: when it has no transaction open.
    """
    kind = LentSqlite if isinstance(dialect, Sqlite) else LentPostgres
    if not kind.is_one(connection):
        raise ConfigError(f"expected {kind.wanted}, for the jobs are in {dialect.description}; got {connection!r}")
    database = kind(connection)
    database.connect()
    database.push_transaction("the application's")
    database.check_transaction()
    return database
