"""The one way to the database: reads, and write transactions that are repeated when a connection was lost."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from operator import attrgetter, methodcaller
from typing import Any, TypeVar

from peewee import PeeweeException

from nephew.backends.records import Schema
from nephew.backends.sql import migrations
from nephew.backends.sql.dialects import Dialect
from nephew.backends.sql.loan import Loan, borrow, driver_connection
from nephew.errors import BackendError, ConfigError, NephewError, Refused, SchemaError
from nephew.shield import my_shield

log = logging.getLogger("huey.nephew.sql")

#: How often a step is tried again that lost a deadlock to another.
MOST_MEETINGS = 6

#: A server's clock is looked at again after this (seconds).
CLOCK_SECONDS = 60.0

#: A full disk makes SQLite undo a transaction by itself; what Peewee's rollback then fails with hides the reason.
UNDONE = "no transaction is active"

#: Of psycopg: how the server is to hand values over.
BINARY = 1

#: What of a cursor is the answer to a statement.
_ROWS: Callable[[Any], list[Any]] = methodcaller("fetchall")
_COUNT: Callable[[Any], int] = attrgetter("rowcount")

T = TypeVar("T")
Run = Callable[..., Any]
#: With its parameters.
Statement = tuple[str, tuple[Any, ...]]


class Connected:
    """Base of the backend's nouns: the database, its dialect and the instance's name."""

    def __init__(self, dialect: Dialect, name: str, auto_migrate: bool = True) -> None:
        self.dialect, self.name = dialect, name
        self._own = dialect.database
        self._loan: ContextVar[Loan | None] = ContextVar("nephew_loan", default=None)
        self.description = dialect.description
        self.heartbeats = dialect.heartbeats
        self.one_writer, self.snapshots = dialect.one_writer, dialect.has_snapshots()
        self.shared = dialect.is_shared()
        self._auto_migrate = auto_migrate
        self._ready = False
        #: By how much the store's clock is ahead of this process's monotonic one, and when that was measured.
        self._ahead, self._asked_at = 0.0, None  # type: float, float | None
        self._errors: tuple[type[Exception], ...] = (*dialect.errors, PeeweeException)

    @property
    def database(self) -> Any:
        """Where this thread's statements go: the instance's own database, or the connection it was lent."""
        loan = self._loan.get()
        return self._own if loan is None or not loan.is_here() else loan.database

    def now(self) -> float:
        """The store's clock. Between two looks at a server's it is told by a clock that nobody sets."""
        if not self.dialect.has_clock:
            return time.time()
        if self._asked_at is None:
            self.measure_clock()
        elif time.monotonic() - self._asked_at > CLOCK_SECONDS:
            with suppress(BackendError):  # while the store is away, the last measurement will do
                self.measure_clock()
        return time.monotonic() + self._ahead

    def measure_clock(self) -> None:
        """Look at the store's clock anew."""
        self._ahead = self._guarded(lambda: self.dialect.ahead(self._run))
        self._asked_at = time.monotonic()

    def read(self, sql: str, params: Sequence[Any] = ()) -> list[Any]:
        """The rows of a SELECT."""
        self._ensure_ready()
        return self._repeated(lambda: self._run(sql, params).fetchall())

    def write(self, step: Callable[[Run], T], again: Callable[[Run], T] | None = None) -> T:
        """Run `step` in one transaction (a savepoint of the caller's, if there is one).

        :param again: run instead when the step is repeated on a new connection. The lost one may have hidden that
            it was committed; without this, the step itself must be safe to repeat.
        """
        self._ensure_ready()
        return self._repeated(lambda: self._transaction(step), lambda: self._transaction(again or step))

    def write_one(self, sql: str, params: Sequence[Any], unless: Callable[[], list[Any]] = list) -> list[Any]:
        """A single writing statement with RETURNING: its rows.

        :param unless: asked before the statement is repeated on a new connection; rows of its stand for it.
        """
        return self._once(lambda: self._single(sql, params, _ROWS), unless)

    def write_count(self, sql: str, params: Sequence[Any], unless: Callable[[], int]) -> int:
        """A single writing statement: how many rows it wrote, or tells of; see `write_one`."""
        return self._once(lambda: self._single(sql, params, _COUNT), unless)

    def _once(self, step: Callable[[], T], unless: Callable[[], T]) -> T:
        self._ensure_ready()
        return self._repeated(step, lambda: unless() or step())

    def _single(self, sql: str, params: Sequence[Any], answer: Callable[[Any], T]) -> T:
        if self.database.in_transaction():
            with self.database.atomic():  # a statement that fails must not take the caller's transaction with it
                return answer(self._run(sql, params))
        with self.dialect.writing():
            return answer(self._run(sql, params))

    def _transaction(self, step: Callable[[Run], T]) -> T:
        if self.database.in_transaction():
            with self.database.atomic():
                return step(self._run)
        self._end_stray_transaction()
        with self.dialect.writing(), self.database.atomic(*self.dialect.begin):
            return step(self._run)

    def _end_stray_transaction(self) -> None:
        """An interrupted step may have left a transaction open that Peewee does not know of; nobody else ends it."""
        if not self.database.is_closed() and self.dialect.is_in_transaction(self.database.connection()):
            log.warning("A transaction had been left open by an interrupted step; it is rolled back.")
            self.database.rollback()

    def _run(self, sql: str, params: Sequence[Any] = (), many: bool = False) -> Any:
        if self.database.is_closed():
            self.database.connect()
        cursor: Any = self.database.cursor()
        if hasattr(cursor, "format"):  # psycopg 3, which is handed bytes as hexadecimal text otherwise
            cursor.format = BINARY
        if many:
            cursor.executemany(self.dialect.sql(sql), params)
        else:
            cursor.execute(self.dialect.sql(sql), params)
        return cursor

    def _repeated(self, step: Callable[[], T], again: Callable[[], T] | None = None) -> T:
        """Repeat a step whose connection was lost, once, and one that met another transaction, a few times."""
        inside, connected = self.database.in_transaction(), not self.database.is_closed()
        for meetings in range(MOST_MEETINGS):
            try:
                return self._guarded(step)
            except BackendError as error:
                root = _root(error)
                if not inside and self.dialect.is_broken(root):
                    if connected:
                        log.info("The connection to the database was lost (%s); connecting again.", root)
                    break
                if inside or not self.dialect.is_conflict(root):
                    raise
                time.sleep(random.random() * 0.01 * 2**meetings)
        return self._guarded(again or step)

    def _guarded(self, step: Callable[[], T]) -> T:
        inside = self.database.in_transaction()
        try:
            with my_shield():
                return step()
        except self._errors as error:
            raise self._explained(error, inside) from error
        except (UnicodeError, OverflowError) as error:  # a value that the driver cannot pass on
            raise Refused(f"{self.description} cannot store a value: {error}") from error

    def _explained(self, error: Exception, inside: bool) -> NephewError:
        root = _root(error)
        if self.dialect.is_hopeless(root):
            return ConfigError(f"{self.description} cannot be used: {root}")
        if not inside and self.dialect.is_broken(root):
            self._drop_connection()
        if inside and self.dialect.is_deferred_upgrade(root):
            return BackendError(
                "the transaction around this call only reads so far and could not become a writing one "
                "(database is locked); begin it with db.atomic('IMMEDIATE')"
            )
        words = f"{self.description}: {str(root).strip() or type(root).__name__}"
        return Refused(words) if self.dialect.is_refusal(root) else BackendError(words)

    def _drop_connection(self) -> None:
        try:
            self.database.close()
        except Exception as error:  # it is broken already
            log.debug("Closing the lost connection: %s", error)

    # -- tables -------------------------------------------------------------------------------------
    def migrate(self) -> tuple[int, int]:
        """Create the tables or bring them up to date; see the contract."""

        def step() -> tuple[int, int]:
            inside = self.database.in_transaction()
            if not inside:  # SQLite's log cannot be switched on inside one
                self.dialect.prepare()
            with nullcontext() if inside else self.dialect.writing(), self.database.atomic(*self.dialect.begin):
                return migrations.migrate(self.database, lambda: self.dialect.lock_migrations(self._run))

        versions = self._guarded(step)
        if not self.database.in_transaction():
            self._ready = True
        return versions

    def schema(self) -> Schema:
        """The versions of the tables; see the contract."""
        found = self._guarded(lambda: migrations.version(self.database)) if self.dialect.exists() else 0
        return Schema(found, migrations.LATEST, self._auto_migrate)

    def _ensure_ready(self) -> None:
        if self._ready:
            return
        self.dialect.exists()  # says clearly when there can be no such file
        found = self._repeated(lambda: migrations.version(self.database))
        if found == migrations.LATEST:
            self._ready = not self.database.in_transaction()  # else they may be taken back with it
        elif self._auto_migrate or found > migrations.LATEST:
            self.migrate()
        else:
            raise SchemaError(
                f"expected tables of version {migrations.LATEST}, got version {found}; run `nephew migrate`"
            )

    def in_transaction(self) -> bool:
        """Whether the caller is inside a transaction; see the contract."""
        return bool(self.database.in_transaction())

    @contextmanager
    def inside(self, connection: Any) -> Iterator[None]:
        """Lend a connection of the application's own to this thread's statements; see the contract."""
        lent = driver_connection(connection)
        if self.database.in_transaction():
            self._check_is_the_same(lent)
            yield
            return
        loan = Loan(borrow(self.dialect, lent))
        self._check_place(loan)
        token = self._loan.set(loan)
        try:
            yield
        finally:
            self._loan.reset(token)

    def _check_is_the_same(self, connection: Any) -> None:
        if self.database.connection() is not connection:
            raise NephewError(
                "expected the connection whose transaction is open here already, got another one; two of them would "
                "wait for each other: end the first transaction, or enqueue inside of it"
            )

    def _check_place(self, loan: Loan) -> None:
        """Refuse a connection to a database where the instance's jobs are not."""
        if not self.dialect.one_writer:
            self._ensure_ready()  # SQLite's tables are made in the application's transaction, if they have to be
        if not self._guarded(lambda: loan.database.is_same(self.dialect, self._own)):
            raise ConfigError(
                f"expected a connection to the instance's own database ({self.description}), got one to another; "
                "jobs could not be committed together with what is written there"
            )

    # -- connections --------------------------------------------------------------------------------
    def close(self) -> None:
        """Close the calling thread's connection, unless its transaction is still open."""
        if not self.database.is_closed() and not self.database.in_transaction():
            self.database.close()

    def forget_connections(self) -> None:
        """Drop the parent's connections without a word to the server; see the contract."""
        self._loan.set(None)
        self._inherited = getattr(self._own, "_state").conn  # noqa: B009  # closing it would end the parent's
        if getattr(self._own, "thread_safe", True):
            self._own._lock = threading.Lock()  # a thread that stayed with the parent may have held it
        self._own.dispose()
        self.dialect.forked()


def _root(error: BaseException) -> BaseException:
    """The driver's error under Peewee's and ours."""
    while error.__cause__ is not None and isinstance(error, BackendError | PeeweeException):
        error = error.__cause__
    hides = isinstance(error, PeeweeException) or UNDONE in str(error)
    return _root(error.__context__) if hides and error.__context__ else error
