"""Where the running test keeps its instances, and the look at their books (tests/ledger.py) when it is over."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import ledger


def left_by(test: pytest.Item) -> frozenset[str]:
    """The kinds of entries that a test leaves on purpose."""
    left = frozenset(kind for mark in test.iter_markers("leaves") for kind in mark.args)
    kinds = ledger.LASTING | ledger.HELD
    assert left <= kinds, f"expected leaves() with some of {sorted(kinds)}, got {sorted(left)}"
    return left


def after_each_test(kinds: Collection[str]) -> Any:
    """A fixture, to be given a name: it fails each test that has passed and left entries of these kinds."""

    @pytest.fixture(autouse=True)
    def books(request: pytest.FixtureRequest) -> Iterator[Visit]:
        left = left_by(request.node)
        failed = request.session.testsfailed

        with visiting() as visit:
            yield visit

            if request.session.testsfailed == failed:
                given = request.node.funcargs
                found = visit.entries(given.get("name", ""), given.get("tmp_path"))
                try:
                    ledger.assert_in_order((entry for entry in found if entry.kind in kinds), left)
                except AssertionError as error:
                    pytest.fail(str(error), pytrace=False)

    return books


class Visit:
    """Where one test keeps its instances."""

    def __init__(self) -> None:
        self._opened: set[str] = set()
        self._seen: set[str] = set()
        self._found: list[ledger.Entry] = []

    def open(self, url: str) -> None:
        self._opened.add(url)

    def see(self, url: str, found: Iterable[ledger.Entry]) -> None:
        """This was found there, which may be gone when the test is over."""
        self._found += found
        self._seen.add(url)

    def entries(self, name: str, folder: Path | None) -> Iterator[ledger.Entry]:
        """Those of all instances: in SQLite files, and on servers under names that begin like this."""
        yield from self._found
        files = {Path(_file_of(url)) for url in self._opened if url.startswith("sqlite:///")}
        files |= set(folder.rglob("*.db") if folder else ())
        for file in filter(Path.is_file, files):
            yield from ledger.of_file(file)
        for url in self._opened:
            if name and not url.startswith(("sqlite:", "memory:")):
                yield from self._on_server(url, name)

    def _on_server(self, url: str, name: str) -> Iterator[ledger.Entry]:
        try:
            yield from ledger.of_server(url, name)
        except ledger.GONE as error:
            assert url in self._seen, f"nobody looked at the books of {url} before it was gone: {error}"


def _file_of(url: str) -> str:
    return url.removeprefix("sqlite:///").partition("?")[0]


_visits: list[Visit] = []


@contextlib.contextmanager
def visiting() -> Iterator[Visit]:
    """What is opened and seen meanwhile is of this visit."""
    _visits.append(Visit())
    try:
        yield _visits[-1]
    finally:
        _visits.pop()


def opened(url: str) -> None:
    """The test that is running keeps instances there."""
    for visit in _visits[-1:]:
        visit.open(url)


def seen(url: str, found: Iterable[ledger.Entry] = ()) -> None:
    """The test that is running has looked at its books there, and has found this."""
    for visit in _visits[-1:]:
        visit.see(url, found)


def look(url: str) -> None:
    """Look at all instances of a server that the test which is running has to itself, before it is taken away."""
    opened(url)
    with contextlib.suppress(*ledger.GONE):
        seen(url, ledger.of_server(url, "") if _visits else ())
