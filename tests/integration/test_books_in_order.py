"""That the check after each test (tests/ledger.py) looks where the test has been, however it got there."""

from __future__ import annotations

from pathlib import Path

import pytest

from nephew import endings
from nephew.endings import Finished
from nephew.lane import Lane
from tests import ledger, visits
from tests.consumers import Bench


def test_a_claim_that_a_test_leaves_is_found(
    cell: tuple[Bench, str], books_in_order: visits.Visit, name: str, tmp_path: Path
) -> None:
    bench, _ = cell
    bench.tasks.note("left")
    claimed = Lane(bench.huey.worker).next()
    assert claimed is not None

    with pytest.raises(AssertionError, match=r"claim: .* is held by worker"):
        ledger.assert_in_order(books_in_order.entries(name, tmp_path))

    bench.huey.settle(Finished(endings.given_back(claimed)))
