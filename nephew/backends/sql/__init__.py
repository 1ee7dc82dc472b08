"""Jobs in SQLite or PostgreSQL: one implementation through Peewee, two small dialects."""

from __future__ import annotations

from peewee import Database

from nephew.backends.contract import Backend
from nephew.backends.sql.ahead import Ahead
from nephew.backends.sql.decisions import Decisions
from nephew.backends.sql.dialects import Dialect
from nephew.backends.sql.events import Events
from nephew.backends.sql.locks import Locks
from nephew.backends.sql.pruning import Pruning
from nephew.backends.sql.transactions import Transactions
from nephew.backends.sql.urls import dialect_of, open_url
from nephew.backends.sql.waiting import Waiting
from nephew.backends.sql.workers import Workers
from nephew.backends.watcher import Watcher


class SqlBackend(Ahead, Transactions, Workers, Waiting, Locks, Decisions, Pruning, Events, Backend):
    """All nouns of a backend on one database."""

    def watcher(self) -> Watcher:
        """What tells a consumer of writes; see the contract."""
        return self.dialect.watcher(self.name)

    def ends_watcher(self) -> Watcher:
        """What tells of ends and events; see the contract."""
        return self.dialect.ends_watcher(self.name)

    def run_dir(self) -> str:
        """The folder of the workers' files; see the contract."""
        return self.dialect.run_dir()


def open_sql(name: str, url: str | None, database: Database | None, auto_migrate: bool) -> SqlBackend:
    """The SQL backend of an instance; connects to nothing.

    :raises ConfigError: when the URL or the database cannot be used.
    """
    dialect: Dialect = open_url(url or "") if database is None else dialect_of(database)
    return SqlBackend(dialect, name, auto_migrate or dialect.look_first)


__all__ = ["SqlBackend", "open_sql"]
