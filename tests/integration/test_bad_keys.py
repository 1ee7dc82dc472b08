"""Something else under the keys of ours on Redis: values of a wrong type, and bytes that are no job."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis as driver

from nephew.errors import BackendError
from tests.consumers import Bench, Consumer
from tests.eventually import eventually
from tests.integration.conftest import open_bench
from tests.servers import RedisServer

#: What jobs can do without: what belongs there is left out.
SPARED = (
    "awaited", "event", "events", "expiring", "interim", "keyof", "marks", "order", "retrying", "revoked",
    "running", "scheduled", "slots", "stops",
)  # fmt: skip
#: What consumers cannot do without: jobs wait until it is mended.
NEEDED = ("held", "jobs", "queues", "settled", "workers")
#: What nothing can be enqueued without.
COUNTED = ("jobs", "place", "queues", "unique")


@pytest.fixture
def admin(redis: RedisServer) -> Iterator[driver.Redis]:
    with redis.client() as client:
        yield client


@pytest.fixture
def bench(request: pytest.FixtureRequest, redis: RedisServer, name: str, tmp_path: Any) -> Iterator[Bench]:
    with open_bench(request, redis.url, name, tmp_path) as opened:
        yield opened


@pytest.fixture
def consumer(bench: Bench) -> Consumer:
    return bench.consumer("thread", 2, heartbeat=0.1)


class TestAKeyOfAWrongType:
    def test_is_reported_and_jobs_do_without_it_if_they_can(
        self, bench: Bench, consumer: Consumer, admin: driver.Redis
    ) -> None:
        for word in SPARED:
            with misused(admin, key_of(bench, word)) as key:
                results = [bench.tasks.note(word), bench.tasks.post(word), bench.tasks.once(word)]
                for run in ("ran", "ended"):
                    bench.await_run(run, word)
                eventually(lambda: key in consumer.log())
            for result in results:
                assert result.get(blocking=True, timeout=10) == word
            assert bench.await_state(results[0], "succeeded").attempts
        assert len(bench.runs("ran")) == 2 * len(SPARED)
        assert "Traceback" not in consumer.log()

    def test_is_reported_and_jobs_wait_for_what_they_need(
        self, bench: Bench, consumer: Consumer, admin: driver.Redis
    ) -> None:
        for word in NEEDED:
            name = f"held:{worker_number(bench)}" if word == "held" else word
            running = bench.tasks.spell(word, 0.1)
            bench.await_run("began", word)
            with misused(admin, key_of(bench, name)) as key:
                eventually(lambda: f"the key {key} is of the wrong type; delete or rename it" in consumer.log())
            assert bench.await_state(running, "succeeded").crashes == 0
            bench.await_state(bench.tasks.note(word), "succeeded")
        assert len(bench.runs("ended")) == len(NEEDED)

    @pytest.mark.parametrize("word", COUNTED)
    def test_lets_nothing_be_enqueued_by_halves(self, bench: Bench, admin: driver.Redis, word: str) -> None:
        with misused(admin, key_of(bench, word)) as key:
            with pytest.raises(BackendError, match="of the wrong type; delete or rename it") as raised:
                bench.tasks.only_one("refused")
            assert key in str(raised.value)
        assert bench.huey.backend.counts().get("queued", 0) == admin.hlen(key_of(bench, "jobs")) == 0

        assert not bench.tasks.only_one("stored").duplicate

    def test_in_the_place_of_a_queue_parks_its_jobs_and_no_others(
        self, bench: Bench, consumer: Consumer, admin: driver.Redis
    ) -> None:
        with (
            misused(admin, key_of(bench, "q:mail")) as mail,
            misused(admin, key_of(bench, "scheduled")),
            misused(admin, key_of(bench, "retrying")) as retrying,
        ):
            parked = [bench.tasks.post("posted"), bench.tasks.note.schedule(("scheduled",), delay=0.1)]
            parked += [bench.tasks.retry_soon("retried")]
            jobs = [bench.await_state(result, "parked") for result in parked]
            first, following = bench.huey.enqueue(bench.tasks.note.s("first").then(bench.tasks.post))
            bench.await_state(first, "succeeded")
            bench.await_state(following, "parked")
            assert jobs[0].reason == f"the key {mail} is of the wrong type"
            assert jobs[2].reason == f"the key {retrying} is of the wrong type"

        for result in (*parked, following):
            assert bench.huey.retry(result.id)
            bench.await_state(result, "succeeded")

    def test_in_the_place_of_parked_jobs_keeps_no_consumer_from_starting(
        self, bench: Bench, admin: driver.Redis
    ) -> None:
        with misused(admin, key_of(bench, "parked")):
            bench.consumer("thread", 1)
            bench.await_state(bench.tasks.note("ran"), "succeeded")


class TestBytesThatAreNoJob:
    def test_are_parked_where_they_can_be_looked_at(
        self, bench: Bench, consumer: Consumer, admin: driver.Redis
    ) -> None:
        jobs, line = key_of(bench, "jobs"), key_of(bench, "q:default")
        for number, record in enumerate((b"", b"rubbish", b"7 8.5\n{not json\nx", b"7 8.5\n[1]\nx", b"\xff\x00\n\n")):
            admin.hset(jobs, f"rubbish-{number}", record)
            admin.zadd(line, {struct.pack(">Q", 0) + f"rubbish-{number}".encode(): 0})
        bench.await_state(bench.tasks.note("other"), "succeeded")

        bench.await_all("parked", 5)
        for job in bench.huey.jobs(state="parked"):
            assert job.id.startswith("rubbish-")
            assert job.reason
        assert bench.huey.delete_jobs(*(f"rubbish-{number}" for number in range(5))) == 5

    def test_in_what_changed_of_a_job_do_not_keep_it_from_running(
        self, bench: Bench, consumer: Consumer, admin: driver.Redis
    ) -> None:
        held = [bench.tasks.spell(f"before-{number}", 0.3) for number in range(2)]
        for number in range(2):
            bench.await_run("began", f"before-{number}")
        results = [bench.tasks.note(f"changed-{number}") for number in range(3)]
        for result, marks in zip(results, (b"rubbish", b"[1]", b"\xff"), strict=True):
            admin.hset(key_of(bench, "marks"), result.id, marks)

        for result in (*held, *results):
            bench.await_state(result, "succeeded")

    def test_without_a_record_are_dropped_from_their_queue(
        self, bench: Bench, consumer: Consumer, admin: driver.Redis
    ) -> None:
        line = key_of(bench, "q:default")
        admin.zadd(line, {struct.pack(">Q", 1) + b"nobody": 0, b"short": 0})
        bench.await_state(bench.tasks.note("other"), "succeeded")

        assert admin.zcard(line) == 0
        assert "had no job and were dropped" in consumer.log()


@contextmanager
def misused(admin: driver.Redis, key: str) -> Iterator[str]:
    """Somebody else's text under a key, until it is deleted; what was there comes back."""
    aside = f"{key}:aside"
    taken = admin.exists(key) and admin.rename(key, aside)
    admin.set(key, "text")
    try:
        yield key
    finally:
        admin.delete(key)
        if taken:
            admin.rename(aside, key)


def key_of(bench: Bench, word: str) -> str:
    return f"{{{bench.huey.name}}}:{word}"


def worker_number(bench: Bench) -> int:
    return next(worker.number for worker in bench.huey.backend.workers() if worker.kind == "thread")
