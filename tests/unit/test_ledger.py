"""The ledger: what is finished is settled once, oldest first, whoever adds and flushes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from nephew.backends.records import Holder, Outcome, Settled
from nephew.endings import Finished
from nephew.errors import BackendError
from nephew.job import State
from nephew.ledger import BATCH, FULL, Ledger
from tests.eventually import eventually

NOTHING_LOST = Settled({}, ())


class Store:
    """Notes the batches that it is asked to settle; refuses as often as it is told to."""

    def __init__(self, refusals: int = 0, reply: Settled = NOTHING_LOST) -> None:
        self.asked: list[list[int]] = []
        self.refusals, self.reply = refusals, reply

    def __call__(self, outcomes: Sequence[Outcome]) -> Settled:
        self.asked.append([outcome.seq for outcome in outcomes])
        if self.refusals:
            self.refusals -= 1
            raise BackendError("it is down")
        return self.reply


def finished(seq: int) -> Finished:
    return Finished(Outcome(seq, f"job {seq}", 1, State.SUCCEEDED))


def test_what_was_added_is_settled_together_in_order():
    store = Store()
    ledger = Ledger(store)
    entries = [ledger.add(finished(seq)) for seq in (3, 1, 2)]

    waiting = len(ledger)
    ledger.flush()

    assert (waiting, len(ledger)) == (3, 0)
    assert store.asked == [[3, 1, 2]]
    assert [(entry.settled, entry.lost) for entry in entries] == [(True, False)] * 3


def test_a_flush_of_nothing_asks_nobody():
    store = Store()

    Ledger(store).flush()

    assert store.asked == []


def test_a_lost_claim_is_told_with_its_token_and_that_which_replaced_it(caplog: pytest.LogCaptureFixture):
    ledger = Ledger(Store(reply=Settled({(2, 1): Holder(7, 3)}, ("after",))))
    kept, lost = ledger.add(finished(1)), ledger.add(finished(2))

    ledger.flush()

    assert (kept.lost, lost.lost) == (False, True)
    assert kept.enqueued == ("after",)
    assert "Job job 2 ended as succeeded, but its claim 1 had been taken over by claim 3 of worker 7" in caplog.text


def test_a_batch_without_an_answer_is_repeated_unchanged_before_anything_else():
    store = Store(refusals=2)
    ledger = Ledger(store)
    first = ledger.add(finished(1))
    with pytest.raises(BackendError):
        ledger.flush()
    second = ledger.add(finished(2))

    waiting, settled = len(ledger), first.settled
    with pytest.raises(BackendError):
        ledger.flush()
    ledger.flush()

    assert (waiting, settled) == (2, False)
    assert store.asked == [[1], [1], [1], [2]]
    assert first.settled and second.settled and len(ledger) == 0


def test_a_batch_has_an_end():
    store = Store()
    ledger = Ledger(store)
    for seq in range(BATCH + 1):
        ledger.add(finished(seq))

    ledger.flush()

    assert [len(batch) for batch in store.asked] == [BATCH, 1]


def test_the_age_is_that_of_the_oldest():
    ledger = Ledger(Store(refusals=1))
    nothing = ledger.age()
    ledger.add(finished(1))
    eventually(lambda: ledger.age() > 0)
    before = ledger.age()
    ledger.add(finished(2))

    assert nothing == 0.0
    assert ledger.age() >= before
    with pytest.raises(BackendError):
        ledger.flush()
    assert ledger.age() == float("inf"), "what is unanswered is due at once"
    ledger.flush()
    assert ledger.age() == 0.0


def test_many_that_wait_need_not_wait_for_their_age():
    ledger = Ledger(Store())
    fullness = []
    for seq in range(FULL):
        fullness.append(ledger.is_full())
        ledger.add(finished(seq))

    assert not any(fullness)
    assert ledger.is_full()


def test_nothing_is_dropped_while_some_add_and_others_flush():
    store = Store()
    ledger = Ledger(store)
    adders, each = 3, 4000
    over = threading.Event()
    interval = sys.getswitchinterval()

    def add(start: int) -> None:
        for seq in range(start, start + each):
            ledger.add(finished(seq))

    def flush() -> None:
        while not over.is_set():
            ledger.flush()

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(adders + 2) as pool:
            flushing = [pool.submit(flush) for _ in range(2)]
            list(pool.map(add, range(0, adders * each, each)))
            over.set()
            for future in flushing:
                future.result()
    finally:
        sys.setswitchinterval(interval)
    ledger.flush()

    settled = [seq for batch in store.asked for seq in batch]
    assert len(settled) == adders * each
    assert set(settled) == set(range(adders * each))
    assert ledger.age() == 0.0
