"""Waiting jobs: their order, their claims, their times."""

from __future__ import annotations

import datetime as dt

import pytest

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.backends.records import Claimed
from nephew.errors import BackendError
from nephew.job import State
from nephew.opening import open_backend
from nephew.settings import Settings
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, again, failed, given_back, job, jobs, parked, succeeded
from tests.eventually import eventually


def ids(claimed: list[Claimed]) -> list[str]:
    return [entry.id for entry in claimed]


def test_a_job_comes_out_as_it_was_put_in(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("one", task="mail", payload=b"\0\xff", priority=2.5)])

    (claimed,) = hand.claim()

    assert (claimed.id, claimed.task, claimed.queue) == ("one", "mail", "default")
    assert (claimed.payload, claimed.priority) == (b"\0\xff", 2.5)
    assert (claimed.attempts, claimed.crashes, claimed.alone, claimed.chord) == (0, 0, False, None)
    assert claimed.revokes == {}


def test_within_a_priority_the_first_in_is_the_first_out(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2"))
    backend.enqueue(jobs("3"))
    backend.enqueue(jobs("4", "5", "6"))

    claimed = hand.claim(2) + hand.claim(3) + hand.claim(9)

    assert ids(claimed) == ["1", "2", "3", "4", "5", "6"]


def test_places_are_counted_on_over_any_number_of_jobs_that_come_together(backend: Backend):
    hand, given = Hand(backend), [[job() for _ in range(size)] for size in (3, 96, 1, 170, 400)]
    for each in given:
        backend.enqueue(each)

    claimed = hand.claim(999)
    hand.settle(*map(succeeded, claimed))

    assert ids(claimed) == [new.id for each in given for new in each]
    assert [entry.seq for entry in claimed] == sorted({entry.seq for entry in claimed})
    assert {(backend.outcome(entry.id) or ("unknown",))[0] for entry in claimed[::33]} == {State.SUCCEEDED}


def test_the_higher_priority_goes_first(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("low", priority=-1), job("none"), job("high", priority=10), job("also", priority=10)])

    claimed = hand.claim() + hand.claim(9)

    assert ids(claimed) == ["high", "also", "none", "low"]


def test_a_claim_takes_no_more_than_its_limit(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job(priority=number % 3) for number in range(300)])

    taken = [len(hand.claim(limit)) for limit in (1, 7, 50, 128)]

    assert taken == [1, 7, 50, 128]
    assert backend.waiting_count() == 300 - sum(taken)


def test_a_claimed_job_is_not_claimed_again(backend: Backend):
    first, second = Hand(backend), Hand(backend)
    backend.enqueue([job()])

    claims = [first.claim(5), first.claim(5), second.claim(5)]

    assert [len(claimed) for claimed in claims] == [1, 0, 0]


def test_a_claim_repeated_with_the_same_token_returns_the_same_jobs(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2", "3"))

    first = backend.claim(hand.number, 1, 2)
    again = backend.claim(hand.number, 1, 2)

    assert ids(first) == ids(again) == ["1", "2"]
    assert backend.waiting_count() == 1


def test_a_claim_that_found_nothing_may_find_something_when_it_is_repeated(backend: Backend):
    hand = Hand(backend)
    nothing = backend.claim(hand.number, 1, 2)
    backend.enqueue(jobs("1"))

    something = backend.claim(hand.number, 1, 2)

    assert (nothing, ids(something)) == ([], ["1"])


def test_a_claim_can_be_limited_to_queues(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("a"), job("b", queue="mail"), job("c", queue="slow"), job("d", queue="mail")])

    mail = hand.claim(9, queues=["mail"])
    others = hand.claim(9, queues=["slow", "default"])

    assert (ids(mail), ids(others)) == (["b", "d"], ["a", "c"])


def test_a_job_can_be_claimed_by_its_id_before_it_is_due(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("now"), job("later", eta=backend.now() + 100)])

    claimed = hand.claim(ids=["later"])

    assert ids(claimed) == ["later"]
    assert backend.promote(backend.now() + 200) == 0


def test_a_retry_goes_to_the_back_and_not_to_its_old_place(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2", "3"))

    hand.settle(*(again(claimed) for claimed in hand.claim(1)))

    assert ids(hand.claim(9)) == ["2", "3", "1"]


def test_what_is_given_back_keeps_its_place_and_counts_no_attempt(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1", "2", "3", "4"))

    hand.settle(*(given_back(claimed) for claimed in reversed(hand.claim(3))))
    claimed = other.claim(9)

    assert ids(claimed) == ["1", "2", "3", "4"]
    assert {entry.attempts for entry in claimed} == {0}


def test_a_delayed_job_waits_in_the_schedule(backend: Backend):
    hand = Hand(backend)
    now = backend.now()
    backend.enqueue([job("due", eta=now - 1), job("later", eta=now + 60)])

    assert ids(hand.claim(9)) == ["due"]
    assert backend.counts() == {"queued": 1, "scheduled": 1}
    assert backend.next_due() == pytest.approx(now + 60)


def test_due_jobs_move_to_the_queue_in_the_order_of_their_times(backend: Backend):
    hand = Hand(backend)
    now = backend.now()
    backend.enqueue([job("third", eta=now + 30), job("first", eta=now + 10), job("second", eta=now + 20)])
    backend.enqueue([job("much later", eta=now + 99)])
    backend.enqueue([job("waits already")])

    moved = backend.promote(now + 30)

    assert moved == 3
    assert ids(hand.claim(9)) == ["waits already", "first", "second", "third"]
    assert backend.promote(now + 30) == 0


def test_a_retry_that_waits_for_its_time_is_told_from_a_new_job(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])
    eta = backend.now() + 60

    (claimed,) = hand.claim()
    hand.settle(again(claimed, state="retrying", eta=eta))

    assert backend.counts() == {"retrying": 1}
    assert backend.next_due() == pytest.approx(eta)
    assert backend.promote(eta) == 1


def test_more_due_jobs_than_one_step_moves_are_all_moved(backend: Backend):
    now = backend.now()
    backend.enqueue([job(eta=now + 1) for _ in range(1100)])

    moved = backend.promote(now + 2)

    assert (moved, backend.waiting_count()) == (1100, 1100)


def test_several_jobs_are_stored_all_or_none(backend: Backend):
    unusable = job("bad", payload=None)

    with pytest.raises(BackendError, match="payload"):
        backend.enqueue([job("1"), unusable])

    assert backend.row("1") is None


def test_an_id_that_an_unfinished_job_has_is_stored_once(backend: Backend):
    backend.enqueue([job("1")])
    backend.enqueue([job("1", payload=b"another")])

    row = backend.row("1")

    assert row is not None and row.payload == b"payload"
    assert backend.waiting_count() == 1


def test_an_id_that_an_ended_job_had_lives_again_without_its_past(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1")])
    hand.settle(failed(hand.claim()[0]))

    backend.enqueue([job("1", payload=b"another")])

    row = backend.row("1")
    assert row is not None
    assert (row.state, row.payload, row.attempts, row.error, row.finished_at) == ("queued", b"another", 0, None, None)
    assert backend.attempts("1") == []


def test_a_parked_job_keeps_its_bytes_and_waits_until_it_is_released(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2", "3"))
    hand.settle(*(parked(claimed, "nobody knows it") for claimed in hand.claim(9)))

    row = backend.row("1")
    nothing, released = hand.claim(9), backend.unpark(["3", "1", "4"])

    assert row is not None and (row.state, row.payload, row.reason) == ("parked", b"payload", "nobody knows it")
    assert (nothing, released) == ([], 2)
    assert ids(hand.claim(9)) == ["1", "3"]
    assert (backend.unpark(["1", "2"]), ids(hand.claim(9))) == (1, ["2"])


def test_an_ended_job_is_put_back_at_the_end_of_the_queue(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2"))
    hand.settle(failed(hand.claim()[0]))

    assert backend.requeue("1")

    assert not backend.requeue("1"), "it waits already"
    assert not backend.requeue("unknown")
    assert ids(hand.claim(9)) == ["2", "1"]
    assert [attempt.outcome for attempt in backend.attempts("1")] == ["failed"]


def test_the_oldest_waiting_job_is_told(backend: Backend):
    hand = Hand(backend)
    assert backend.oldest_waiting() is None

    before = backend.now()
    backend.enqueue([job("1")])
    backend.enqueue([job("later", eta=before + 1000)])

    assert before <= (backend.oldest_waiting() or 0) <= backend.now()
    hand.claim(9)
    assert backend.oldest_waiting() is None


def test_claims_from_many_connections_never_overlap(backend: Backend):
    workers, rounds, batch = 6, 15, 5
    hands = [Hand(backend) for _ in range(workers)]
    for _ in range(rounds):
        backend.enqueue([job(priority=number % 2) for number in range(workers * batch - 3)])

        claims = at_once(backend, workers, lambda index: hands[index].claim(batch))

        taken = [entry.id for claimed in claims for entry in claimed]
        assert len(taken) == len(set(taken))
        for hand, claimed in zip(hands, claims, strict=True):
            assert len(claimed) <= batch
            if claimed:
                hand.settle(*(succeeded(entry) for entry in claimed))

    left = Hand(backend).claim(1000)
    assert backend.counts().get("succeeded", 0) + len(left) == rounds * (workers * batch - 3)


def test_two_threads_that_claim_and_settle_end_every_job_once(backend: Backend):
    total, workers = 400, 4
    backend.enqueue([job() for _ in range(total)])
    hands = [Hand(backend) for _ in range(workers)]

    def drain(index: int) -> int:
        count = 0
        while claimed := hands[index].claim(7):
            assert not hands[index].settle(*(succeeded(entry) for entry in claimed)).lost
            count += len(claimed)
        return count

    counts = at_once(backend, workers, drain)

    assert sum(counts) == total
    assert backend.counts() == {"succeeded": total}
    assert {row.attempts for row in backend.rows(limit=None)} == {1}


def test_due_jobs_are_moved_once_by_several_schedulers(backend: Backend):
    now = backend.now()
    backend.enqueue([job(eta=now + 1) for _ in range(200)])

    moved = at_once(backend, 4, lambda _: backend.promote(now + 2))

    assert sum(moved) == 200
    assert backend.waiting_count() == 200


def test_a_watcher_sees_what_another_connection_writes(backend_url: str, name: str):
    mine, theirs = (open_backend(name, backend_url, None, None, "", Settings()) for _ in range(2))
    mine.migrate()
    watcher = mine.watcher()
    try:
        watcher.fileno()
        eventually(lambda: not watcher.changed())

        theirs.enqueue([job(eta=theirs.now() + 60)])

        eventually(watcher.changed)
    finally:
        watcher.close()
        mine.close()
        theirs.close()


def test_an_ended_job_put_into_the_schedule_by_hand_runs_again(huey: Nephew):
    @huey.task()
    def double(number: int) -> int:
        return 2 * number

    first = double(1)
    huey.execute(huey.dequeue())
    again = double.s(2)
    again.id, again.eta = first.id, dt.datetime(2020, 1, 1)

    huey.add_schedule(again)
    waiting = huey.job(first.id)
    huey.backend.promote()
    huey.execute(huey.dequeue())

    assert waiting is not None and waiting.state == "scheduled"
    assert first.get() == 4
