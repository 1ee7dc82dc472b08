"""Redis on its bad days: it restarts, breaks connections, loses replies, stands still, is full, read-only or slow."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis as driver

from nephew.backends.redis import packing, scripts
from nephew.errors import BackendError
from nephew.job import ENDED
from tests.consumers import KINDS, Bench, Consumer, repeated
from tests.eventually import eventually
from tests.faults import Delay
from tests.integration.conftest import open_bench
from tests.proxies import Detour, Proxy
from tests.servers import RedisServer


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of the test's own, which keeps all that it has confirmed."""
    with started(RedisServer(settings={"appendonly": "yes", "appendfsync": "always"})) as server:
        yield server


@contextmanager
def started(server: RedisServer) -> Iterator[RedisServer]:
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def bench(request: pytest.FixtureRequest, server: RedisServer, name: str, tmp_path: Path) -> Iterator[Bench]:
    with open_bench(request, server.url, name, tmp_path) as opened:
        yield opened


@pytest.fixture
def admin(server: RedisServer) -> Iterator[driver.Redis]:
    with server.client() as client:
        yield client


def kinds(first: str) -> pytest.MarkDecorator:
    """This kind of workers, and at full size all of them."""
    return pytest.mark.parametrize(
        "kind", [pytest.param(kind, marks=() if kind == first else pytest.mark.long) for kind in KINDS]
    )


class TestARestart:
    @kinds("process")
    @pytest.mark.parametrize(
        ("signum", "appendfsync"), [(signal.SIGTERM, "everysec"), (signal.SIGKILL, "always")], ids=["ended", "killed"]
    )
    def test_in_the_middle_of_many_jobs_loses_and_repeats_none(
        self,
        bench: Bench,
        server: RedisServer,
        admin: driver.Redis,
        kind: str,
        signum: int,
        appendfsync: str,
        long: bool,
    ) -> None:
        admin.config_set("appendfsync", appendfsync)
        consumer = bench.consumer(kind, 2)
        count = 10_000 if long else 2_000
        results = enqueue(bench, count)

        with ThreadPoolExecutor(1) as producer:
            for share in (4, 2):
                bench.await_all("succeeded", count // share)
                server.stop(signum)
                during = producer.submit(bench.tasks.spell, f"during-{share}", 0)
                server.start()
                results.append(during.result())
                assert not all_succeeded(bench, results)

        assert_all_succeeded_once(bench, admin, results)
        assert_recovered(consumer)


class TestKilledConnections:
    @kinds("thread")
    def test_lose_and_repeat_nothing(self, bench: Bench, admin: driver.Redis, kind: str) -> None:
        consumer, killed = bench.consumer(kind, 2), 0
        chance = random.Random(1)

        with ThreadPoolExecutor(1) as producer:
            enqueueing = producer.submit(enqueue, bench, 2_000)

            def finished() -> bool:
                nonlocal killed
                killed += admin.client_kill_filter(_type=chance.choice(("normal", "pubsub")), skipme=True)
                return enqueueing.done() and all_succeeded(bench, enqueueing.result())

            eventually(finished, 60)

        assert killed > 20
        assert_all_succeeded_once(bench, admin, enqueueing.result())
        assert_recovered(consumer)


class TestLostReplies:
    def test_to_scripts_that_were_executed_lose_and_repeat_nothing(
        self, bench: Bench, server: RedisServer, admin: driver.Redis, request: pytest.FixtureRequest
    ) -> None:
        """Every other reply of every script is lost; a worker dies, schedules tick, retries come due."""
        with (
            Detour(server, losing=every_script()) as detour,
            open_bench(request, detour.url, bench.huey.name, bench.folder) as bench,
        ):
            consumer = bench.consumer("process", 2, environment={"TEST_CLOCK": "1"})
            victim = bench.tasks.spell("victim", 0.6)
            os.kill(bench.await_run("began", "victim").pid, signal.SIGKILL)
            results = enqueue(bench, 200)
            results += [bench.tasks.spell(f"single-{number}", 0) for number in range(20)]
            failing = [bench.tasks.retry_soon(f"failing-{number}") for number in range(3)]

            assert_all_succeeded_once(bench, admin, [*results, victim, *failing])
            eventually(lambda: len(bench.runs("tick")) >= 2)
            enqueueing = {name for name in every_script() if name.startswith("enqueue")}
            assert enqueueing | {"claim", "settle", "reap", "decide", "promote"} <= set(detour.lost)
            assert [attempt.outcome for attempt in bench.job(victim).attempts] == ["crashed", "succeeded"]
            assert {len(bench.job(result).attempts) for result in failing} == {2}
            assert consumer.stop() == 0
        due = admin.zcard(key_of(bench, "ticks:tests.integration.apps.jobs.tick"))
        assert 2 <= len(bench.runs("tick")) <= due


class TestAStandstill:
    @pytest.mark.parametrize("way", ["stopped", pytest.param("paused", marks=pytest.mark.long)])
    @kinds("thread")
    def test_delays_jobs_and_repeats_none(
        self, request: pytest.FixtureRequest, server: RedisServer, admin: driver.Redis, name: str, tmp_path: Path,
        kind: str, way: str, long: bool,
    ) -> None:  # fmt: skip
        seconds = 20 if long else 4
        with open_bench(request, f"{server.url}?socket_timeout=1", name, tmp_path) as bench:
            consumer = bench.consumer(kind, 2)
            results = [bench.tasks.spell(f"running-{number}", 1) for number in range(2)]
            results += [bench.tasks.spell(f"waiting-{number}", 0) for number in range(50)]
            for number in range(2):
                bench.await_run("began", f"running-{number}")

            with standstill(server, admin, way, seconds):
                with pytest.raises(BackendError, match=r"cannot be reached .* may be repeated"):
                    bench.tasks.note("unknown")
                eventually(lambda: "trying again in" in consumer.log())

            results.append(bench.tasks.spell("after", 0))
            assert_all_succeeded_once(bench, admin, results)
            assert_recovered(consumer)
            eventually(lambda: bench.claimed() == 0)
            assert len(bench.runs("ran", "unknown")) <= 1


@contextmanager
def standstill(server: RedisServer, admin: driver.Redis, way: str, seconds: float) -> Iterator[None]:
    begun = time.monotonic()
    if way == "paused":
        admin.client_pause(int(seconds * 1000))
    else:
        os.kill(server.pid, signal.SIGSTOP)
    try:
        yield
        eventually(lambda: time.monotonic() - begun > seconds, seconds + 1)
    finally:
        os.kill(server.pid, signal.SIGCONT)


class TestAFullServer:
    @kinds("greenlet")
    def test_refuses_new_jobs_and_finishes_those_that_it_has(
        self, bench: Bench, admin: driver.Redis, kind: str
    ) -> None:
        consumer = bench.consumer(kind, 2)
        results = [bench.tasks.spell(f"running-{number}", 0.5) for number in range(2)]
        for number in range(2):
            bench.await_run("began", f"running-{number}")
        results += [bench.tasks.spell(f"waiting-{number}", 0.1) for number in range(10)]
        others = [bench.tasks.retry_soon("failing"), bench.tasks.once("once"), bench.tasks.post("mail")]
        later = bench.tasks.spell.schedule(("later", 0), delay=0.5)
        before = admin.hlen(key_of(bench, "jobs"))

        admin.config_set("maxmemory", 1)
        for enqueue_one in refused_ways(bench):
            with pytest.raises(BackendError, match=r"memory is full .maxmemory. and nothing was stored"):
                enqueue_one()
        assert admin.hlen(key_of(bench, "jobs")) == before
        assert_all_succeeded_once(bench, admin, [*results, *others, later])
        admin.config_set("maxmemory", 0)

        after = bench.tasks.spell("after", 0)
        assert_all_succeeded_once(bench, admin, [*results, *others, later, after])
        assert consumer.is_running()
        assert not bench.runs("ran", "refused")


def refused_ways(bench: Bench) -> Sequence[Callable[[], Any]]:
    tasks = bench.tasks
    return (
        lambda: tasks.note("refused"),
        lambda: tasks.note.schedule(("refused",), delay=60),
        lambda: tasks.only_one("refused"),
        lambda: bench.huey.enqueue_many([tasks.note.s("refused"), tasks.post.s("refused")]),
    )


#: It is in step at once.
REPLICA = {"repl-diskless-sync-delay": "0"}


class TestAFailover:
    @kinds("process")
    def test_to_a_server_that_becomes_read_only_is_waited_for(
        self, bench: Bench, server: RedisServer, admin: driver.Redis, kind: str
    ) -> None:
        consumer = bench.consumer(kind, 2)
        with (
            started(RedisServer(settings=REPLICA | {"replicaof": f"127.0.0.1 {server.port}"})) as replica,
            replica.client() as other,
        ):
            replica.keeps_jobs = False  # but a copy of those of a moment amid the work
            eventually(lambda: other.info("replication")["master_link_status"] == "up")
            results = [bench.tasks.spell(f"running-{number}", 0.5) for number in range(2)]
            results += [bench.tasks.spell(f"waiting-{number}", 0) for number in range(50)]
            for number in range(2):
                bench.await_run("began", f"running-{number}")

            # The replica is to have everything: what it has not would be lost, as Redis is made.
            admin.client_pause(5000, all=False)
            offsets = ("master_repl_offset", admin), ("slave_repl_offset", other)
            eventually(lambda: len({client.info("replication")[word] for word, client in offsets}) == 1)
            admin.replicaof("127.0.0.1", replica.port)
            other.replicaof("NO", "ONE")
            admin.client_unpause()
            with pytest.raises(BackendError, match=r"read only .* may be repeated"):
                bench.tasks.note("refused")
            eventually(lambda: "trying again in" in consumer.log())
            admin.replicaof("NO", "ONE")

            results.append(bench.tasks.spell("after", 0))
            assert_all_succeeded_once(bench, admin, results)
            assert_recovered(consumer)
            assert not bench.runs("ran", "refused")


class TestASlowServer:
    @kinds("greenlet")
    def test_is_waited_for_without_haste(
        self, bench: Bench, server: RedisServer, admin: driver.Redis, kind: str, long: bool
    ) -> None:
        with Proxy(server) as proxy:
            consumer = bench.consumer(kind, 2, environment={"NEPHEW_URL": proxy.url})
            with proxy.suffering(Delay(0.1)) as slow:  # each way
                results = enqueue(bench, 200 if long else 20)
                assert_all_succeeded_once(bench, admin, results)

                before, since = slow.hits, time.monotonic()
                eventually(lambda: time.monotonic() - since > 1.5)
                assert slow.hits - before < 50
            assert consumer.stop() == 0
        assert "trying again" not in consumer.log(), consumer.log()


class TestScripts:
    @kinds("thread")
    def test_that_are_forgotten_all_the_time_are_brought_again(
        self, bench: Bench, admin: driver.Redis, kind: str
    ) -> None:
        consumer = bench.consumer(kind, 2)
        results = enqueue(bench, 500)

        def finished() -> bool:
            admin.script_flush()
            bench.tasks.note("another")
            return all_succeeded(bench, results)

        eventually(finished, 30)
        assert_all_succeeded_once(bench, admin, results)
        assert "trying again" not in consumer.log(), consumer.log()

    def test_need_neither_script_nor_function_commands(
        self, request: pytest.FixtureRequest, server: RedisServer, admin: driver.Redis, name: str, tmp_path: Path
    ) -> None:
        forbidden = ["-script", *(["-function"] if int(admin.info()["redis_version"].split(".")[0]) >= 7 else [])]
        admin.execute_command(
            "ACL", "SETUSER", "limited", "on", ">secret", f"~{{{name}}}*", "&*", "+@all", "-@admin", "-@dangerous",
            *forbidden,
        )  # fmt: skip
        with open_bench(request, server.url.replace("redis://", "redis://limited:secret@"), name, tmp_path) as bench:
            consumer = bench.consumer("process", 2)
            assert_all_succeeded_once(bench, admin, enqueue(bench, 20))
            assert "trying again" not in consumer.log(), consumer.log()


def every_script() -> list[str]:
    return sorted(path.stem for path in Path(scripts.__file__).with_name("lua").glob("*.lua"))


def enqueue(bench: Bench, count: int) -> list[Any]:
    """Jobs of a millisecond, in batches."""
    batches = [range(start, min(start + 100, count)) for start in range(0, count, 100)]
    calls = [[bench.tasks.spell.s(f"job-{number}", 0.001) for number in batch] for batch in batches]
    return [result for batch in calls for result in bench.huey.enqueue_many(batch)]


def all_succeeded(bench: Bench, results: Sequence[Any]) -> bool:
    return bench.huey.backend.counts().get("succeeded", 0) >= len(results)


def assert_all_succeeded_once(bench: Bench, admin: driver.Redis, results: Sequence[Any]) -> None:
    """Each was run until it succeeded, was settled once, and has its result; none is held."""
    for result in results:
        bench.await_state(result, "succeeded", 60)
        assert result.get() is not None
    ends = Counter(job for job, _, state, *_ in told(bench, admin) if state in ENDED)
    assert {ends[result.id] for result in results} == set(ends.values()) == {1}
    assert not repeated(bench.runs("ended"))


def key_of(bench: Bench, word: str) -> str:
    return f"{{{bench.huey.name}}}:{word}"


def told(bench: Bench, admin: driver.Redis) -> list[list[str]]:
    """All that happened: job, task, state, worker, error."""
    entries: Any = admin.xrange(key_of(bench, "events"))
    batches = [entry[b"of"] for _, entry in entries]
    return [event for batch in batches for event in packing.events(batch)]


def assert_recovered(consumer: Consumer) -> None:
    """It went on by itself, and said that it was trying to."""
    assert consumer.is_running()
    assert "connecting again" in consumer.log() or "trying again" in consumer.log(), consumer.log()
