"""Which backend an instance uses: by argument, else by `NEPHEW_URL`, else a file beside the application."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nephew.backends.contract import Backend
from nephew.errors import ConfigError
from nephew.settings import Settings, database_url_from, url_from

if TYPE_CHECKING:
    from peewee import Database

    from nephew.backends.sql.archive import Archive


def open_backend(
    name: str,
    url: str | None,
    database: Database | None,
    database_url: str | None,
    beside: str,
    settings: Settings,
    environ: Mapping[str, str] = os.environ,
) -> Backend:
    """The backend of an instance; connects to nothing.

    :param beside: the folder where `nephew.db` is made when nothing else is said.
    :raises ConfigError: when the place cannot be used, or two are given.
    """
    # Loaded here and not with `import nephew`: a backend brings its driver, which takes its time.
    from nephew.backends.sql import open_sql

    if url is not None and database is not None:
        raise ConfigError("expected either a url or a database, got both; a database says where the jobs live")
    if database is not None:
        return open_sql(name, None, database, settings.auto_migrate)
    place = url or url_from(environ) or f"sqlite:///{os.path.join(beside, 'nephew.db')}"
    if not isinstance(place, str) or ":" not in place:
        raise ConfigError(f"expected a URL like sqlite:///file.db or postgresql://user@host/database, got {place!r}")
    if place.startswith(("redis", "rediss", "unix:", "valkey")):
        from nephew.backends.redis import open_redis

        return open_redis(name, place, settings)
    if database_url is not None:
        raise ConfigError("database_url is for a queue on Redis; on SQLite and PostgreSQL the jobs are the history")
    return open_sql(name, place, None, settings.auto_migrate)


def open_store(
    backend: Backend, database_url: str | None, settings: Settings, environ: Mapping[str, str] = os.environ
) -> Archive | None:
    """Where the history of a queue goes that keeps only so much of it; connects to nothing. None: nowhere.

    :raises ConfigError: when the place cannot be used.
    """
    from nephew.backends.sql.archive import open_archive

    place = database_url or database_url_from(environ)
    if place is None or backend.keeps is None:
        return None
    if not isinstance(place, str) or ":" not in place:
        raise ConfigError(f"expected database_url to be a URL like postgresql://user@host/database, got {place!r}")
    store = open_archive(backend.name, place, settings.auto_migrate)
    if not store.shared:
        raise ConfigError("expected database_url to be a database that outlives this process, got memory://")
    return store


def beside_caller() -> str:
    """The folder of the module that makes the instance."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("nephew."):
        frame = frame.f_back
    path = frame.f_globals.get("__file__")
    return os.path.dirname(os.path.abspath(path)) if path else os.getcwd()
