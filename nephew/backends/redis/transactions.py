"""The application's transactions, which are in another place than the jobs: each call says so."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, NoReturn

from nephew.backends.records import Outcome, Settled, Transaction
from nephew.backends.redis.connection import Connected
from nephew.errors import ConfigError, NephewError


class Transactions(Connected):
    """What a backend without transactions of the application's answers."""

    transactions = False

    def in_transaction(self) -> bool:
        """Never; see the contract."""
        return False

    def inside(self, connection: Any) -> AbstractContextManager[None]:
        """Refuse a connection of the application's own; see the contract."""
        raise ConfigError(
            f"expected the jobs to be in the database of {connection!r}, but they are on {self.description}: they "
            "cannot be enqueued in its transaction; enqueue after the commit, or keep the jobs in that database"
        )

    def begin(self) -> Transaction:
        """Refuse a job's own transaction; see the contract."""
        self._refuse()

    def trouble(self, transaction: Transaction) -> NephewError | None:
        """Refuse it; see the contract."""
        self._refuse()

    def conclude(self, worker: int, outcome: Outcome) -> Settled:
        """Refuse it; see the contract."""
        self._refuse()

    def commit(self, transaction: Transaction) -> None:
        """Refuse it; see the contract."""
        self._refuse()

    def roll_back(self, transaction: Transaction) -> bool:
        """Refuse it; see the contract."""
        self._refuse()

    def is_conflict(self, error: BaseException) -> bool:
        """Scripts run one after the other; see the contract."""
        return False

    def _refuse(self) -> NoReturn:
        raise NephewError(f"jobs on {self.description} have no transactions; they do where jobs are in a SQL database")
