"""A bench for each test: an instance of its own, real consumers on it, and its books checked at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.consumers import Bench


@contextmanager
def open_bench(request: pytest.FixtureRequest, url: str, name: str, folder: Path) -> Iterator[Bench]:
    bench = Bench(url, name, folder)
    failed = request.session.testsfailed
    try:
        yield bench
        if request.session.testsfailed == failed:
            bench.close()
    finally:
        bench.abandon()
        print(bench.logs())  # shown when the test has failed


@pytest.fixture
def bench(request: pytest.FixtureRequest, backend_url: str, name: str, tmp_path: Path) -> Iterator[Bench]:
    """Once on every backend."""
    with open_bench(request, backend_url, name, tmp_path) as opened:
        yield opened


@pytest.fixture
def sqlite_bench(request: pytest.FixtureRequest, sqlite_url: str, name: str, tmp_path: Path) -> Iterator[Bench]:
    with open_bench(request, sqlite_url, name, tmp_path) as opened:
        yield opened


@pytest.fixture
def postgres_bench(request: pytest.FixtureRequest, postgres_url: str, name: str, tmp_path: Path) -> Iterator[Bench]:
    with open_bench(request, postgres_url, name, tmp_path) as opened:
        yield opened


@pytest.fixture
def cell(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Iterator[tuple[Bench, str]]:
    """A bench and a kind of workers; see `CELLS`."""
    backend, kind = request.param
    url = str(request.getfixturevalue(f"{backend}_url"))
    with open_bench(request, url, name, tmp_path) as opened:
        yield opened, kind


#: Every kind of workers and every backend; each pair of them only at full size.
CELLS = [
    pytest.param(("sqlite", "thread"), id="sqlite-thread"),
    pytest.param(("sqlite", "process"), id="sqlite-process"),
    pytest.param(("postgres", "process"), id="postgres-process"),
    pytest.param(("postgres", "greenlet"), id="postgres-greenlet"),
    pytest.param(("postgres", "thread"), id="postgres-thread", marks=pytest.mark.long),
    pytest.param(("sqlite", "greenlet"), id="sqlite-greenlet", marks=pytest.mark.long),
]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", CELLS, indirect=True)
