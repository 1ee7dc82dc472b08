"""What a dead worker leaves on Redis, where a reply can be lost and nobody is there to undo anything."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nephew.backends.records import Change, Died
from nephew.backends.redis import RedisBackend, open_redis
from nephew.settings import Settings
from tests.contract.jobs import Hand, again, failed, job, jobs
from tests.servers import RedisServer


@pytest.fixture
def backend(redis: RedisServer, name: str) -> Iterator[RedisBackend]:
    backend = open_redis(name, redis.url, Settings())
    yield backend
    backend.close()


def reap(backend: RedisBackend, dead: Hand, heir: Hand, **running: tuple[int, int]) -> list[str]:
    died = Died(dead.number, dict.fromkeys(running.values(), 1.0), "killed")
    return [given.id for given in backend.reap(died, heir.number, 7, lambda task: 1)]


def test_reaping_again_tells_the_heir_the_same_and_charges_nobody_twice(backend: RedisBackend):
    dead, heir = Hand(backend), Hand(backend)
    backend.enqueue(jobs("killer", "innocent"))
    killer, _ = dead.claim(2)

    told = [reap(backend, dead, heir, killer=(killer.seq, killer.claim)) for _ in range(2)]

    assert told == [["killer"], ["killer"]]
    assert len(backend.attempts("killer")) == 1


def test_what_an_heir_that_is_gone_should_have_ended_is_ended_by_another(backend: RedisBackend):
    dead, heir, other = Hand(backend), Hand(backend), Hand(backend)
    backend.enqueue(jobs("killer"))
    (killer,) = dead.claim()
    backend.retire(heir.number)

    assert reap(backend, dead, heir, killer=(killer.seq, killer.claim)) == []

    assert backend.has_lost()
    given = [backend.take_over(other.number, 9) for _ in range(2)]
    assert [(each.id, each.crashes, each.once) for each in given[0]] == [("killer", 1, False)]
    assert given[0] == given[1] and not backend.has_lost()
    assert not other.settle(failed(given[0][0])).lost


def test_a_job_keeps_its_time_to_the_microsecond_wherever_it_goes(backend: RedisBackend):
    hand, eta = Hand(backend), 4102444800.123456
    backend.enqueue(jobs("fresh", "tried", eta=None))
    (tried,) = hand.claim(ids=["tried"])
    hand.settle(again(tried, state="retrying", eta=eta))
    backend.change("fresh", Change(eta=eta))

    hand.claim(ids=["fresh", "tried"])
    backend.retire(hand.number)
    for job_id in ("fresh", "tried"):
        backend.change(job_id, Change(priority=1.5))

    assert backend.counts() == {"scheduled": 1, "retrying": 1}
    assert backend.next_due() == eta
    assert (backend.promote(eta - 1e-6), backend.promote(eta)) == (0, 2)


def test_bytes_that_are_no_job_are_moved_like_any_other(backend: RedisBackend):
    backend.enqueue([job("odd", eta=backend.now() + 60), job("fine")])
    backend.call("HSET", backend.key("jobs"), "odd", b"12 no record")

    moved = backend.promote(backend.now() + 120)

    claimed = Hand(backend).claim(9)
    assert moved == 1
    assert [(each.id, each.payload) for each in claimed] == [("odd", b"12 no record"), ("fine", b"payload")]
