"""Events: what happens is told in order, live and from any id that is kept, to one reader or to a group that shares."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
import time
from collections.abc import Callable

import psycopg
import pytest

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.backends.records import Claimed
from nephew.errors import EventsLost, NephewError
from nephew.job import State
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, again, failed, given_back, jobs, parked, succeeded
from tests.eventually import eventually


def told(backend: Backend, after: str = "0") -> list[tuple[str, str]]:
    return [(event.job, event.state) for batch in backend.events(after) for event in batch.events]


def seen(huey: Nephew, after: str = "0", **options) -> list[tuple[str, State]]:
    return [(event.job, event.state) for event in huey.events(after, block=0, **options)]


def end_some(backend: Backend, count: int, prefix: str = "") -> None:
    """Jobs, each of which is settled by itself."""
    hand = Hand(backend)
    backend.enqueue(jobs(*(f"{prefix}{number}" for number in range(count))))
    for claimed in hand.claim(count):
        hand.settle(succeeded(claimed, task="demo"))


def test_each_transition_that_a_worker_writes_is_told_once_and_in_order(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2", "3", "4"))

    first, second, third, fourth = hand.claim(4)
    hand.backend.mark_running(hand.number, [(first.seq, first.claim, 100.0)] * 2)
    hand.backend.mark_running(hand.number, [(first.seq, first.claim, 100.0)])
    hand.settle(again(first, state=State.RETRYING, eta=backend.now() + 60), failed(second, worker="here"))
    hand.settle(given_back(third), parked(fourth, "unknown"))

    assert told(backend) == [("1", "running"), ("1", "retrying"), ("2", "failed"), ("4", "parked")]
    event = backend.events("0")[1].events[1]
    assert (event.worker, event.error) == ("here", "Oops()")
    assert abs(event.at - backend.now()) < 30


def test_what_had_begun_and_goes_back_is_told_with_the_cause(backend: Backend):
    killed, retired, giving_up = Hand(backend), Hand(backend), Hand(backend)

    def begin(hand: Hand, begun: str, unbegun: str) -> list[Claimed]:
        backend.enqueue(jobs(begun, unbegun))
        claimed = hand.claim(2, ids=[begun, unbegun])
        backend.mark_running(hand.number, [(claimed[0].seq, claimed[0].claim, 100.0)])
        return claimed

    (first, _) = begin(killed, "1", "2")
    killed.dies(first)
    begin(retired, "3", "4")
    backend.retire(retired.number)
    giving_up.settle(*map(given_back, begin(giving_up, "5", "6")))
    (quick,) = giving_up.claim(ids=["2"])
    giving_up.dies(quick)

    told = [event for batch in backend.events("0") for event in batch.events]
    assert {event.task for event in told} == {"demo"}
    events = [(event.job, event.state, event.worker, event.error) for event in told]
    assert events == [
        ("1", "running", "host:7", None),
        ("1", "queued", None, "killed by a test"),
        ("3", "running", "host:7", None),
        ("3", "queued", None, "its worker was shut down"),
        ("5", "running", "host:7", None),
        ("5", "queued", None, None),
        ("2", "queued", None, "killed by a test"),
    ]


def test_a_settle_that_is_repeated_or_lost_tells_nothing_more(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2"))
    first, second = hand.claim(2)

    for _ in range(2):
        backend.settle(hand.number, 1, [succeeded(first)])
    backend.settle(hand.number, 2, [succeeded(second._replace(claim=99))])

    assert told(backend) == [("1", "succeeded")]


def test_a_reader_goes_on_behind_any_event_it_has_seen(huey: Nephew, work: Work):
    echo = huey.task(name="echo")(lambda value: value)
    for batch in (3, 2):
        for number in range(batch):
            echo(number)
        work(huey)

    events = list(huey.events("0", block=0))

    assert [event.state for event in events] == [State.SUCCEEDED] * 5
    assert {event.task.rpartition(".")[2] for event in events} == {"echo"}
    assert len({event.id for event in events}) == 5
    assert events[0].at.tzinfo is dt.UTC and events[0].worker
    for index, event in enumerate(events):
        assert list(huey.events(event.id, block=0)) == events[index + 1 :]
    assert list(huey.events(block=0)) == []
    with pytest.raises(NephewError, match="expected the id of an event"):
        list(huey.events("yesterday", block=0))


def test_events_are_followed_live_by_loops_of_both_kinds(huey: Nephew, work: Work):
    echo = huey.task(name="echo")(lambda value: value)
    followed, gone_by = iter(huey.events(block=20)), []

    async def follow() -> list[str]:
        return [event.job async for event in huey.events(gone_by[0], block=0.5)]

    results = [echo(0)]
    thread = threading.Thread(target=lambda: (time.sleep(0.1), work(huey), huey.backend.close()))
    thread.start()
    started = time.monotonic()
    event = next(followed)
    took = time.monotonic() - started
    thread.join()
    gone_by.append(event.id)
    results.append(echo(1))
    work(huey)

    assert event.job == results[0].id
    assert took < 5
    assert next(followed).job == results[1].id
    assert asyncio.run(follow()) == [results[1].id]
    followed.close()
    eventually(lambda: huey.waiting_room._bell is None)


def test_events_that_were_cut_are_reported_once_unless_that_is_wanted(make_huey: Callable[..., Nephew]):
    huey = make_huey(keep_events=5)
    end_some(huey.backend, 1)
    (first,) = huey.events("0", block=0)
    end_some(huey.backend, 200, "more")
    while huey.backend.cut_events(5):
        pass

    kept = list(huey.events("0", block=0))
    with pytest.raises(EventsLost, match=f"events after {first.id} are not kept any longer, the first that is kept is"):
        list(huey.events(first.id, block=0))

    assert 4 <= len(kept) <= 150, "Redis cuts whole nodes of its stream"
    assert kept[-1].job == "more199"
    assert list(huey.events(first.id, block=0, lossy=True)) == kept
    assert list(huey.events(kept[0].id, block=0)) == kept[1:]


def test_a_group_shares_events_and_each_goes_to_one(backend: Backend):
    backend.join_group("billing", "0")
    end_some(backend, 40)

    def take(number: int) -> list[str]:
        found = []
        while (batch := backend.take_events("billing", f"consumer {number}", 60)) is not None:
            found += [event.job for event in batch.events]
            backend.acknowledge("billing", batch.id)
        return found

    shares = at_once(backend, 4, take)

    assert sorted(int(job_id) for share in shares for job_id in share) == list(range(40))


def test_what_a_member_of_a_group_did_not_acknowledge_is_delivered_again(huey: Nephew):
    end_some(huey.backend, 3)
    group = {"group": "billing", "block": 0}

    for event in huey.events("0", **group, consumer="a"):
        broken_off = event
        break
    others = list(huey.events(**group, consumer="b"))
    again = list(huey.events(**group, consumer="a"))
    for event in huey.events(**group, consumer="c"):
        raise AssertionError(f"{event} was acknowledged")
    end_some(huey.backend, 1, "late")
    next(iter(huey.events(**group, consumer="a")))
    inherited = list(huey.events(**group, consumer="b", idle=0))

    assert [event.job for event in others] == ["1", "2"]
    assert again == [broken_off]
    assert [event.job for event in inherited] == ["late0"]


def test_a_group_begins_with_what_happens_from_then_on(huey: Nephew):
    end_some(huey.backend, 2)

    joined = iter(huey.events(group="audit", consumer="a", block=0))
    end_some(huey.backend, 1, "new")

    assert [event.job for event in joined] == ["new0"]
    with pytest.raises(NephewError, match="expected a group for the consumer 'a'"):
        huey.events(consumer="a")


def test_a_batch_that_is_committed_late_is_not_passed_by(
    postgres_url: str, make_huey: Callable[..., Nephew], name: str
):
    huey = make_huey(url=postgres_url)
    backend = huey.backend
    end_some(backend, 1)
    with psycopg.connect(postgres_url) as slow:
        slow.execute(
            "INSERT INTO nephew_event (name, txid, at, size, told) VALUES (%s, txid_current(), 1, 1, %s)",
            (name, '["slow","demo","succeeded",null,null]'),
        )
        end_some(backend, 1, "fast")
        (before,) = told(backend)
        last = backend.events("0")[-1].events[-1].id

    assert before == ("0", "succeeded")
    assert told(backend, last) == [("slow", "succeeded"), ("fast0", "succeeded")]


def test_instances_see_only_their_own_events(make_huey: Callable[..., Nephew]):
    huey, other = make_huey(), make_huey("another")
    end_some(huey.backend, 1)

    assert seen(huey) == [("0", State.SUCCEEDED)]
    assert seen(other) == []
