"""The ledger of schedules on Redis goes to the archive, and is told as before."""

from __future__ import annotations

import pytest

from nephew import Nephew
from nephew.archive import TICKS_LEFT, archiver_of
from nephew.backends.redis import RedisBackend
from nephew.backends.schedules import NewTick, TickRow
from tests.contract.deciding import NOON, begun, decide, decision, ends, stored, tick
from tests.contract.jobs import failed, job
from tests.contract.test_archive import AWAY, Shops, archive, open_shop, store_url

__all__ = ["open_shop", "store_url"]


def ledger(huey: Nephew, limit: int = 10_000) -> list[TickRow]:
    return huey.history.ticks("hourly", limit)


@pytest.fixture
def huey(open_shop: Shops, store_url: str) -> Nephew:
    """An instance with an archive, and more ticks than are left on Redis, one of them enqueued and one waiting."""
    huey, _ = open_shop(database_url=store_url)
    given = [NewTick(NOON + 60 * n, None, "missed", "down") for n in range(1, TICKS_LEFT + 10)]
    enqueued, waiting = tick(NOON + 30, job("a")), tick(NOON + 40)
    decide(begun(huey.backend), decision(enqueued, waiting, *given, overlap="queue"))
    return huey


def test_the_ledger_is_told_alike_before_and_after_it_is_archived(huey: Nephew):
    before = ledger(huey)

    archive(archiver_of(huey))

    assert ledger(huey) == before
    assert ledger(huey, 3) == before[:3]
    assert huey.history.ticks("hourly", 5, before=before[-5].due) == before[-4:]
    here = huey.backend.ticks("hourly", 10_000)
    assert (len(here), len(huey.store.ticks("hourly", 10_000))) == (TICKS_LEFT + 2, TICKS_LEFT + 9)
    assert here[-1] == before[-1], "what is not over is not archived"


def test_a_tick_is_archived_when_its_job_has_ended_though_that_went_before(huey: Nephew):
    backend = huey.backend
    archive(archiver_of(huey))
    ends(backend, "a")

    archive(archiver_of(huey))
    closed = backend.close_ticks()
    archive(archiver_of(huey))

    assert [row.state for row in closed or ledger(huey)[-1:]] == ["succeeded"]
    assert [(row.due, row.state) for row in huey.store.ticks("hourly", before=NOON + 60)] == [(NOON + 30, "succeeded")]
    assert ledger(huey)[-1].ended_at == stored(backend).succeeded_at


def test_a_job_that_comes_back_from_the_archive_opens_its_tick_again(open_shop: Shops, store_url: str):
    huey, _ = open_shop(database_url=store_url)
    decide(begun(huey.backend), decision(tick(NOON + 60, job("a", parent="hourly", relation="schedule"))))
    ends(huey.backend, "a", how=failed)
    archive(archiver_of(huey))
    assert (huey.backend.row("a"), ledger(huey)[0].state) == (None, "failed")

    assert huey.history.requeue("a")
    assert ledger(huey)[0].state == "queued"
    ends(huey.backend, "a")
    huey.backend.close_ticks()
    archive(archiver_of(huey))

    assert [row.state for row in [*ledger(huey), *huey.store.ticks("hourly")]] == ["succeeded"] * 2


def test_an_archiver_that_dies_before_redis_forgets_leaves_no_tick_twice(huey: Nephew):
    before = ledger(huey)
    redis = huey.backend
    assert isinstance(redis, RedisBackend)
    huey.store.migrate()
    huey.store.keep_ticks([tick for tick in redis.filed_ticks(20).values() if tick])

    archive(archiver_of(huey))

    assert ledger(huey) == before


def test_the_archived_ledger_is_pruned(huey: Nephew):
    archive(archiver_of(huey))

    assert [huey.store.prune_ticks(before=NOON, most=20, limit=30) for _ in range(3)] == [30, 9, 0]
    assert len(huey.store.ticks("hourly", 1000)) == 20
    assert huey.store.prune_ticks(before=huey.backend.now() + 60, most=1000) == 20


def test_without_its_archive_the_ledger_is_told_as_far_as_it_is_on_redis(open_shop: Shops):
    huey, _ = open_shop(database_url=AWAY)
    decide(begun(huey.backend), decision(tick(NOON + 60)))

    assert [row.due for row in ledger(huey)] == [NOON + 60]
