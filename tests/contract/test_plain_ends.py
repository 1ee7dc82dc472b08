"""Jobs that succeeded and bring nothing but a result, which most are: stores may end them by a shorter way."""

from __future__ import annotations

from nephew.backends.contract import Backend
from nephew.backends.records import Claimed, Holder, Outcome, Settled
from tests.contract.jobs import Hand, again, failed, given_back, job, jobs, succeeded


def ended(claimed: Claimed, **changes: object) -> Outcome:
    return succeeded(claimed, task=claimed.task, forget=(f"r:{claimed.id}",), **changes)


def told(backend: Backend) -> list[tuple[str, str, str, str | None]]:
    """What was told of ends: job, task, state, worker."""
    return [(each.job, each.task, each.state, each.worker) for batch in backend.events("0") for each in batch.events]


def test_ends_of_several_tasks_and_claims_become_true_in_one_step_and_in_their_order(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("a", task="send"), job("b", task="send"), job("c", task="post"), job("d", task="send")])
    claimed = [*hand.claim(3), *hand.claim(1)]

    assert hand.settle(*map(ended, claimed)) == Settled({}, ())

    assert told(backend) == [
        ("a", "send", "succeeded", "here"),
        ("b", "send", "succeeded", "here"),
        ("c", "post", "succeeded", "here"),
        ("d", "send", "succeeded", "here"),
    ]
    assert [backend.outcome(id) for id in "abcd"] == [("succeeded", b"result", None)] * 4
    assert backend.held(hand.number) == []


def test_an_end_without_a_result_and_without_a_place_where_it_was_run_is_kept_as_well(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("a")])

    hand.settle(ended(*hand.claim(), result=None, worker=None))

    row = backend.row("a")
    assert (row.state, row.result, row.worker_label, row.attempts) == ("succeeded", None, None, 1)
    assert (row.started_at, row.finished_at) == (100.0, 101.5)


def test_a_settle_that_is_repeated_changes_nothing(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("a", "b"))
    ends = [ended(claimed) for claimed in hand.claim(2)]

    replies = [backend.settle(hand.number, 1, ends) for _ in range(2)]

    assert replies == [Settled({}, ())] * 2
    assert [id for id, *_ in told(backend)] == ["a", "b"]


def test_of_ends_of_which_one_was_lost_the_others_stand(backend: Backend):
    hand, heir = Hand(backend), Hand(backend)
    backend.enqueue(jobs("a", "b"))
    mine, lost = hand.claim(2)
    backend.settle(hand.number, 1, [given_back(lost)])
    (theirs,) = heir.claim()

    reply = backend.settle(hand.number, 2, [ended(mine), ended(lost, result=b"of the one who lost it")])

    assert reply.lost == {(lost.seq, lost.claim): Holder(heir.number, theirs.claim)}
    assert backend.outcome("a")[0] == "succeeded"
    assert backend.outcome("b")[0] == "queued"


def test_what_ends_beside_a_lost_one_is_counted_and_told_once(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("a", "b", "c"))
    fine, lost, bad = hand.claim(3)
    backend.settle(hand.number, 1, [given_back(lost)])

    reply = backend.settle(hand.number, 2, [ended(fine), ended(lost), failed(bad, task=bad.task)])

    assert set(reply.lost) == {(lost.seq, lost.claim)}
    assert [backend.row(id).attempts for id in "abc"] == [1, 0, 1]
    assert [attempt.outcome for attempt in backend.attempts("c")] == ["failed"]
    assert [(id, state) for id, _, state, _ in told(backend)] == [("a", "succeeded"), ("c", "failed")]


def test_of_ends_of_which_one_was_to_be_stopped_the_others_stand(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("a", "b"))
    mine, stopped = hand.claim(2)
    backend.ask_to_stop("b", "not needed")

    reply = hand.settle(ended(mine), ended(stopped))

    assert reply.stopped == {(stopped.seq, stopped.claim): "not needed"}
    assert backend.outcome("a")[0] == "succeeded"
    assert [id for _, id, _ in backend.held(hand.number)] == ["b"]


def test_of_two_ends_of_a_claim_the_first_counts(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("a"))
    (claimed,) = hand.claim()

    hand.settle(ended(claimed, result=b"first"), ended(claimed, result=b"second"))

    assert backend.outcome("a")[1] == b"first"
    assert len(told(backend)) == 1


def test_ends_are_told_of_jobs_with_any_ids(backend: Backend):
    ids = ['say "hi"', "back\\slash", "tab\there", "näher", "plain"]
    hand = Hand(backend)
    backend.enqueue(jobs(*ids))

    hand.settle(*map(ended, hand.claim(5)))

    assert [id for id, *_ in told(backend)] == ids
    assert {backend.outcome(id)[0] for id in ids} == {"succeeded"}


def test_a_job_that_had_failed_before_keeps_only_its_last_end(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("a", unique_key="key")])
    (claimed,) = hand.claim()
    hand.settle(again(claimed, result=b"error"))

    hand.settle(ended(*hand.claim()))

    assert backend.outcome("a") == ("succeeded", b"result", None)
    assert backend.row("a").attempts == 2
    assert not backend.enqueue([job("b", unique_key="key")])[0].duplicate


def test_a_revocation_that_came_too_late_is_gone_with_the_end(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("a"))
    (claimed,) = hand.claim()
    backend.put("r:a", b"revoked")

    hand.settle(ended(claimed))

    assert backend.peek(["r:a"]) == {}
