"""Unique jobs: while one with a key is unfinished a second call returns its handle; no end leaks the key."""

from __future__ import annotations

import pytest
from huey.exceptions import CancelExecution, RetryTask

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.job import State
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, again, failed, job, succeeded


def test_a_key_lets_one_unfinished_job_in(backend: Backend):
    first, second, other = (
        backend.enqueue([job(id, unique_key=key)])[0] for id, key in (("1", "a"), ("2", "a"), ("3", "b"))
    )

    assert (first.id, first.duplicate) == ("1", False)
    assert (second.id, second.duplicate) == ("1", True)
    assert (other.id, other.duplicate) == ("3", False)
    assert backend.waiting_count() == 2


def test_the_first_of_a_batch_stands_for_the_others(backend: Backend):
    stored = backend.enqueue([job("1", unique_key="a"), job("2"), job("3", unique_key="a")])

    assert [(entry.id, entry.duplicate) for entry in stored] == [("1", False), ("2", False), ("1", True)]


def test_of_ten_that_enqueue_the_same_key_at_once_one_job_is_made(backend: Backend):
    hand = Hand(backend)
    for _ in range(10):
        stored = at_once(backend, 10, lambda index: backend.enqueue([job(unique_key="a")])[0])

        assert len({entry.id for entry in stored}) == 1
        assert [entry.duplicate for entry in stored].count(False) == 1
        (claimed,) = hand.claim(9)
        hand.settle(succeeded(claimed))


def test_batches_with_the_same_keys_in_opposite_orders_are_stored_at_once(backend: Backend):
    for round_ in range(10):
        keys = [f"{round_} {number}" for number in range(20)]

        def enqueue(index: int, keys=keys) -> list[str]:
            order = keys if index % 2 else keys[::-1]
            return [entry.id for entry in backend.enqueue([job(unique_key=key) for key in order])]

        stored = at_once(backend, 4, enqueue)

        assert len({job_id for ids in stored for job_id in ids}) == 20


def test_a_call_that_races_with_the_end_of_the_first_is_never_lost(backend: Backend):
    """Every call is answered with a job that is there, however the key changes hands meanwhile."""
    hand, calls = Hand(backend), 60

    def call(index: int) -> list[str]:
        if index == 0:
            ended = 0
            while ended < calls:
                for claimed in hand.claim(1):
                    hand.settle(succeeded(claimed))
                ended += 1
            return []
        return [backend.enqueue([job(unique_key="a")])[0].id for _ in range(calls)]

    answered = {job_id for ids in at_once(backend, 5, call) for job_id in ids}

    assert answered == {row.id for row in backend.rows(limit=None)}


@pytest.mark.parametrize("end", [State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED])
def test_the_key_is_free_after_every_end(backend: Backend, end: State):
    hand = Hand(backend)
    backend.enqueue([job("1", unique_key="a")])

    hand.settle(succeeded(hand.claim()[0], state=end))

    assert not backend.enqueue([job("2", unique_key="a")])[0].duplicate


def test_the_key_is_kept_over_retries_and_crashes_and_free_after_the_cap(backend: Backend):
    heir, hand = Hand(backend), Hand(backend)
    backend.enqueue([job("1", unique_key="a")])

    hand.settle(again(hand.claim()[0]))
    while_retrying = backend.enqueue([job("2", unique_key="a")])[0]
    (doomed,) = hand.dies(*hand.claim(), heir=heir, cap=1)
    while_doomed = backend.enqueue([job("2", unique_key="a")])[0]
    heir.settle(failed(doomed))
    after = backend.enqueue([job("2", unique_key="a")])[0]

    assert [entry.duplicate for entry in (while_retrying, while_doomed, after)] == [True, True, False]


def test_an_ended_job_is_not_put_back_beside_its_successor(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1", unique_key="a")])
    hand.settle(failed(hand.claim()[0]))
    backend.enqueue([job("2", unique_key="a")])

    assert not backend.requeue("1")

    hand.settle(succeeded(hand.claim()[0]))
    assert backend.requeue("1")


def test_a_follow_up_whose_key_is_taken_is_not_stored(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("1"), job("2", unique_key="a")])

    settled = hand.settle(succeeded(hand.claim()[0], follow_ups=(job("3", unique_key="a"),)))

    assert settled.enqueued == ()
    assert backend.row("3") is None


def test_a_second_call_returns_the_first_ones_handle(huey: Nephew, work: Work):
    @huey.task(unique=True)
    def fetch(url: str, again: bool = False) -> str:
        return url

    first, same, other = fetch("here"), fetch(url="here", again=False), fetch("there")
    work(huey)
    afterwards = fetch("here")

    assert (first.duplicate, same.duplicate, other.duplicate) == (False, True, False)
    assert same.id == first.id
    assert same.get() == first.get() == "here"
    assert not afterwards.duplicate


def test_equal_arguments_are_the_same_key_however_they_were_built(huey: Nephew):
    @huey.task(unique=True)
    def fetch(what: object, **options: object) -> None:
        pass

    first = [fetch({0, 8, 16}), fetch({"a": 1, "b": 2}), fetch(1, x=1, y=2)]
    second = [fetch({16, 8, 0}), fetch({"b": 2, "a": 1}), fetch(1, y=2, x=1)]

    assert [result.duplicate for result in second] == [True] * 3
    assert [result.id for result in second] == [result.id for result in first]


def test_a_function_of_the_arguments_gives_the_key(huey: Nephew):
    @huey.task(unique=lambda url, force=False: url.partition("#")[0])
    def fetch(url: str, force: bool = False) -> None:
        pass

    first, same, other = fetch("here#top"), fetch("here", force=True), fetch("there")

    assert (same.id, same.duplicate) == (first.id, True)
    assert not other.duplicate


def test_two_tasks_do_not_share_keys(huey: Nephew):
    first = huey.task(unique=lambda: "key", name="first")(lambda: None)
    second = huey.task(unique=lambda: "key", name="second")(lambda: None)

    assert not first().duplicate
    assert not second().duplicate


@pytest.mark.parametrize("end", ["success", "failure", "cancel", "expiry", "revoke", "cancelled inside", "crash cap"])
def test_a_unique_task_can_be_called_again_after_every_end(huey: Nephew, work: Work, end: str):
    @huey.task(unique=True, max_crashes=1, expires=-60 if end == "expiry" else None)
    def fetch(how: str) -> None:
        if how == "failure":
            raise ValueError
        if how == "cancelled inside":
            raise CancelExecution

    first = fetch(end)
    if end == "cancel":
        assert first.cancel()
    if end == "revoke":
        first.revoke()
    if end == "crash cap":
        crash(huey, first.id)
    work(huey)

    assert first.state in ("succeeded", "failed", "cancelled", "expired")
    assert not fetch(end).duplicate


def crash(huey: Nephew, job_id: str) -> None:
    """Its worker dies while it is running, and a reaper finds that."""
    from nephew.backends.records import Died
    from nephew.recovery import Reaper

    victim = Hand(huey.backend)
    (claimed,) = victim.claim(ids=[job_id])
    (record,) = [worker for worker in huey.backend.workers() if worker.number == victim.number]
    Reaper(huey)._bury(record, Died(victim.number, {(claimed.seq, claimed.claim): 1.0}, "killed by a test"))


def test_a_job_that_is_being_retried_keeps_its_key(huey: Nephew, work: Work):
    @huey.task(unique=True)
    def fetch(url: str) -> None:
        raise RetryTask(delay=60)

    first = fetch("here")
    work(huey)

    assert first.state == "retrying"
    assert fetch("here").id == first.id
