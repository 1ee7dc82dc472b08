"""SQLite without room: what finished is not settled yet, is not lost, and is not run again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nephew import BackendError, Nephew
from tests.contract.conftest import Work, end

#: More pages than SQLite allows.
ROOM = 1 << 30


@pytest.fixture
def full(sqlite_url: str, name: str) -> Iterator[Nephew]:
    huey = Nephew(name, sqlite_url)
    yield huey
    allow(huey, ROOM)
    end(huey)


def allow(huey: Nephew, pages: int) -> None:
    """Let the database have so many pages, or as many as it has."""
    huey.backend.database.execute_sql(f"PRAGMA max_page_count = {pages}")


def test_an_end_that_finds_no_room_is_settled_when_there_is_some(full: Nephew, work: Work):
    runs = []

    @full.task(name="bulky")
    def bulky() -> str:
        runs.append("ran")
        return "x" * 400_000

    result = bulky()
    allow(full, 1)
    for _ in range(2):
        with pytest.raises(BackendError, match="database or disk is full"):
            work(full)
    assert result.state != "succeeded"

    allow(full, ROOM)
    work(full)

    assert (result.state, runs) == ("succeeded", ["ran"])


def test_a_call_that_finds_no_room_is_refused_and_leaves_nothing(full: Nephew, work: Work):
    length = full.task(name="length")(len)
    length("")
    allow(full, 1)

    with pytest.raises(BackendError, match="database or disk is full"):
        length("x" * 400_000)

    allow(full, ROOM)
    assert work(full) == 1
