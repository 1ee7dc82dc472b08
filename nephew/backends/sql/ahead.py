"""Claims and settles that PostgreSQL works on while jobs run: sent now, and answered when somebody asks.

They go over spare connections, out of the way of what the jobs ask meanwhile. Whatever goes wrong with one of them, the
step is done in the ordinary way; its number makes that harmless.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from weakref import WeakSet

from nephew.backends.records import Claimed, Outcome, Settled
from nephew.backends.sql.connection import Statement
from nephew.backends.sql.dialects import Dialect
from nephew.backends.sql.server import PatientConnection, PoolerAwareDatabase
from nephew.backends.sql.settlement import ALL_WELL, Settlement, in_order
from nephew.shield import my_shield

log = logging.getLogger("huey.nephew.sql")

#: The most spare connections of a process: for one claim and one settle. Of several threads, each with a connection of
#: its own, others run while one waits.
SPARE = 2
#: After one could not be opened, no other is for so long (seconds).
PAUSE = 10.0

T = TypeVar("T")
Rows = list[Any]


class Ahead(Settlement):
    """Claims and settles on their way."""

    def __init__(self, dialect: Dialect, name: str, auto_migrate: bool = True) -> None:
        super().__init__(dialect, name, auto_migrate)
        self._idle: list[PatientConnection] = []
        self._open: WeakSet[PatientConnection] = WeakSet()
        self._open_from = 0.0

    def claim_ahead(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = ()
    ) -> Callable[[], list[Claimed]] | None:
        """Send a claim and do not wait; see the contract."""
        answer = self._sent(lambda: self._claim(worker, claim, limit, *self._claimable(queues, ())))
        if answer is None:
            return None

        def jobs() -> list[Claimed]:
            rows = answer()
            if rows is None:
                return self.claim(worker, claim, limit, queues)
            return self._claimed(rows or self._taken_by(worker, claim))

        return jobs

    def settle_ahead(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Callable[[], Settled] | None:
        """Send outcomes and do not wait; see the contract."""
        if len(outcomes) < 2:  # of long jobs, whose workers have nothing else to do meanwhile
            return None
        ordered = in_order(outcomes)
        answer = self._sent(lambda: self._at_once(worker, number, ordered))
        if answer is None:
            return None
        return lambda: ALL_WELL if answer() else self._settle_apart(worker, number, ordered)

    def _sent(self, statement: Callable[[], Statement | None]) -> Callable[[], Rows | None] | None:
        """Send a statement. What is returned waits for its rows, None: nobody knows whether it was done.

        None: there is no such statement, or no connection for it.
        """
        database = self.database
        # How many connections an application has is its own affair.
        if not isinstance(database, PoolerAwareDatabase) or database.in_transaction():
            return None
        self._ensure_ready()
        asked = statement()
        with my_shield():
            connection = None if asked is None else self._spare(database)
        if asked is None or connection is None:
            return None
        rows = self._safely(connection, lambda: connection.send(self.dialect.sql(asked[0]), asked[1]))
        return None if rows is None else lambda: self._received(connection, rows)

    def _received(self, connection: PatientConnection, rows: Callable[[], Rows]) -> Rows | None:
        found = self._safely(connection, rows)
        if found is not None:
            self._idle.append(connection)
        return found

    def _safely(self, connection: PatientConnection, step: Callable[[], T]) -> T | None:
        """What a step of a connection returns; None: something is wrong, and the connection is closed."""
        errors: tuple[type[Exception], ...] = (*self._errors, UnicodeError, OverflowError)
        try:
            with my_shield():
                return step()
        except errors as error:
            log.debug("A step that was sent ahead is done again: %s", error)
            self._drop(connection)
            return None
        except BaseException:
            self._drop(connection)  # its answer may still come, and would be taken for the next one's
            raise

    def _spare(self, database: PoolerAwareDatabase) -> PatientConnection | None:
        """A connection that nobody uses just now, opened if need be; None: there may be no more of them."""
        try:
            return self._idle.pop()
        except IndexError:
            if len(self._open) >= SPARE or time.monotonic() < self._open_from:
                return None
        try:
            connection = database.connect_apart()
        except self._errors as error:
            log.info("No connection could be opened for claiming ahead (%s); in %g s it is tried again.", error, PAUSE)
            self._open_from = time.monotonic() + PAUSE
            return None
        self._open.add(connection)
        return connection

    def _drop(self, connection: PatientConnection) -> None:
        self._open.discard(connection)
        connection.close()

    def close(self) -> None:
        """Close what nobody uses, too; see the contract."""
        super().close()
        while self._idle:
            try:
                self._drop(self._idle.pop())
            except IndexError:
                return  # another thread was faster

    def leave(self) -> None:
        """Spare connections are no thread's own; see the contract."""
        super().close()

    def forget_connections(self) -> None:
        """In a fork's child; see the contract."""
        super().forget_connections()
        self._inherited_idle, self._idle = self._idle, []  # closing them would end the parent's
        self._open = WeakSet()
