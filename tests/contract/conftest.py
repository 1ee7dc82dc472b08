"""What the contract tests run against: every backend, once each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.lane import Lane
from nephew.opening import open_backend
from nephew.settings import Settings
from tests import ledger, visits
from tests.places import BACKENDS, on

#: Runs all that waits, as a consumer's thread does.
Work = Callable[[Nephew], int]


#: Many of these tests end amid the work; the rest has to be right at every moment.
books_in_order = visits.after_each_test(ledger.LASTING)

#: Where jobs are kept; in memory they are seen by one instance only (else there is `backend_url`).
url = on("memory", *BACKENDS)


@pytest.fixture
def backend(url: str, name: str) -> Iterator[Backend]:
    backend = open_backend(name, url, None, None, "", Settings())
    yield backend
    backend.close()


@pytest.fixture
def make_huey(backend_url: str, name: str) -> Iterator[Callable[..., Nephew]]:
    """Makes instances that share a database; they are signed off at the end."""
    made: list[Nephew] = []

    def make(name: str = name, **options: Any) -> Nephew:
        given = {} if "database" in options else {"url": backend_url}
        made.append(Nephew(name, **{**given, **options}))
        return made[-1]

    yield make

    for huey in made:
        end(huey)


@pytest.fixture
def huey(url: str, name: str) -> Iterator[Nephew]:
    huey = Nephew(name, url)
    yield huey
    end(huey)


def end(huey: Nephew) -> None:
    huey.sign_off()
    huey.backend.close()


@pytest.fixture
def work() -> Work:
    return _work


def _work(huey: Nephew) -> int:
    lane = Lane(huey.worker)
    count = 0
    try:
        while (claimed := lane.next()) is not None:
            lane.run(claimed)
            count += 1
    finally:
        lane.close()
    return count
