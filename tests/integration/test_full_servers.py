"""PostgreSQL and Redis whose own disk is full: nothing that they took is lost, and work goes on when there is room."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis as driver

from nephew.errors import BackendError
from tests.consumers import Bench, repeated
from tests.eventually import eventually
from tests.integration.conftest import Mount, open_bench
from tests.servers import PostgresServer, RedisServer, Server

#: How much there is to know of a job; it fills what the server had still reserved.
BULK = 100_000


@contextmanager
def on_a_small_disk(server: Server, folder: Path, mount: Mount, size: str) -> Iterator[Server]:
    """A server whose data are on a real disk of this size."""
    folder.mkdir(exist_ok=True)
    owner = server.folder.stat()
    mount("-t", "tmpfs", "-o", f"size={size},uid={owner.st_uid},gid={owner.st_gid},mode=700", "tmpfs", folder)
    try:
        server.start()
        yield server
    finally:
        server.remove()


def fill(disk: Path) -> Path:
    """Take all of its room; the file that has it."""
    filler = disk / "filler"
    with suppress(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(1 << 16)):
            pass
    return filler


def live_through(bench: Bench, disk: Path, recover: Callable[[], object]) -> None:
    """Enqueue until nothing more is taken, make room again, and see that all of it was run once."""
    consumer = bench.consumer("process", 2)
    running = bench.tasks.spell("running", 2.0)
    bench.await_run("began", "running")

    filler = fill(disk)
    taken: list[Any] = [running]

    def until_refused() -> bool:
        try:
            taken.append(bench.tasks.length(f"bulky-{len(taken)}", "x" * BULK))
        except BackendError:
            return True
        return len(taken) > 2000

    eventually(until_refused, 60)
    assert len(taken) < 2000, "the disk was never full"
    eventually(lambda: "trying again in" in consumer.log(), 30)
    filler.unlink()
    recover()

    for result in taken:
        assert bench.await_state(result, "succeeded", 60).crashes == 0
    assert consumer.is_running()
    assert not repeated(bench.runs("ran") + bench.runs("ended"))


def test_a_postgres_without_room_loses_nothing_that_it_took(
    request: pytest.FixtureRequest, mount: Mount, name: str, tmp_path: Path
) -> None:
    server = PostgresServer()
    disk = server.folder / "data"

    def start_again() -> None:
        """It ends when it cannot write its log, and is not started again by itself."""
        try:
            psycopg.connect(server.url, connect_timeout=5).close()
        except psycopg.OperationalError:
            server.restart()

    with on_a_small_disk(server, disk, mount, "100m"), open_bench(request, server.url, name, tmp_path) as bench:
        live_through(bench, disk, start_again)


@pytest.mark.parametrize("fsync", ["everysec", pytest.param("always", marks=pytest.mark.long)])
def test_a_redis_without_room_loses_nothing_that_it_took(
    request: pytest.FixtureRequest, mount: Mount, name: str, tmp_path: Path, fsync: str
) -> None:
    disk = tmp_path / "disk"
    server = RedisServer(settings={"appendonly": "yes", "appendfsync": fsync, "dir": str(disk)})

    def start_again() -> None:
        """With `always` it ends when it cannot write."""
        try:
            with server.client() as client:
                client.ping()
        except driver.ConnectionError:
            server.restart()

    with on_a_small_disk(server, disk, mount, "8m"), open_bench(request, server.url, name, tmp_path) as bench:
        live_through(bench, disk, start_again)
