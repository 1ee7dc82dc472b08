"""A bench for each test: an instance of its own, real consumers on it, and its books checked at the end."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    """A bench and a kind of workers; see `cells`."""
    backend, kind = request.param
    url = str(request.getfixturevalue(f"{backend}_url"))
    with open_bench(request, url, name, tmp_path) as opened:
        yield opened, kind


KINDS = ("thread", "process", "greenlet")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", cells(metafunc.function.__name__), indirect=True)


def cells(test: str) -> list[Any]:
    """Every kind of workers, in turn on the one and the other backend; on both only at full size."""
    first = zlib.crc32(test.encode()) % 2
    found = []
    for number, kind in enumerate(KINDS):
        here, there = ("sqlite", "postgres") if (number + first) % 2 else ("postgres", "sqlite")
        found.append(pytest.param((here, kind), id=f"{here}-{kind}"))
        found.append(pytest.param((there, kind), id=f"{there}-{kind}", marks=pytest.mark.long))
    return found
