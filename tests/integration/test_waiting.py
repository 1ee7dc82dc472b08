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
from nephew.errors import UnknownWorker
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


class Idle:
    """A worker that serves one queue, and waits for jobs of it."""

    def __init__(self, backend: RedisBackend) -> None:
        self.backend, self.number = backend, backend.register(jobs.record(queues="mail"))
        self.bell = backend.doorbell()

    def ask(self, claim: int, seconds: float = 20.0) -> int | None:
        return self.bell.ask(self.number, claim, 1, ("mail",), seconds)

    def brought(self) -> list[str] | None:
        found = self.bell.jobs()
        return None if found is None else [claimed.id for claimed in found]

    def claimed(self, claim: int) -> list[str]:
        return [claimed.id for claimed in self.backend.claim(self.number, claim, 1, ("mail",))]


@pytest.fixture
def idle(redis_url: str, name: str) -> Iterator[Idle]:
    backend = open_redis(name, redis_url, Settings(queues=("mail",)))
    idle = Idle(backend)
    yield idle
    idle.bell.close()
    backend.retire(idle.number)
    backend.close()


def is_readable(descriptor: int | None, within: float) -> bool:
    assert descriptor is not None
    return bool(select.select([descriptor], [], [], within)[0])


def test_an_idle_worker_is_brought_only_jobs_of_the_queues_that_it_serves(idle: Idle):
    asked = idle.ask(1)

    idle.backend.enqueue([jobs.job(queue="reports")])
    assert not is_readable(asked, 0.1)
    idle.backend.enqueue([jobs.job("mail", queue="mail")])
    assert is_readable(asked, 20)

    assert idle.brought() == ["mail"]


def test_an_idle_worker_that_is_brought_nothing_in_time_has_looked(idle: Idle):
    asked = idle.ask(1, seconds=0.05)

    assert is_readable(asked, 20)

    assert idle.brought() == []
    assert idle.ask(2) is not None


def test_a_worker_that_does_not_read_what_it_was_brought_is_told_of_it_by_the_same_claim(idle: Idle):
    idle.ask(1)
    idle.backend.enqueue(jobs.jobs("mail", "another", queue="mail"))
    assert eventually(lambda: idle.backend.held(idle.number))

    idle.bell.close()

    assert idle.claimed(1) == idle.claimed(1) == ["mail"]
    assert idle.claimed(2) == ["another"]


def test_a_worker_that_waits_no_longer_takes_what_there_is_itself(idle: Idle):
    idle.ask(1)
    assert idle.brought() is None
    idle.backend.enqueue([jobs.job("mail", queue="mail")])

    assert idle.claimed(1) == ["mail"]
    assert [job_id for _, job_id, _ in idle.backend.held(idle.number)] == ["mail"]


def test_an_idle_worker_that_was_taken_for_dead_is_told_so_by_its_next_claim(idle: Idle):
    asked = idle.ask(1)
    idle.backend.retire(idle.number)
    idle.backend.enqueue([jobs.job("mail", queue="mail")])
    assert is_readable(asked, 20)

    assert idle.brought() is None
    with pytest.raises(UnknownWorker):
        idle.claimed(1)


def test_calls_that_nobody_answers_do_not_pile_up(idle: Idle):
    for number in range(3):  # each comes into an empty queue
        idle.backend.enqueue([jobs.job(f"alone-{number}", queue="mail")])
        idle.backend.delete_jobs([f"alone-{number}"])
        idle.backend.enqueue(jobs.jobs(f"{number}-a", f"{number}-b", queue="mail"))
        idle.backend.delete_jobs([f"{number}-a", f"{number}-b"])

    assert [idle.backend.call("LLEN", idle.backend.key(*words)) for words in (("bell",), ("bell", "mail"))] == [1, 1]


def test_a_worker_whose_bell_is_cut_off_looks_by_itself_until_it_is_back(idle: Idle):
    asked = idle.ask(1)

    idle.backend.call("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    assert is_readable(asked, 20)
    assert idle.brought() is None
    assert idle.ask(1) is None
    assert eventually(lambda: idle.ask(1) is not None)
