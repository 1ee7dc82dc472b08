"""Claims and settles that PostgreSQL works on while jobs run: sent now, and answered when somebody asks.

They go over spare connections, out of the way of what the jobs ask meanwhile. Whatever goes wrong with one of them, the
step is done in the ordinary way; its number makes that harmless.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar
from weakref import finalize

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
PAUSE = 60.0
#: How long one may take to open (seconds): who waits for it has another one.
OPENING = 2

T = TypeVar("T")
Rows = list[Any]


class Ahead(Settlement):
    """Claims and settles on their way."""

    def __init__(self, dialect: Dialect, name: str, auto_migrate: bool = True) -> None:
        super().__init__(dialect, name, auto_migrate)
        #: The places of those that nobody uses just now; None: it is not open.
        self._spares: list[PatientConnection | None] = [None] * SPARE
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
            self._spares.append(connection)
        return found

    def _safely(self, connection: PatientConnection, step: Callable[[], T]) -> T | None:
        """What a step of a connection returns; None: something is wrong, and the connection is closed."""
        errors: tuple[type[Exception], ...] = (*self._errors, UnicodeError, OverflowError)
        try:
            with my_shield():
                return step()
        except errors as error:
            log.debug("A step that was sent ahead is done again: %s", error)
            connection.close()
            return None
        except BaseException:
            connection.close()  # its answer may still come, and would be taken for the next one's
            raise

    def _spare(self, database: PoolerAwareDatabase) -> PatientConnection | None:
        """A connection that nobody uses just now, opened if need be; None: there may be no more of them."""
        try:
            idle = self._spares.pop()
        except IndexError:
            return None
        return idle or self._opened(database)

    def _opened(self, database: PoolerAwareDatabase) -> PatientConnection | None:
        """One more connection, whose place is free again when it is gone; None: it cannot be opened now."""
        if time.monotonic() >= self._open_from:
            try:
                connection = database.connect_apart(OPENING)
                finalize(connection, self._spares.append, None).atexit = False
                return connection
            except self._errors as error:
                log.info("No connection could be opened to claim ahead (%s); in %g s it is tried again.", error, PAUSE)
                self._open_from = time.monotonic() + PAUSE
        self._spares.append(None)
        return None

    def close(self) -> None:
        """Close what nobody uses, too; see the contract."""
        super().close()
        for idle in [connection for connection in self._spares if connection is not None]:
            with suppress(ValueError):  # somebody uses it now
                self._spares.remove(idle)
                idle.close()

    def leave(self) -> None:
        """Spare connections are no thread's own; see the contract."""
        super().close()

    def forget_connections(self) -> None:
        """In a fork's child; see the contract."""
        super().forget_connections()
        self._inherited, self._spares = self._spares, [None] * SPARE  # closing them would end the parent's
