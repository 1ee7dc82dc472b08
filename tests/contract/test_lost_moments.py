"""What a store may do to those who use it: forget its last moments, answer late, lose an answer, see an id again."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from huey.api import chord

from nephew import Nephew
from nephew.backends.redis import RedisBackend, open_redis
from nephew.backends.redis.scripts import script
from nephew.errors import BackendError, Refused
from nephew.lane import Lane
from nephew.settings import Settings
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, failed, job, jobs, succeeded


@pytest.fixture
def redis_backend(redis_url: str, name: str) -> Iterator[RedisBackend]:
    backend = open_redis(name, redis_url, Settings(keep_records=1))
    yield backend
    backend.close()


def test_a_worker_gives_back_what_it_is_said_to_hold_and_does_not_know(huey: Nephew, work: Work):
    task = huey.task()(lambda: 7)
    forgotten, kept = task(), task()
    worker, lane = huey.worker, Lane(huey.worker)
    worker.claim(worker.next_claim(), 1)  # its reply was lost with the server's last moments
    claimed = lane.next()  # which counts, too: what was seen once may just be on its way
    assert claimed is not None and claimed.id == kept.id

    given_back = [worker.give_back_forgotten() for _ in range(2)]

    assert given_back == [1, 0]
    lane.run(claimed)
    lane.close()
    work(huey)
    assert (forgotten.get(), kept.get()) == (7, 7)


def test_lanes_that_come_at_once_do_not_count_one_after_the_other(huey: Nephew, work: Work):
    task = huey.task()(lambda: 7)
    results = [task() for _ in range(3)]
    worker = huey.worker
    worker.return_slot(0)  # room for a second lane
    (on_its_way,) = worker.claim(worker.next_claim(), 1)

    lanes = [Lane(worker) for _ in range(2)]
    claimed = [lane.next() for lane in lanes]

    assert (on_its_way.seq, on_its_way.id, on_its_way.claim) in huey.backend.held(worker.number)
    for lane, each in zip(lanes, claimed, strict=True):
        assert each is not None
        lane.run(each)
        lane.close()
    assert [result.state for result in results].count("succeeded") == 2


def test_the_members_of_a_chord_can_be_run_again_with_it(huey: Nephew, work: Work):
    number = huey.task(name="number")(lambda n: n)
    total = huey.task(name="total")(lambda numbers: list(numbers))
    summed = huey.enqueue(chord([number.s(1), number.s(2)], total.s()))
    work(huey)
    members = [each.id for each in huey.jobs(task="number")]

    assert all(huey.retry(member) for member in members)
    work(huey)

    assert summed.get() == [1, 2]


def test_a_step_that_comes_too_late_is_not_done(redis_backend: RedisBackend):
    hand = Hand(redis_backend)
    redis_backend.enqueue([job("waits")])
    late = time.time() - 1
    claim = (script("claim").source, 1, redis_backend.tag, hand.number, 99, 1, 0, late)
    enqueue = (script("enqueue_one").source, 1, redis_backend.tag, "", "late", "default", 0, b'["demo"]\n', late)

    for step in (claim, enqueue):
        with pytest.raises(BackendError, match="LATE"):
            redis_backend.call("EVAL", *step, repeat=False)

    assert redis_backend.row("late") is None
    assert [claimed.id for claimed in hand.claim(5)] == ["waits"]


def test_an_id_that_is_used_again_shows_nothing_of_its_former_end(redis_backend: RedisBackend):
    hand = Hand(redis_backend)
    redis_backend.enqueue([job("again")])
    hand.settle(failed(hand.claim()[0], result=b"old"))
    redis_backend.enqueue([job("other")])
    hand.settle(succeeded(hand.claim()[0]))  # the record of the first is cut
    assert redis_backend.row("again") is None

    redis_backend.enqueue([job("again")])
    waiting = redis_backend.outcome("again"), redis_backend.row("again").state
    hand.settle(succeeded(hand.claim()[0], result=b"new"))

    assert waiting == (("queued", None, None), "queued")
    assert redis_backend.outcome("again")[:2] == ("succeeded", b"new")
    assert redis_backend.peek(["again"]) == {"again": b"new"}


def test_more_jobs_than_one_step_takes_are_refused_and_none_is_stored(redis_backend: RedisBackend):
    with pytest.raises(Refused, match=r"at most 100,000 jobs in one step on Redis, got 100,001; enqueue them in parts"):
        redis_backend.enqueue([job("same")] * 100_001)

    assert redis_backend.counts() == {}


def test_workers_numbers_do_not_come_again_when_the_counter_is_lost(redis_backend: RedisBackend):
    first = Hand(redis_backend)
    redis_backend.call("DEL", redis_backend.key("worker"))

    assert Hand(redis_backend).number > first.number


def test_queues_that_were_lost_are_known_again_with_the_next_job_that_comes_back(redis_backend: RedisBackend):
    hand = Hand(redis_backend)
    redis_backend.enqueue(jobs("1", "2", "3"))
    (held,) = hand.claim()
    redis_backend.call("DEL", redis_backend.key("queues"))

    redis_backend.retire(hand.number)

    assert [claimed.id for claimed in Hand(redis_backend).claim(3)] == [held.id, "2", "3"]


def test_locks_leave_no_key_behind(redis_backend: RedisBackend):
    for number in range(20):
        redis_backend.acquire_lock(f"order-{number}", "me", "", 60)
        redis_backend.release_lock(f"order-{number}", "me")

    assert redis_backend.call("KEYS", redis_backend.key("lock", "*")) == []
