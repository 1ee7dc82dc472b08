"""Waiting while the way to the store is broken: a lost word, connection or store only delays what is waited for."""

from __future__ import annotations

import logging
import select
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from nephew import Nephew
from nephew.backends.redis import RedisBackend, open_redis
from nephew.backends.watcher import Watcher
from nephew.lane import Lane
from nephew.settings import Settings
from tests.contract import jobs
from tests.eventually import eventually
from tests.servers import RedisServer


@pytest.fixture
def huey(backend_url: str, name: str) -> Iterator[Nephew]:
    huey = Nephew(name, backend_url)
    huey.task(name="echo")(lambda value: value)
    yield huey
    huey.sign_off()
    huey.backend.close()


@pytest.fixture
def server() -> Iterator[RedisServer]:
    server = RedisServer(settings={"appendonly": "yes", "appendfsync": "always"})
    try:
        server.start()
        yield server
    finally:
        server.remove()


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    thread = threading.Thread(target=act)
    thread.start()
    yield
    thread.join()


def echo(huey: Nephew, value: int):
    task = next(iter(huey._registry._registry.values()))
    return huey.enqueue(task((value,)))


def run_all(huey: Nephew) -> None:
    lane = Lane(huey.worker)
    while (claimed := lane.next()) is not None:
        lane.run(claimed)
    lane.close()
    huey.close()


def cut_listeners(huey: Nephew, url: str) -> None:
    """End the connections by which the store tells of anything."""
    if url.startswith("redis"):
        huey.backend.call("CLIENT", "KILL", "TYPE", "pubsub")
    elif url.startswith("postgres"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'LISTEN%'")


def test_who_lost_the_connection_that_tells_of_ends_waits_on(huey: Nephew, backend_url: str):
    result = echo(huey, 7)

    def act() -> None:
        eventually(lambda: bool(huey.waiting_room._visits))
        cut_listeners(huey, backend_url)
        run_all(huey)

    with meanwhile(act):
        started = time.monotonic()
        assert result.get(blocking=True, timeout=20) == 7

    assert time.monotonic() - started < 10


def test_who_follows_events_goes_on_when_that_connection_was_lost(huey: Nephew, backend_url: str):
    followed = iter(huey.events(block=20))
    results = [echo(huey, number) for number in (1, 2)]

    def act() -> None:
        eventually(lambda: bool(huey.waiting_room._visits))
        cut_listeners(huey, backend_url)
        run_all(huey)

    with meanwhile(act):
        assert [next(followed).job for _ in results] == [result.id for result in results]

    followed.close()


def test_who_waits_while_the_store_is_away_is_told_when_it_is_back(
    server: RedisServer, name: str, caplog: pytest.LogCaptureFixture
):
    huey = Nephew(name, server.url)
    huey.task(name="echo")(lambda value: value)
    result = echo(huey, 7)
    server.stop()

    with caplog.at_level(logging.INFO), ThreadPoolExecutor(1) as pool:
        value = pool.submit(result.get, blocking=True, timeout=30)
        eventually(lambda: "go on waiting" in caplog.text, timeout=25)
        server.start()  # here: it ends with the thread that starts it
        run_all(huey)

    assert value.result() == 7
    assert caplog.text.count("go on waiting") == 1
    huey.sign_off()
    huey.close()


@pytest.fixture
def mails(redis_url: str, name: str) -> Iterator[RedisBackend]:
    """A worker that serves one queue."""
    backend = open_redis(name, redis_url, Settings(queues=("mail",)))
    worker = backend.register(jobs.record(queues="mail"))
    yield backend
    backend.retire(worker)
    backend.close()


def test_an_idle_worker_is_called_only_for_the_queues_that_it_serves(mails: RedisBackend):
    bell = mails.doorbell()
    assert bell.fileno() is not None

    assert not hears(bell, lambda: mails.enqueue([jobs.job(queue="reports")]))
    assert hears(bell, lambda: mails.enqueue([jobs.job(queue="mail")]))

    bell.close()


def test_calls_that_nobody_answers_do_not_pile_up(mails: RedisBackend):
    for number in range(3):  # each comes into an empty queue
        mails.enqueue([jobs.job(f"alone-{number}", queue="mail")])
        mails.delete_jobs([f"alone-{number}"])
        mails.enqueue(jobs.jobs(f"{number}-a", f"{number}-b", queue="mail"))
        mails.delete_jobs([f"{number}-a", f"{number}-b"])

    assert [mails.call("LLEN", mails.key(*words)) for words in (("bell",), ("bell", "mail"))] == [1, 1]


def test_a_call_that_comes_for_a_busy_worker_is_known_to_be_unanswered(mails: RedisBackend):
    bell = mails.doorbell()
    mails.enqueue([jobs.job(queue="mail")])
    select.select([bell.fileno()], [], [], 20)

    assert bell.hang_up()
    bell.fileno()
    assert not bell.hang_up()


def test_a_worker_whose_bell_is_cut_off_looks_by_itself_until_it_is_back(mails: RedisBackend):
    bell = mails.doorbell()
    bell.fileno()

    mails.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    assert eventually(bell.changed)
    assert bell.fileno() is None
    assert eventually(lambda: bell.fileno() is not None)
    bell.close()


def hears(watcher: Watcher, act: Callable[[], object]) -> bool:
    act()
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        if watcher.changed():
            return True
    return False
