"""Lists of jobs are in the order of their places, wherever the jobs are and however many they are."""

from __future__ import annotations

import itertools

from nephew.backends.contract import Backend
from nephew.backends.records import Filter
from nephew.backends.redis import open_redis
from nephew.settings import Settings
from tests.contract.jobs import Hand, again, failed, job, jobs, parked, succeeded


def everywhere(backend: Backend, count: int) -> None:
    """Jobs of several queues and priorities, some in each state."""
    turns = zip(range(count), itertools.cycle("abc"), itertools.cycle((0.0, 2.5, -1.0, 0.0)), strict=False)
    backend.enqueue([job(f"{number}", queue=queue, priority=priority) for number, queue, priority in turns])
    backend.enqueue(jobs("soon", "later", eta=backend.now() + 60))
    hand = Hand(backend)
    one, two, three, four, five, _ = hand.claim(6)
    backend.mark_running(hand.number, [(five.seq, five.claim, 1.0)])
    later = again(four, state="retrying", eta=backend.now() + 30)
    hand.settle(succeeded(one), failed(two), parked(three, "unknown"), later)
    backend.enqueue(jobs("last"))


def test_all_jobs_are_listed_once_the_latest_first(backend: Backend):
    everywhere(backend, 1300)

    rows = backend.rows(limit=None, longest=0)

    assert len(rows) == len({row.id for row in rows}) == 1303 == backend.count(Filter())
    assert [row.seq for row in rows] == sorted((row.seq for row in rows), reverse=True)
    assert [row.id for row in backend.rows(limit=2)] == [row.id for row in rows[:2]]
    for state, count in backend.counts().items():
        found = backend.rows(Filter((state,)), limit=None)
        assert [row.id for row in found] == [row.id for row in rows if row.state == state]
        assert len(found) == count == backend.count(Filter((state,)))


def test_all_jobs_are_met_in_steps_the_earliest_first(backend: Backend):
    everywhere(backend, 1300)

    met: list[tuple[int, str]] = []
    while step := backend.ids(Filter(), met[-1][0] if met else 0, 400):
        met += step

    assert met == [(row.seq, row.id) for row in reversed(backend.rows(limit=None))]
    assert len(backend.ids(Filter(queue="b", states=("queued",)), limit=1000)) == backend.count(
        Filter(queue="b", states=("queued",))
    )


def test_those_who_wait_are_listed_in_the_order_in_which_they_run(backend: Backend):
    everywhere(backend, 1300)

    waiting = [row.id for row in backend.rows(Filter(("queued",)), None, oldest_first=True)]
    scheduled = [row.state for row in backend.rows(Filter(("scheduled", "retrying")), None, oldest_first=True)]

    assert waiting == [claimed.id for claimed in Hand(backend).claim(2000)]
    assert scheduled == ["retrying", "scheduled", "scheduled"]


def test_on_redis_a_result_outlives_the_record_of_its_job(redis_url: str, name: str):
    backend = open_redis(name, redis_url, Settings(keep_records=2))
    hand = Hand(backend)
    backend.enqueue(jobs("1", "2", "3"))

    hand.settle(*(succeeded(claimed) for claimed in hand.claim(3)))

    assert [row.id for row in backend.rows()] == ["3", "2"]
    assert backend.outcome("1") == ("succeeded", b"result", None)
    assert backend.take_result("1") == b"result"
    assert backend.outcome("1") == ("succeeded", None, None)
    backend.close()


def test_on_redis_relations_of_a_job_go_with_its_record(redis_url: str, name: str):
    backend = open_redis(name, redis_url, Settings(keep_records=1))
    hand, relations = Hand(backend), backend.key("kin", "parent")
    backend.enqueue([job("parent"), job("child", parent="parent", relation="call")])
    parent, child = hand.claim(2)

    hand.settle(succeeded(parent))
    assert backend.call("SMEMBERS", relations) == [b"child"]
    hand.settle(succeeded(child))

    assert [row.id for row in backend.rows()] == ["child"]
    assert not backend.call("EXISTS", relations)
    backend.close()
