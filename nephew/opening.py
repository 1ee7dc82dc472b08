"""Which backend an instance uses: by argument, else by `NEPHEW_URL`, else a file beside the application."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from nephew.backends.contract import Backend
from nephew.errors import ConfigError
from nephew.settings import Settings, url_from

if TYPE_CHECKING:
    from peewee import Database


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
    if place.startswith(("redis:", "rediss:", "unix:", "valkey:")):
        raise ConfigError("this version keeps jobs in SQLite or PostgreSQL; a Redis URL cannot be used yet")
    if database_url is not None:
        raise ConfigError("database_url is for a queue on Redis; on SQLite and PostgreSQL the jobs are the history")
    return open_sql(name, place, None, settings.auto_migrate)


def beside_caller() -> str:
    """The folder of the module that makes the instance."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("nephew."):
        frame = frame.f_back
    path = frame.f_globals.get("__file__")
    return os.path.dirname(os.path.abspath(path)) if path else os.getcwd()
