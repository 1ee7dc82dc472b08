"""The archive of a queue on Redis: its ended jobs go to a database, and all is told as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nephew import Nephew
from nephew.archive import Archiver, archiver_of
from nephew.backends.redis import RedisBackend
from nephew.errors import BackendError, ConfigError, NephewError
from nephew.job import State
from tests.contract import jobs
from tests.contract.conftest import Work
from tests.places import DATABASES, on
from tests.servers import PostgresServer, RedisServer
from tests.shop import declare

store_url = on(*DATABASES)

#: An archive that nobody reaches.
AWAY = "postgresql://nobody@127.0.0.1:1/x"

Shops = Callable[..., tuple[Nephew, Any]]


@pytest.fixture
def open_shop(redis_url: str, sqlite_url: str, name: str) -> Iterator[Shops]:
    """Makes instances on one Redis, with one archive."""
    made: list[Nephew] = []

    def open_(url: str = redis_url, database_url: str = sqlite_url, **settings: Any) -> tuple[Nephew, Any]:
        huey = Nephew(name, url, database_url=database_url, **settings)
        made.append(huey)
        return huey, declare(huey)

    yield open_

    for huey in made:
        huey.sign_off()
        huey.close()


def archive(archiver: Archiver) -> None:
    """Let it do all that there is to do."""
    while archiver.step():
        pass
    archiver.resign()


def told(huey: Nephew, *ids: str) -> list[Any]:
    """What people see of jobs."""
    return [
        [(huey.job(id), huey.logs(id)) for id in ids],
        [job.id for job in huey.jobs()],
        huey.jobs(error="ValueError", limit=1),
        [list(step) for step in huey.inspection.selection(state=["succeeded", "failed"]).ids()],
        huey.inspection.failures(),
        huey.inspection.status().counts,
        huey.prune({"failed": 0}, dry_run=True),
    ]


def die_before_redis_forgets(huey: Nephew) -> None:
    """Do what an archiver does until then."""
    since = huey.store.cursor() or 0
    news = redis_of(huey).news(since)
    assert news is not None
    huey.store.keep(redis_of(huey).records(news.ended)[0], since, news.last)


def test_jobs_are_told_alike_before_and_after_they_are_archived(open_shop: Shops, store_url: str, work: Work):
    huey, shop = open_shop(database_url=store_url)
    ids = [each.id for each in shop.add.map([1, 2, 3])]
    ids += [each.id for each in huey.enqueue(shop.add.s(1).then(shop.say, "done"))]
    ids += [shop.fail("one \0").id, shop.fail("two").id, shop.add.schedule((1,), delay=60).id]
    work(huey)
    results, before = [huey.result(id) for id in ids[:5]], told(huey, *ids)

    archive(archiver_of(huey))

    assert told(huey, *ids) == before
    assert huey.backend.counts() == {State.SCHEDULED: 1}
    assert [huey.result(id) for id in ids[:5]] == results, "results stay on Redis for as long as they are kept"


def test_an_archiver_that_dies_before_redis_forgets_leaves_nothing_twice(open_shop: Shops, work: Work):
    huey, shop = open_shop()
    ids = [shop.fail("one").id]
    work(huey)
    archive(archiver_of(huey))
    ids += [each.id for each in (shop.fail("one"), shop.fail("two"), *shop.add.map([1, 2, 3]))]
    work(huey)
    before, counted = told(huey, *ids), huey.inspection.selection(task="fail").count()

    die_before_redis_forgets(huey)

    assert told(huey, *ids) == before
    assert (huey.inspection.selection(task="fail").count(), counted) == (3, 3)
    archive(archiver_of(huey))
    assert (huey.backend.counts(), huey.store.counts()) == ({}, {State.SUCCEEDED: 3, State.FAILED: 3})
    assert told(huey, *ids) == before


def test_a_job_that_is_in_both_places_is_deleted_once(open_shop: Shops, work: Work):
    huey, shop = open_shop()
    done, failed = shop.add(1), shop.fail("oops")
    work(huey)
    die_before_redis_forgets(huey)
    assert huey.retry(failed.id)

    assert huey.delete_jobs(done.id, failed.id) == 1, "the other one waits"
    assert [job.state for job in huey.jobs()] == [State.QUEUED]
    assert huey.store.counts() == {}


def test_of_two_archivers_one_works_until_it_resigns(open_shop: Shops, work: Work):
    (huey, shop), (other, _) = open_shop(), open_shop()
    first, second = archiver_of(huey), archiver_of(other)
    first.step()
    shop.add(1)
    work(huey)

    assert not second.step()
    assert huey.backend.counts() == {State.SUCCEEDED: 1}
    assert huey.inspection.locks() == []
    archive(first)
    shop.add(2)
    work(huey)
    archive(archiver_of(other))
    assert huey.store.counts() == {State.SUCCEEDED: 2}


def test_one_that_was_taken_for_dead_writes_nothing_any_more(open_shop: Shops, work: Work):
    huey, shop = open_shop()
    shop.add(1)
    work(huey)
    archive(archiver_of(huey))

    assert not huey.store.keep((), 0, 10)


def test_an_archived_job_is_retried_with_its_attempts(open_shop: Shops, work: Work):
    huey, shop = open_shop()
    failed = shop.fail("oops")
    work(huey)
    archive(archiver_of(huey))

    assert huey.retry(failed.id)
    assert not huey.retry(failed.id)
    assert (huey.job(failed.id).state, huey.store.counts()) == (State.QUEUED, {})
    work(huey)
    archive(archiver_of(huey))
    assert [attempt.number for attempt in huey.job(failed.id).attempts] == [1, 2]
    assert huey.store.counts() == {State.FAILED: 1}


def test_an_archived_job_whose_twin_waits_is_not_retried(open_shop: Shops, work: Work):
    huey, _ = open_shop()
    once = huey.task(unique=True)(jobs.fails)
    failed = once()
    work(huey)
    archive(archiver_of(huey))
    once()

    assert not huey.retry(failed.id)
    assert huey.job(failed.id).state == State.FAILED


def test_archived_jobs_are_called_anew_and_deleted(open_shop: Shops, work: Work):
    huey, shop = open_shop()
    done = shop.add(1, 2)
    work(huey)
    archive(archiver_of(huey))

    again = huey.rerun(done.id)
    work(huey)

    assert again.get() == 3
    assert huey.job(again.id).parents == (done.id,)
    assert huey.job(done.id).children == (again.id,)
    assert huey.delete_jobs(done.id, again.id) == 2
    assert huey.jobs() == []


def test_a_job_that_is_deleted_on_its_way_into_the_archive_does_not_come_back(open_shop: Shops, work: Work):
    huey, shop = open_shop()
    done = shop.add(1)
    work(huey)
    queue = redis_of(huey)
    records, _, _ = queue.records([done.id])

    assert huey.delete_jobs(done.id) == 1
    huey.store.keep(records, 0, 1)

    assert queue.drop(records) == [done.id]
    assert queue.records([done.id]) == ([], [], 1), "nor is it missed"


def test_a_job_that_is_retried_on_its_way_into_the_archive_is_not_told_as_ended(open_shop: Shops, work: Work):
    huey, shop = open_shop()
    failed = shop.fail("oops")
    work(huey)
    queue = redis_of(huey)
    records, _, _ = queue.records([failed.id])

    assert huey.retry(failed.id)
    huey.store.keep(records, 0, 0)

    assert queue.drop(records) == [failed.id]
    assert huey.job(failed.id).state == State.QUEUED


def test_what_is_not_kept_any_longer_is_deleted_from_the_archive(open_shop: Shops, work: Work):
    huey, shop = open_shop(keep_succeeded="1 jobs")
    ids = [each.id for each in shop.add.map(range(3))]
    work(huey)

    archive(archiver_of(huey))

    assert [job.id for job in huey.jobs()] == ids[-1:]


def test_what_redis_could_not_keep_is_counted(open_shop: Shops, work: Work, caplog: pytest.LogCaptureFixture):
    huey, shop = open_shop(keep_records=10, keep_events=10)
    archive(archiver_of(huey))
    for number in range(220):  # each an entry of the stream, which is cut by the hundred
        shop.add(number)
        work(huey)

    archive(archiver_of(huey))

    assert huey.inspection.status().archive[1:] == (0, 210, None)
    assert huey.store.counts() == {State.SUCCEEDED: 10}
    assert "were cut" in caplog.text


def test_the_queue_works_while_the_archive_is_away(open_shop: Shops, work: Work, postgres: PostgresServer):
    huey, shop = open_shop(database_url=postgres.url)
    archiver = archiver_of(huey)
    archive(archiver)
    done = shop.add(1)
    postgres.stop()
    try:
        with pytest.raises(NephewError):
            archive(archiver)
        work(huey)
        assert done.get() == 2
        assert huey.inspection.status().archive.trouble
    finally:
        postgres.start()

    archive(archiver)

    assert huey.store.counts() == {State.SUCCEEDED: 1}


def test_while_the_archive_is_away_all_is_told_and_done_as_far_as_redis_goes(
    open_shop: Shops, work: Work, caplog: pytest.LogCaptureFixture
):
    huey, shop = open_shop(database_url=AWAY)
    done, failed = shop.add(1), shop.fail("oops")
    work(huey)
    waiting = shop.add(2)
    caplog.clear()

    assert [job.id for job in huey.jobs(state="queued")] == [waiting.id]
    assert huey.inspection.selection(state="queued").count() == 1
    assert caplog.messages == [], "for what waits it is not asked"
    assert told(huey, waiting.id, failed.id)[1] == [waiting.id, failed.id, done.id]
    assert huey.retry(failed.id)
    assert not huey.retry(failed.id)
    assert huey.delete_jobs(done.id, waiting.id) == 1
    assert sum(huey.prune({"failed": 0}).values()) == 0
    with pytest.raises(BackendError, match="refused"):
        huey.retry("01a20126-d0ba-7f15-8482-a021a2523848")  # it may be in the archive
    assert [text.partition(" (")[0] for text in caplog.messages] == ["The archive cannot be reached"]


def test_the_archive_goes_on_when_redis_was_restarted(open_shop: Shops, work: Work):
    server = RedisServer(settings={"appendonly": "yes"})
    try:
        server.start()
        huey, shop = open_shop(server.url)
        archiver = archiver_of(huey)
        shop.add(1)
        work(huey)
        archiver.step()
        shop.add(2)
        work(huey)
        server.restart()

        archive(archiver)

        assert (huey.backend.counts(), huey.store.counts()) == ({}, {State.SUCCEEDED: 2})
        assert huey.inspection.status().archive.behind == 0
    finally:
        huey.sign_off()
        server.remove()


def test_the_archive_outlives_a_redis_that_has_lost_everything(open_shop: Shops, work: Work):
    server = RedisServer()
    try:
        server.start()
        huey, shop = open_shop(server.url)
        archiver = archiver_of(huey)
        ids = [each.id for each in shop.add.map([1, 2])]
        work(huey)
        archive(archiver)
        server.restart()

        archive(archiver)
        ids.append(shop.add(3).id)
        work(huey)
        archive(archiver)

        assert [job.id for job in huey.jobs()] == ids[::-1]
    finally:
        huey.sign_off()
        server.remove()


def test_a_file_is_refused_as_the_archive_of_several_hosts(open_shop: Shops, postgres_url: str):
    huey, _ = open_shop()
    huey.prepare_store()
    huey.backend.register(jobs.record(host="elsewhere", boot="another"))

    for step in (huey.prepare_store, archiver_of(huey).step):
        with pytest.raises(ConfigError, match=r"workers on elsewhere.*PostgreSQL"):
            step()
    open_shop(database_url=postgres_url)[0].prepare_store()


def test_the_place_of_the_archive_is_checked(redis_url: str, sqlite_url: str, name: str):
    for place in ("memory://", "somewhere", "mysql://host"):
        with pytest.raises(ConfigError, match="expected"):
            Nephew(name, redis_url, database_url=place)
    with pytest.raises(ConfigError, match="on Redis"):
        Nephew(name, sqlite_url, database_url=sqlite_url)


def redis_of(huey: Nephew) -> RedisBackend:
    assert isinstance(huey.backend, RedisBackend)
    return huey.backend
