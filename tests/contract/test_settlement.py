"""The end of a claim: everything that an outcome brings becomes true with it, or nothing does."""

from __future__ import annotations

import pytest

from nephew.backends.contract import Backend
from nephew.backends.records import AttemptRow, Holder, Never, Row
from nephew.job import State
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, again, failed, given_back, job, jobs, parked, succeeded


def row_of(backend: Backend, job_id: str) -> Row:
    row = backend.row(job_id)
    assert row is not None
    return row


def test_a_success_is_recorded_with_its_result(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])

    settled = hand.settle(succeeded(hand.claim()[0]))

    row = row_of(backend, "1")
    assert (settled.lost, settled.enqueued) == ({}, ())
    assert (row.state, row.result, row.attempts, row.worker_label) == ("succeeded", b"result", 1, "here")
    assert (row.started_at, row.finished_at) == (100.0, 101.5)
    assert backend.outcome("1") == ("succeeded", b"result", None)
    assert backend.attempts("1") == [], "a success is told by the job's own row"


def test_each_failed_attempt_is_recorded(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])

    hand.settle(again(hand.claim()[0], error="first"))
    hand.settle(failed(hand.claim()[0], error="last"))

    row = row_of(backend, "1")
    assert (row.state, row.attempts, row.error) == ("failed", 2, "last")
    assert backend.attempts("1") == [
        AttemptRow(1, 100.0, 101.5, "here", "failed", "first", "Traceback"),
        AttemptRow(2, 100.0, 101.5, "here", "failed", "last", "Traceback"),
    ]


def test_the_next_attempt_is_given_the_new_message_and_keeps_the_id(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])

    hand.settle(again(hand.claim()[0]))
    (second,) = hand.claim()

    assert (second.id, second.payload, second.attempts) == ("1", b"next attempt", 1)


def test_a_settle_repeated_with_the_same_number_changes_nothing_and_is_given_the_same_reply(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2"))
    first, second = hand.claim(2)
    lost = second._replace(claim=99)
    outcomes = [again(first, follow_ups=(job("after"),)), succeeded(lost)]

    replies = [backend.settle(hand.number, 1, outcomes) for _ in range(3)]

    assert replies[0].lost == {(second.seq, 99): Holder(hand.number, second.claim)}
    assert replies[0].enqueued == ("after",)
    assert replies[1:] == replies[:1] * 2
    assert row_of(backend, "1").attempts == 1
    assert len(backend.attempts("1")) == 1
    assert len(backend.rows(limit=None)) == 3


def test_a_repeated_settle_does_not_touch_the_run_that_came_after(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])
    (claimed,) = hand.claim()
    backend.settle(hand.number, 1, [again(claimed)])
    (second,) = hand.claim()

    backend.settle(hand.number, 1, [again(claimed)])

    settled = backend.settle(hand.number, 2, [succeeded(second)])
    assert not settled.lost
    assert row_of(backend, "1").attempts == 2


def test_a_settle_after_the_claim_was_reaped_is_lost_and_enqueues_nothing(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue([job("1")])
    (claimed,) = hand.claim()
    hand.dies()

    settled = hand.settle(succeeded(claimed, follow_ups=(job("after"),)))

    assert settled.lost == {(claimed.seq, claimed.claim): None}
    assert settled.enqueued == ()
    assert backend.row("after") is None
    assert row_of(backend, "1").state == "queued"
    (second,) = other.claim()
    held, ended = hand.settle(failed(claimed)), other.settle(succeeded(second, result=b"of the second run"))
    too_late = hand.settle(succeeded(claimed, result=b"too late"))
    replaced = {(claimed.seq, claimed.claim): Holder(other.number, second.claim)}
    assert (held.lost, ended.lost, too_late.lost) == (replaced, {}, replaced)
    assert not held.known
    assert row_of(backend, "1").result == b"of the second run"


def test_of_a_batch_only_the_lost_claims_are_left_out(backend: Backend):
    hand, thief = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1", "2", "3"))
    first, second, third = hand.claim(3)
    hand.settle(given_back(second))
    (taken,) = thief.claim(ids=["2"])

    settled = hand.settle(
        succeeded(first, follow_ups=(job("a"),)),
        succeeded(second, follow_ups=(job("b"),)),
        succeeded(third, follow_ups=(job("c"),)),
    )

    assert settled.lost == {(second.seq, second.claim): Holder(thief.number, taken.claim)}
    assert settled.enqueued == ("a", "c")
    assert backend.counts() == {"succeeded": 2, "queued": 3}


def test_another_worker_cannot_settle_a_claim(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue([job("1")])
    (claimed,) = hand.claim()

    settled = other.settle(succeeded(claimed))

    assert settled.lost == {(claimed.seq, claimed.claim): Holder(hand.number, claimed.claim)}
    assert row_of(backend, "1").state == "queued"


def test_a_lost_claim_is_told_who_has_the_job_wherever_it_is_by_now(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue([job("1")])
    (claimed,) = hand.claim()
    hand.settle(given_back(claimed))
    (second,) = other.claim()
    other.settle(again(second))

    waits = hand.settle(succeeded(claimed))
    (third,) = other.claim()
    other.settle(failed(third))
    ended = hand.settle(succeeded(claimed))
    backend.delete_jobs(["1"])
    gone = hand.settle(succeeded(claimed))

    key = claimed.seq, claimed.claim
    assert [reply.lost for reply in (waits, ended, gone)] == [
        {key: None},
        {key: Holder(other.number, third.claim)},
        {key: None},
    ]


def test_the_steps_that_will_not_run_are_cancelled_with_the_reason(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])
    (claimed,) = hand.claim()
    never = Never("2", "second", "mail", b"message", b"the error", "1, a step before it, failed")

    hand.settle(failed(claimed, never=(never,)))

    row = row_of(backend, "2")
    assert (row.state, row.task, row.queue, row.payload) == ("cancelled", "second", "mail", b"message")
    assert backend.outcome("2") == ("cancelled", b"the error", "1, a step before it, failed")
    assert row.finished_at is not None


def test_a_follow_up_with_a_time_goes_to_the_schedule(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])

    hand.settle(succeeded(hand.claim()[0], follow_ups=(job("2", eta=backend.now() + 60),)))

    assert row_of(backend, "2").state == "scheduled"


def test_a_retry_keeps_an_earlier_result_unless_it_brings_one(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])

    hand.settle(again(hand.claim()[0], result=b"first error"))
    hand.settle(again(hand.claim()[0], result=None))

    assert row_of(backend, "1").result == b"first error"


def test_progress_is_kept_while_the_claim_holds(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue([job("1")])
    (claimed,) = hand.claim()

    backend.note_progress(hand.number, claimed.seq, claimed.claim, 0.25, "a quarter")
    backend.note_progress(other.number, claimed.seq, claimed.claim, 0.9, "a zombie's")

    row = row_of(backend, "1")
    assert (row.progress, row.progress_message) == (0.25, "a quarter")
    hand.settle(succeeded(claimed))
    assert row_of(backend, "1").progress == 0.25


def test_the_last_word_of_a_job_about_its_progress_stands(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])
    (claimed,) = hand.claim()
    backend.note_progress(hand.number, claimed.seq, claimed.claim, 0.5, "half")

    hand.settle(succeeded(claimed, progress=(1.0, None)))

    row = row_of(backend, "1")
    assert (row.progress, row.progress_message) == (1.0, None)


def test_a_new_attempt_begins_without_progress(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])

    hand.settle(again(hand.claim()[0], progress=(0.5, "half")))

    assert row_of(backend, "1").progress is None


def test_a_running_job_is_shown_as_such_until_it_ends(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2"))
    first, second = hand.claim(2)

    backend.mark_running(hand.number, [(first.seq, first.claim, 100.0), (second.seq, 99, 100.0)])

    assert (row_of(backend, "1").state, row_of(backend, "1").started_at) == ("running", 100.0)
    assert row_of(backend, "2").state == "queued", "that claim does not hold"
    hand.settle(given_back(first))
    assert (row_of(backend, "1").state, row_of(backend, "1").started_at) == ("queued", None)


@pytest.mark.parametrize("text", ["a \0 inside", "a lone surrogate \ud800"], ids=["nul", "surrogate"])
def test_text_that_a_database_refuses_keeps_no_job_from_ending(backend: Backend, text: str):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2", "3"))
    first, second, third = hand.claim(3)
    never = Never("4", "demo", "default", b"", None, text)

    backend.note_progress(hand.number, first.seq, first.claim, 0.5, text)
    hand.settle(
        failed(first, error=text, traceback=text, reason=text, progress=(0.5, text), never=(never,)),
        again(second, error=text, traceback=text),
        parked(third, text),
    )

    assert [row_of(backend, name).state for name in "1234"] == ["failed", "queued", "parked", "cancelled"]
    assert "inside" in (row_of(backend, "1").error or "") or "surrogate" in (row_of(backend, "1").error or "")


def test_revocations_that_have_had_their_effect_are_forgotten(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2"))
    backend.put("r:1", b"revoked")
    backend.put("rt:demo", b"all revoked")

    first, second = hand.claim(2)
    hand.settle(succeeded(first, state=State.CANCELLED, forget=("r:1",)))

    assert first.revokes == {"r:1": b"revoked", "rt:demo": b"all revoked"}
    assert second.revokes == {"rt:demo": b"all revoked"}
    assert backend.peek(["r:1", "rt:demo"]) == {"rt:demo": b"all revoked"}


def test_workers_that_settle_at_once_do_not_lose_each_others_outcomes(backend: Backend):
    hands = [Hand(backend) for _ in range(5)]
    backend.enqueue([job() for _ in range(100)])
    claims = [hand.claim(20) for hand in hands]

    settled = at_once(
        backend,
        5,
        lambda index: hands[index].settle(
            *(succeeded(claimed, follow_ups=(job(),)) for claimed in reversed(claims[index]))
        ),
    )

    assert [len(reply.enqueued) for reply in settled] == [20] * 5
    assert backend.counts() == {"succeeded": 100, "queued": 100}
