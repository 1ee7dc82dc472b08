"""Chords: their members are counted once each, and the callback is enqueued once with all values."""

from __future__ import annotations

import pytest
from huey.api import chord, group

from nephew import EncodeError, Nephew
from nephew.backends.contract import Backend
from nephew.backends.records import ChordMark, NewJob
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, job, succeeded


def mark(cid: str, index: int, size: int, callback: NewJob) -> ChordMark:
    return ChordMark(cid, index, size, b"value %d" % index, callback)


def test_the_last_member_enqueues_the_callback_which_is_given_the_values_in_order(backend: Backend):
    hand = Hand(backend)
    callback = job("callback", chord="c")
    backend.enqueue([job() for _ in range(3)])
    members = hand.claim(3)

    replies = [
        hand.settle(succeeded(member, chord_mark=mark("c", index, 3, callback)))
        for member, index in zip(members, (2, 0, 1), strict=True)
    ]

    assert [reply.enqueued for reply in replies] == [(), (), ("callback",)]
    (claimed,) = hand.claim(9)
    assert claimed.chord_values == (b"value 0", b"value 1", b"value 2")


def test_members_that_end_in_one_batch_count_each(backend: Backend):
    hand = Hand(backend)
    callbacks = [job(f"callback {number}", chord=f"c{number}") for number in range(2)]
    backend.enqueue([job() for _ in range(8)])
    marks = [mark(f"c{number % 2}", number // 2, 4, callbacks[number % 2]) for number in range(8)]

    settled = hand.settle(
        *(succeeded(member, chord_mark=one) for member, one in zip(hand.claim(8), marks, strict=True))
    )

    assert sorted(settled.enqueued) == ["callback 0", "callback 1"]


def test_a_member_that_ends_twice_counts_once(backend: Backend):
    hand = Hand(backend)
    callback = job("callback", chord="c")
    backend.enqueue([job("a"), job("b")])
    first, second = hand.claim(2)

    replies = [hand.settle(succeeded(first, chord_mark=mark("c", 0, 2, callback)))]
    backend.requeue("a")
    replies += [hand.settle(succeeded(hand.claim()[0], chord_mark=mark("c", 0, 2, callback)))]
    replies += [hand.settle(succeeded(second, chord_mark=mark("c", 1, 2, callback)))]

    assert [reply.enqueued for reply in replies] == [(), (), ("callback",)]


def test_twenty_members_settled_at_once_from_many_connections_call_back_once(backend: Backend):
    """Insert-then-count loses most callbacks on PostgreSQL: two that end at once both see themselves only."""
    members, workers, rounds = 20, 10, 20
    hands = [Hand(backend) for _ in range(workers)]
    for number in range(rounds):
        cid = f"chord {number}"
        callback = job(f"callback {number}", chord=cid)
        backend.enqueue([job() for _ in range(members)])
        claims = [hand.claim(members // workers) for hand in hands]

        def settle(index: int, claims=claims, cid=cid, callback=callback) -> int:
            replies = [
                hands[index].settle(succeeded(claimed, chord_mark=mark(cid, index * 2 + place, members, callback)))
                for place, claimed in enumerate(claims[index])
            ]
            return sum(len(reply.enqueued) for reply in replies)

        assert sum(at_once(backend, workers, settle)) == 1, f"round {number}"
        (called,) = hands[0].claim(9)
        assert len(called.chord_values) == members
        hands[0].settle(succeeded(called, chord_done=cid))


def test_members_of_several_chords_settled_in_opposite_orders_do_not_block_each_other(backend: Backend):
    chords, workers = 6, 6
    hands = [Hand(backend) for _ in range(workers)]
    callbacks = [job(f"callback {number}", chord=f"c{number}") for number in range(chords)]
    backend.enqueue([job() for _ in range(chords * workers)])
    claims = [hand.claim(chords) for hand in hands]

    def settle(index: int) -> list[str]:
        order = list(range(chords))[:: 1 if index % 2 else -1]
        outcomes = [
            succeeded(claimed, chord_mark=mark(f"c{number}", index, workers, callbacks[number]))
            for number, claimed in zip(order, claims[index], strict=True)
        ]
        return list(hands[index].settle(*outcomes).enqueued)

    enqueued = [name for names in at_once(backend, workers, settle) for name in names]

    assert sorted(enqueued) == sorted(callback.id for callback in callbacks)


def add_up(huey: Nephew):
    @huey.task(name="number")
    def number(value: int) -> int:
        if value < 0:
            raise ValueError(f"{value} is negative")
        return value

    @huey.task(name="total")
    def total(values: list) -> int:
        return sum(value for value in values if isinstance(value, int))

    return number, total


def test_a_chord_calls_back_with_its_members_values(huey: Nephew, work: Work):
    number, total = add_up(huey)

    result = huey.enqueue(chord([number.s(value) for value in range(5)], total.s()))
    work(huey)

    assert result.get() == 10
    assert [member.get() for member in result.results] == [0, 1, 2, 3, 4]


def test_a_member_that_fails_still_lets_the_callback_run(huey: Nephew, work: Work):
    number, total = add_up(huey)

    result = huey.enqueue(chord([number.s(3), number.s(-1), number.s(4)], total.s()))
    work(huey)

    assert result.get() == 7


def test_a_cancelled_and_an_expired_member_count_as_ended(huey: Nephew, work: Work):
    number, total = add_up(huey)
    members = [number.s(3), number.s(4), number.s(5)]
    members[2].expires, members[2].expires_resolved = -60, None

    result = huey.enqueue(chord(members, total.s()))
    huey.cancel(members[1].id)
    work(huey)

    assert result.get() == 3
    assert [huey.job(member.id).state for member in members] == ["succeeded", "cancelled", "expired"]


def test_a_member_that_is_a_pipeline_counts_with_its_last_step(huey: Nephew, work: Work):
    number, total = add_up(huey)

    @huey.task()
    def twice(value: int) -> int:
        return value * 2

    result = huey.enqueue(chord([number.s(3).then(twice), number.s(4), number.s(-1).then(twice)], total.s()))
    work(huey)

    assert result.get() == 10


def test_a_callback_that_is_retried_is_given_the_same_values(huey: Nephew, work: Work):
    number, _ = add_up(huey)
    seen: list[list[int]] = []

    @huey.task(retries=1)
    def picky(values: list) -> None:
        seen.append(values)
        raise ValueError("not yet")

    result = huey.enqueue(chord([number.s(1), number.s(2)], picky.s()))
    work(huey)
    assert result.callback.state == "failed"

    huey.retry(result.callback.id)
    work(huey)

    assert seen == [[1, 2]] * 3


@pytest.mark.parametrize("end", ["fails", "is cancelled"])
def test_a_callback_that_somebody_runs_again_is_given_its_values(huey: Nephew, work: Work, end: str):
    number, _ = add_up(huey)
    seen: list[list[int]] = []

    @huey.task()
    def callback(values: list) -> None:
        seen.append(values)
        if end == "fails" and len(seen) == 1:
            raise ValueError

    result = huey.enqueue(chord([number.s(1), number.s(2)], callback.s()))
    if end == "is cancelled":
        huey.revoke_by_id(result.callback.id)
    work(huey)

    assert huey.retry(result.callback.id)
    work(huey)

    assert seen[-1] == [1, 2]
    assert result.callback.state == "succeeded"


def test_a_callback_that_has_succeeded_cannot_run_again_without_its_values(huey: Nephew, work: Work):
    number, total = add_up(huey)
    result = huey.enqueue(chord([number.s(1), number.s(2)], total.s()))
    work(huey)

    again = huey.retry(result.callback.id)

    assert (again, result.callback.state, result.get()) == (False, "succeeded", 3)


def test_a_groups_results_come_in_order(huey: Nephew, work: Work):
    number, _ = add_up(huey)

    results = huey.enqueue(group([number.s(value) for value in range(4)]))
    work(huey)

    assert results.get() == [0, 1, 2, 3]


def test_a_chord_is_stored_as_a_whole_or_not_at_all(huey: Nephew):
    """Of one that is half there, the callback would never come."""
    number, total = add_up(huey)
    inner = chord([number.s(1), number.s(object())], total.s())

    with pytest.raises(EncodeError):
        huey.enqueue(chord([number.s(1), inner], total.s()))

    assert huey.backend.counts() == {}


def test_a_chord_inside_a_chord_counts_with_its_callback(huey: Nephew, work: Work):
    number, total = add_up(huey)

    result = huey.enqueue(chord([number.s(1), chord([number.s(2), number.s(3)], total.s())], total.s()))
    work(huey)

    assert result.get() == 6
