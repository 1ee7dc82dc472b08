"""The ledger: what is finished is settled once, oldest first, whoever adds and flushes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from nephew.backends.records import Holder, Outcome, Settled
from nephew.endings import Finished
from nephew.errors import BackendError, Refused
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
    ledger = Ledger(Store(), within=60)
    fullness = []
    for seq in range(FULL):
        fullness.append(ledger.is_due())
        ledger.add(finished(seq))

    assert not any(fullness)
    assert ledger.is_due()


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


class Waiting(Store):
    """A store that answers only when it is asked for the answer."""

    def __init__(self, refusals: int = 0, reply: Settled = NOTHING_LOST) -> None:
        super().__init__(refusals, reply)
        self.sent: list[list[int]] = []
        self.lost = False

    def ahead(self, outcomes: Sequence[Outcome]) -> Callable[[], Settled]:
        self.sent.append([outcome.seq for outcome in outcomes])
        return self.answer

    def answer(self) -> Settled:
        if self.lost:
            raise BackendError("the answer is lost")
        return self.reply


def ledger_of(store: Waiting, within: float = 60) -> Ledger:
    return Ledger(store, within, settle_ahead=store.ahead)


def test_the_answer_to_what_was_sent_is_waited_for_by_the_next_flush():
    store = Waiting(reply=Settled({}, ("after",)))
    ledger = ledger_of(store)
    entries = [ledger.add(finished(seq)) for seq in (1, 2)]

    ledger.send()
    unanswered = [entry.settled for entry in entries], len(ledger)
    ledger.flush()

    assert unanswered == ([False, False], 2)
    assert [entry.enqueued for entry in entries] == [("after",)] * 2
    assert (store.sent, store.asked, len(ledger)) == ([[1, 2]], [], 0)


def test_only_one_batch_is_without_an_answer():
    store = Waiting()
    ledger = ledger_of(store)
    first = ledger.add(finished(1))
    ledger.send()
    second = ledger.add(finished(2))

    ledger.send()

    assert (first.settled, second.settled) == (True, False)
    assert store.sent == [[1], [2]]


def test_what_was_sent_is_repeated_when_its_answer_is_lost():
    store = Waiting()
    ledger = ledger_of(store)
    first = ledger.add(finished(1))
    ledger.send()
    second = ledger.add(finished(2))
    store.lost = True

    with pytest.raises(BackendError):
        ledger.send()
    age = ledger.age()
    ledger.send()

    assert age == float("inf")
    assert (store.sent, store.asked) == ([[1], [2]], [[1]])
    assert (first.settled, second.settled) == (True, False)


def test_what_was_sent_and_not_answered_grows_old():
    ledger = ledger_of(Waiting(), within=0.001)
    ledger.add(finished(1))
    ledger.send()

    eventually(ledger.is_due)
    ledger.flush()

    assert not ledger.is_due()


def test_a_store_that_wants_to_be_waited_for_settles_at_once():
    store = Store()
    ledger = Ledger(store, settle_ahead=lambda outcomes: None)
    entries = [ledger.add(finished(seq)) for seq in range(BATCH + 1)]

    ledger.send()

    assert all(entry.settled for entry in entries)
    assert len(ledger) == 0


class Choosy(Store):
    """Refuses any batch with a certain job in it that has not failed; forgets to answer to one step."""

    def __init__(self, unwanted: int, unanswered: int) -> None:
        super().__init__()
        self.unwanted, self.unanswered = unwanted, unanswered

    def __call__(self, outcomes: Sequence[Outcome]) -> Settled:
        self.asked.append([outcome.seq for outcome in outcomes])
        if any(outcome.seq == self.unwanted and outcome.state is not State.FAILED for outcome in outcomes):
            raise Refused("its text")
        if len(self.asked) == self.unanswered:
            raise BackendError("it is down")
        return NOTHING_LOST


def test_a_step_for_one_job_that_is_not_answered_is_repeated_for_that_job_alone():
    store = Choosy(unwanted=2, unanswered=3)
    ledger = Ledger(store)
    entries = [ledger.add(finished(seq)) for seq in (2, 1, 3)]

    with pytest.raises(BackendError):
        ledger.flush()
    ledger.flush()

    assert store.asked == [[2, 1, 3], [2], [2], [2], [1, 3]]
    assert [entry.settled for entry in entries] == [True] * 3
    assert [entry.finished.outcome.state for entry in entries] == [State.FAILED, State.SUCCEEDED, State.SUCCEEDED]


def test_what_replaces_the_end_of_a_stopped_job_is_repeated_alone():
    asked: list[list[str]] = []

    def settle(outcomes: Sequence[Outcome]) -> Settled:
        asked.append([outcome.state for outcome in outcomes])
        if len(asked) == 2:
            raise BackendError("it is down")
        return Settled({}, (), stopped={(2, 1): "enough"}) if len(asked) == 1 else NOTHING_LOST

    def cancelled(finished: Finished, reason: str) -> Finished:
        return Finished(finished.outcome._replace(state=State.CANCELLED, reason=reason))

    ledger = Ledger(settle, overruled=cancelled)
    entries = [ledger.add(finished(seq)) for seq in (1, 2)]

    with pytest.raises(BackendError):
        ledger.flush()
    ledger.flush()

    assert asked == [[State.SUCCEEDED] * 2, [State.CANCELLED], [State.CANCELLED]]
    assert [entry.settled for entry in entries] == [True, True]
