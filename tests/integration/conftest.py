"""A bench for each test: an instance of its own, real consumers on it, and its books checked at the end."""

from __future__ import annotations

import ctypes
import os
import subprocess
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests import ledger, visits
from tests.consumers import Bench
from tests.places import BACKENDS

books_in_order = visits.after_each_test(ledger.LASTING | ledger.HELD)


@contextmanager
def open_bench(request: pytest.FixtureRequest, url: str, name: str, folder: Path) -> Iterator[Bench]:
    bench = Bench(url, name, folder)
    failed = request.session.testsfailed
    try:
        yield bench
        if request.session.testsfailed == failed:
            bench.close(visits.left_by(request.node))
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
def redis_bench(request: pytest.FixtureRequest, redis_url: str, name: str, tmp_path: Path) -> Iterator[Bench]:
    with open_bench(request, redis_url, name, tmp_path) as opened:
        yield opened


@pytest.fixture
def cell(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Iterator[tuple[Bench, str]]:
    """A bench and a kind of workers; see `cells`."""
    backend, kind = request.param
    url = str(request.getfixturevalue(f"{backend}_url"))
    with open_bench(request, url, name, tmp_path) as opened:
        yield opened, kind


#: `mount(8)` with these arguments.
Mount = Callable[..., None]

#: What `unshare(2)` and `setns(2)` call a process's own mounts.
MOUNTS = 0x00020000


@pytest.fixture
def mount() -> Iterator[Mount]:
    """Mounts what only this process and its children see, and only until the end of the test."""
    libc, here = ctypes.CDLL(None, use_errno=True), Path.cwd()
    with open("/proc/thread-self/ns/mnt") as outside:
        if libc.unshare(MOUNTS):
            pytest.skip("mounting takes root")
        try:
            _mount("--make-rprivate", "/")
            yield _mount
        finally:
            assert libc.setns(outside.fileno(), MOUNTS) == 0
            os.chdir(here)


def _mount(*arguments: object) -> None:
    subprocess.run(["mount", *map(str, arguments)], check=True)


KINDS = ("thread", "process", "greenlet")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        places = getattr(metafunc.module, "PLACES", BACKENDS)
        metafunc.parametrize("cell", cells(metafunc.function.__name__, places), indirect=True)


def cells(test: str, places: Sequence[str]) -> list[Any]:
    """Every kind of workers, each on one of these backends in turn; on all of them only at full size."""
    first = zlib.crc32(test.encode())
    return [
        pytest.param((place, kind), id=f"{place}-{kind}", marks=[pytest.mark.long] if turn % len(places) else [])
        for number, kind in enumerate(KINDS)
        for turn, place in enumerate(places, first + number)
    ]
