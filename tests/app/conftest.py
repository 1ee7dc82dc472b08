"""The application on a SQLite file and a data folder of its own; it reads its settings at import."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import ledger

_FOLDER = Path(tempfile.mkdtemp(prefix="nephew-tests-app-"))

with pytest.MonkeyPatch.context() as _environment:
    for _name, _value in {
        "DATABASE_URL": f"sqlite:///{_FOLDER / 'todo.db'}",
        "DATA_DIR": str(_FOLDER / "data"),
        "DOWNLOAD_MAX_BYTES": "1000000",
        "DOWNLOAD_TTL": "86400",
        "EXPORT_TTL": "3600",
        "MAIL_FROM": "To-do <todo@example.org>",
        "TIME_ZONE": "Europe/Berlin",
        "APP_DEMO": "",
        "REDIS_URL": "",
        "REDIS_HOST": "",
        "SMTP_URL": "",
    }.items():
        _environment.setenv(_name, _value)

    import app.main  # noqa: F401
    from app.config import settings
    from app.database import db
    from app.models import TABLES, User, create_tables
    from app.queue import huey


def pytest_unconfigure() -> None:
    shutil.rmtree(_FOLDER)


@pytest.fixture(autouse=True)
def empty_application(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test begins with empty tables and an empty data folder; no proxy stands before local servers."""
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "127.0.0.1")
    create_tables()

    yield

    # The instance lives as long as this process, and with it its worker.
    ledger.assert_in_order(ledger.of_backend(huey.backend), left={"worker"})
    for table in reversed(TABLES):
        table.delete().execute()
    huey.flush()
    db.close()
    shutil.rmtree(settings.data_dir, ignore_errors=True)


@pytest.fixture
def user() -> User:
    return User.create(name="Ada", email="ada@example.org")
