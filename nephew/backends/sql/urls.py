"""Which database is meant: by a URL, or by the application's own Peewee database."""

from __future__ import annotations

import os
import re
import sqlite3
import uuid
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from peewee import Database, PostgresqlDatabase, SqliteDatabase

from nephew.backends.sql.dialects import Dialect, Postgres, Sqlite
from nephew.backends.sql.server import PoolerAwareDatabase
from nephew.errors import ConfigError

try:
    import psycopg
except ImportError:  # the extra `postgres` is not installed
    psycopg = None  # type: ignore[assignment]

#: Passwords that a PostgreSQL URI carries in its query, or a connection string as words.
SECRET = re.compile(r"(password=)('[^']*'|[^&\s]*)", re.IGNORECASE)
#: Seconds to wait for SQLite's write lock before giving up.
SQLITE_TIMEOUT = 60.0


def dialect_of(database: Database) -> Dialect:
    """The dialect of the application's own Peewee database.

    :raises ConfigError: when it is neither SQLite nor PostgreSQL.
    """
    actual = getattr(database, "obj", database)  # a Peewee Proxy holds its database in `obj`
    if isinstance(actual, SqliteDatabase):
        return Sqlite(actual, f"sqlite {_place(actual.database)}")
    if isinstance(actual, PostgresqlDatabase):
        return Postgres(actual, f"postgresql {_place(actual.database)}")
    raise ConfigError(
        f"expected database to be a Peewee SqliteDatabase or PostgresqlDatabase, got {actual!r}"
        + (" (initialise the proxy before Nephew is used)" if actual is None else "")
    )


def open_url(url: str) -> Dialect:
    """The dialect for `sqlite:///file`, `memory://` or a PostgreSQL URI; connects to nothing.

    :raises ConfigError: when the URL is of no such form.
    """
    scheme = url.split(":", 1)[0].lower()
    if scheme == "memory":
        return _memory()
    if scheme == "sqlite":
        return _sqlite(url)
    if scheme in ("postgresql", "postgres"):
        return _postgres(url)
    raise ConfigError(
        f"expected a URL like sqlite:///file.db, postgresql://user@host/database or memory://, got {_place(url)!r}"
    )


def _memory() -> Dialect:
    place = f"file:/nephew-{uuid.uuid4().hex}?vfs=memdb"
    database = SqliteDatabase(place, uri=True, timeout=SQLITE_TIMEOUT, check_same_thread=False)
    dialect = Sqlite(database, "memory")
    # The memory lives as long as a connection to it is open.
    dialect.anchor = sqlite3.connect(place, uri=True, check_same_thread=False)  # type: ignore[attr-defined]
    return dialect


def _sqlite(url: str) -> Dialect:
    rest = url.split(":", 1)[1]
    if not rest.startswith("///"):
        raise ConfigError(f"expected sqlite:///file.db (or sqlite:////absolute/file.db), got {url!r}")
    path, _, query = rest[3:].partition("?")
    path = unquote(path)
    if not path:
        raise ConfigError(f"expected a file in sqlite:///file.db, got {url!r}; for tests there is memory://")
    options = dict(parse_qsl(query, keep_blank_values=True))
    synchronous = options.pop("synchronous", "normal").lower()
    if synchronous not in ("off", "normal", "full", "extra"):
        raise ConfigError(f"expected synchronous to be off, normal, full or extra, got {synchronous!r}")
    timeout = options.pop("timeout", str(SQLITE_TIMEOUT))
    try:
        seconds = float(timeout)
    except ValueError:
        raise ConfigError(f"expected timeout to be a number of seconds, got {timeout!r}") from None
    if options:
        raise ConfigError(f"expected only synchronous and timeout after ? in {url!r}, got {', '.join(options)}")
    path = os.path.abspath(path)
    database = SqliteDatabase(path, timeout=seconds, pragmas={"synchronous": synchronous})
    return Sqlite(database, f"sqlite {path}")


def _postgres(url: str) -> Dialect:
    if psycopg is None:
        raise ConfigError("PostgreSQL needs psycopg: install nephew[postgres]")
    url = "postgresql" + url[url.index(":") :]
    try:
        database = PoolerAwareDatabase(url)
    except psycopg.ProgrammingError as error:
        raise ConfigError(f"expected a PostgreSQL URI, got {_place(url)!r}: {str(error).strip()}") from None
    return Postgres(database, f"postgresql {_place(url)}")


def _place(url: Any) -> str:
    """A URL or file name without its password."""
    text = SECRET.sub(r"\1…", str(url))
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
        password = parts.password
    except ValueError:
        return text.split("://", 1)[0] + "://…"
    return text.replace(f":{password}@", ":…@", 1) if password else text
