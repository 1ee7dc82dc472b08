"""The application's database; nothing connects before the first query."""

from __future__ import annotations

from pathlib import Path

from peewee import Database, PostgresqlDatabase, SqliteDatabase

from app.config import settings

#: How long a writer waits for another one on SQLite, in seconds.
BUSY_TIMEOUT_SECONDS = 30

PRAGMAS = {"journal_mode": "wal", "synchronous": "normal", "foreign_keys": 1}


def make_database(url: str) -> Database:
    """The Peewee database of a URL that `app.config` accepted; a SQLite file's folder is made."""
    scheme, _, rest = url.partition(":///")
    if scheme != "sqlite":
        return PostgresqlDatabase(url, prefer_psycopg3=True)
    Path(rest).parent.mkdir(parents=True, exist_ok=True)
    # A transaction that reads first and writes later cannot wait for another writer; an immediate one can.
    return SqliteDatabase(rest, pragmas=PRAGMAS, timeout=BUSY_TIMEOUT_SECONDS, lock_type="immediate")


#: The one database of this process.
db = make_database(settings.database_url)
