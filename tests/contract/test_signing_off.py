"""A worker that was taken for dead while it was stopped, and ends before it has signed on anew."""

from __future__ import annotations

import os

from nephew import Nephew, endings
from nephew.backends.records import Claimed, Died
from nephew.endings import Finished
from tests.contract.jobs import Hand


def taken_for_dead(huey: Nephew) -> tuple[str, Claimed]:
    """Its file, and what it had claimed."""
    worker = huey.worker
    huey.task()(lambda: None)()
    (claimed,) = worker.claim(worker.next_claim(), 1)
    Hand(huey.backend).is_reaped(Died(worker.number, {}, "it was stopped", charged=False))
    return worker.presence.path, claimed


def test_it_leaves_no_file_when_it_has_heard_of_it(huey: Nephew):
    path, claimed = taken_for_dead(huey)
    huey.settle(Finished(endings.given_back(claimed)))

    huey.sign_off()

    assert not os.path.exists(path)


def test_it_leaves_no_file_when_it_hears_of_it_as_it_ends(huey: Nephew):
    path, claimed = taken_for_dead(huey)
    huey.worker.ledger.add(Finished(endings.given_back(claimed)))

    huey.sign_off()

    assert not os.path.exists(path)
