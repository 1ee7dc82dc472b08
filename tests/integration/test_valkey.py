"""Valkey in the place of Redis: the same work, on a real server."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huey.api import chord

from nephew import LockNotAcquired
from tests.consumers import ROOT, Bench
from tests.integration.conftest import open_bench
from tests.integration.test_redis_connections import opened, running, work
from tests.servers import RedisServer
from tests.topologies import find_valkey


@pytest.fixture(scope="module")
def valkey() -> Iterator[RedisServer]:
    server = RedisServer(find_valkey())
    with running(server):
        yield server


@pytest.fixture
def bench(request: pytest.FixtureRequest, valkey: RedisServer, name: str, tmp_path: Path) -> Iterator[Bench]:
    with open_bench(request, valkey.url.replace("redis://", "valkey://"), name, tmp_path) as opened:
        yield opened


def test_a_consumer_does_all_kinds_of_work(bench: Bench) -> None:
    huey, tasks = bench.huey, bench.tasks
    consumer = bench.consumer("process", 2, environment={"TEST_CLOCK": "1"})

    retried, later = tasks.retry_soon("retried"), tasks.note.schedule(("later",), delay=0.5)
    noted = tasks.note.map(["a", "b", "c"])
    first, second = huey.enqueue(tasks.note.s("first").then(tasks.post))
    huey.enqueue(chord([tasks.note.s(f"member-{number}") for number in range(3)], tasks.follow.s("members")))
    waited = huey.wait([*noted, first, second, retried, later], timeout=20)

    assert waited.pending == [], bench.logs()
    assert [attempt.outcome for attempt in bench.job(retried).attempts] == ["failed", "succeeded"]
    assert (later.get(), second.get()) == ("later", "first")
    assert asyncio.run(awaited(bench)) == "awaited"
    bench.await_run("followed", "members")
    bench.await_run("tick", "tick")
    told = [event.state for event in huey.events("0", block=0) if event.job == retried.id]
    assert told == ["retrying", "succeeded"]
    assert "trying again" not in consumer.log()


async def awaited(bench: Bench) -> str:
    """A result, awaited under a lock that keeps others out."""
    async with bench.huey.lock("stock"):
        with pytest.raises(LockNotAcquired):
            await bench.huey.lock("stock", wait=0).acquire_async()
        return str(await bench.tasks.note("awaited"))


def test_a_server_that_is_new_enough_is_taken_for_one(valkey: RedisServer, name: str) -> None:
    with opened(valkey.url, name) as backend:
        assert work(backend, 20) == 20
        (warning,) = backend.warnings()
        assert "nothing on disk" in warning or "appendonly" in warning
    with valkey.client() as client:
        assert "valkey_version" in client.info("server")


@pytest.mark.long
def test_the_contract_is_kept() -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "redis", "tests/contract"]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"REDIS_SERVER": str(find_valkey())}, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout[-20_000:]
