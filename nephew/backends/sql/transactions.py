"""Transactions that belong to a job: what its function writes and the job's end are committed together."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import ExitStack

from peewee import PeeweeException

from nephew.backends.records import Outcome, Settled, Transaction
from nephew.backends.sql.connection import Run
from nephew.backends.sql.server import PatientConnection
from nephew.backends.sql.settlement import Settlement
from nephew.errors import NephewError
from nephew.shield import my_shield

log = logging.getLogger("huey.nephew.sql")


class _Undo(Exception):
    """Given to Peewee as the reason of a rollback."""


class Transactions(Settlement):
    """Begun and ended by whoever runs a job, on the connection of the calling thread."""

    def begin(self) -> Transaction:
        """Begin a transaction; see the contract."""
        self._ensure_ready()
        return self._repeated(self._begin)

    def _begin(self) -> Transaction:
        if self.database.is_closed():
            self.database.connect()
        if not self.database.in_transaction():
            self._end_stray_transaction()
        with ExitStack() as turn, ExitStack() as opened:
            if not self.database.in_transaction():
                turn.enter_context(self.dialect.writing())
            scope = self.database.atomic(*self.dialect.begin)
            opened.enter_context(scope)
            connection = self.database.connection()
            if isinstance(connection, PatientConnection):
                connection.allow_idling()
            opened.pop_all()  # it stays open
            return Transaction(connection, scope, self.database.transaction_depth(), turn.pop_all())

    def trouble(self, transaction: Transaction) -> NephewError | None:
        """Why it cannot be committed; see the contract."""
        if not self._is_open(transaction):
            return NephewError(
                "expected the job's transaction to be open still, but its function has ended it; what it wrote up to "
                "there stands or fell without the job's end: leave COMMIT and ROLLBACK to Nephew"
            )
        if self.dialect.is_aborted(transaction.connection):
            return NephewError(
                "an error of the database was caught in the job's transaction, which cannot be committed since; "
                "wrap what may fail in a savepoint (db.atomic())"
            )
        return None

    def _is_open(self, transaction: Transaction) -> bool:
        database = self.database
        if database.is_closed() or database.connection() is not transaction.connection:
            return False
        if database.transaction_depth() < transaction.depth:
            return False
        return self.dialect.is_in_transaction(transaction.connection)

    def conclude(self, worker: int, outcome: Outcome) -> Settled:
        """Apply a job's end in its own transaction; see the contract."""

        def step(run: Run, settled: Settled, applied: Sequence[Outcome]) -> Settled:
            self._forget_revocations(run, applied)
            return settled

        return self._write_ends(worker, [outcome], step)

    def commit(self, transaction: Transaction) -> None:
        """Commit it; see the contract."""
        self._trim(transaction)
        self._guarded(lambda: transaction.scope.__exit__(None, None, None))
        transaction.turn.close()

    def roll_back(self, transaction: Transaction) -> bool:
        """Undo it; see the contract."""
        with my_shield():
            try:
                self._undo(transaction)
            except self._errors as error:
                log.debug("The rollback had no answer: %s", error)
            finally:
                transaction.turn.close()
            lost = self.dialect.is_cut_off(transaction.connection)
            if lost and not self.database.in_transaction():
                self._drop_connection()
        return not lost

    def _undo(self, transaction: Transaction) -> None:
        self._trim(transaction)
        if self.database.transaction_depth() == transaction.depth:
            transaction.scope.__exit__(_Undo, _Undo(), None)
        elif not self.database.in_transaction():
            self._end_stray_transaction()

    def _trim(self, transaction: Transaction) -> None:
        """An interrupted function may have left inner ones, which are nothing but Peewee's bookkeeping."""
        while self.database.transaction_depth() > transaction.depth:
            self.database.pop_transaction()

    def is_conflict(self, error: BaseException) -> bool:
        """Whether it was undone for the sake of another one; see the contract."""
        found: BaseException | None = error
        while found is not None:
            if self.dialect.is_conflict(found):
                return True
            found = found.__cause__ or (found.__context__ if isinstance(found, PeeweeException) else None)
        return False
