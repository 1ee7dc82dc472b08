"""Steps that meet: what one does to a job while another holds it, or has just had it. The model found them."""

from __future__ import annotations

from nephew.backends.contract import Backend
from nephew.backends.records import Died
from tests.contract.jobs import Hand, given_back, job, jobs, parked, succeeded


def test_a_job_that_is_held_before_its_time_keeps_nobody_awake(backend: Backend):
    backend.enqueue([job("1", eta=backend.now() + 60)])

    Hand(backend).claim(ids=["1"])

    assert backend.next_due() is None


def test_a_reap_and_a_take_over_that_are_repeated_name_again_what_has_to_be_failed(backend: Backend):
    victim, retiring, heir = Hand(backend), Hand(backend), Hand(backend)
    backend.enqueue(jobs("1", "2"))
    (killer,), (once,) = victim.claim(), retiring.claim()
    backend.begin_once(retiring.number, once.seq, once.claim, 100.0)
    backend.retire(retiring.number)
    died = Died(victim.number, {(killer.seq, killer.claim): 100.0}, "killed by a test")

    doomed = [backend.reap(died, heir.number, 1, lambda task: 1) for _ in range(2)]
    lost = [backend.take_over(heir.number, 2) for _ in range(2)]

    assert [[(each.id, each.crashes) for each in reply] for reply in doomed] == [[("1", 1)]] * 2
    assert [[each.id for each in reply] for reply in lost] == [["2"]] * 2


def test_a_parked_job_that_is_being_ended_is_not_put_back(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])
    hand.settle(parked(hand.claim()[0], "unknown"))
    (claimed,) = hand.claim(ids=["1"])

    assert backend.unpark(["1"]) == 0

    assert not hand.settle(succeeded(claimed)).lost


def test_of_two_ends_in_one_settle_the_first_counts_also_when_somebody_has_asked_for_the_job_s_end(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2"))
    first, second = hand.claim(2)
    for claimed in (first, second):
        backend.ask_to_stop(claimed.id, "enough")

    settled = hand.settle(given_back(first), succeeded(first), succeeded(second), given_back(second))

    assert settled.stopped == {(second.seq, second.claim): "enough"}
    assert [held for _, held, _ in backend.held(hand.number)] == ["2"]
