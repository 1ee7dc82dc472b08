"""The archive of a queue on Redis: its ended jobs go to a database, and all is told as before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nephew import Nephew
from nephew.archive import Archiver, archiver_of
from nephew.backends.redis import RedisBackend
from nephew.errors import ConfigError, NephewError
from nephew.job import State
from tests.contract import jobs
from tests.contract.conftest import Work
from tests.eventually import eventually
from tests.places import DATABASES, on
from tests.servers import PostgresServer, RedisServer
from tests.shop import declare

store_url = on(*DATABASES)

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
    ids = [each.id for each in shop.add.map([1, 2, 3])]
    work(huey)
    queue, news = redis_of(huey), redis_of(huey).news(0)
    assert news is not None

    huey.store.keep(queue.records(news.ended)[0], 0, news.last)

    assert [job.id for job in huey.jobs()] == ids[::-1]
    archive(archiver_of(huey))
    assert (huey.backend.counts(), huey.store.counts()) == ({}, {State.SUCCEEDED: 3})
    assert [job.id for job in huey.jobs()] == ids[::-1]


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


def test_a_consumer_archives_and_the_command_line_tells(redis_url: str, sqlite_url: str, name: str):
    shop = os.environ | {"SHOP_URL": redis_url, "SHOP_NAME": name, "NEPHEW_APP": "tests.shop.huey"}
    archived = shop | {"NEPHEW_DATABASE_URL": sqlite_url}
    huey = Nephew(name, redis_url, database_url=sqlite_url)
    failed = declare(huey).fail("oops")

    with start("-m", "nephew", "run", environment=archived) as consumer:
        try:
            eventually(lambda: huey.store.counts() == {State.FAILED: 1})
        finally:
            consumer.terminate()

    assert huey.backend.locks() == []
    huey.close()
    commands = ("status", archived), ("jobs show " + failed.id, archived), ("status", shop)
    started = [start("-m", "nephew", *words.split(), environment=environment) for words, environment in commands]
    status, shown, without = (process.communicate()[0] for process in started)
    assert "0 events behind" in status
    assert "oops" in shown
    assert "the last 100,000 ended jobs, kept by Redis" in without


def start(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def redis_of(huey: Nephew) -> RedisBackend:
    assert isinstance(huey.backend, RedisBackend)
    return huey.backend
