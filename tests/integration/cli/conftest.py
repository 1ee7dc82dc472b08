"""The application for each test, and its module in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.shop import Shop, opened


@pytest.fixture
def shop(tmp_path: Path, name: str, sqlite_url: str) -> Shop:
    return Shop(tmp_path, name, sqlite_url)


@pytest.fixture
def everywhere(tmp_path: Path, name: str, backend_url: str) -> Shop:
    """The same on every backend."""
    return Shop(tmp_path, name, backend_url)


@pytest.fixture
def module(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    with opened(shop, monkeypatch) as found:
        yield found
