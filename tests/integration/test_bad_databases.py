"""Databases that go away, are locked, have no room, or are worked on, while jobs run."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.consumers import Bench, Consumer, repeated
from tests.eventually import eventually
from tests.integration.conftest import Mount, open_bench
from tests.places import DATABASES, on
from tests.servers import PostgresServer

backend_url = on(*DATABASES)

#: A process that keeps everybody else from writing until its input ends.
LOCK = """
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("BEGIN EXCLUSIVE")
print("locked", flush=True)
sys.stdin.read()
"""


def test_jobs_that_run_while_postgres_is_away_are_settled_when_it_is_back(
    postgres_bench: Bench, postgres: PostgresServer, long: bool
) -> None:
    bench = postgres_bench
    consumer = bench.consumer("process", 2)
    running = [bench.tasks.spell(f"running-{number}", 1.0) for number in range(2)]
    waiting = [bench.tasks.note(f"waiting-{number}") for number in range(20)]
    for number in range(2):
        bench.await_run("began", f"running-{number}")
    bench.huey.backend.close()

    postgres.crash()
    stopped = time.monotonic()
    try:
        eventually(lambda: time.monotonic() - stopped > (60 if long else 5), 70)
        assert "trying again in" in consumer.log()
        assert len(bench.runs("ended")) == 2
    finally:
        postgres.start()

    assert_settled_once(bench, consumer, running, waiting)


def test_jobs_that_run_while_sqlite_is_locked_are_settled_when_it_is_free(
    request: pytest.FixtureRequest, sqlite_url: str, name: str, tmp_path: Path
) -> None:
    with open_bench(request, f"{sqlite_url}?timeout=0.5", name, tmp_path) as bench:
        consumer = bench.consumer("process", 2)
        running = [bench.tasks.spell(f"running-{number}", 0.5) for number in range(2)]
        waiting = [bench.tasks.note(f"waiting-{number}") for number in range(20)]
        for number in range(2):
            bench.await_run("began", f"running-{number}")

        with locked(tmp_path / "nephew.db"):
            for number in range(2):
                bench.await_run("ended", f"running-{number}")
            eventually(lambda: consumer.log().count("database is locked); trying again in") >= 4, 30)

        assert_settled_once(bench, consumer, running, waiting)


def assert_settled_once(bench: Bench, consumer: Consumer, running: list[object], waiting: list[object]) -> None:
    for result in (*running, *waiting):
        job = bench.await_state(result, "succeeded")
        assert (job.crashes, len(job.attempts)) == (0, 1)
    assert consumer.is_running()
    assert not repeated(bench.runs("ended") + bench.runs("ran"))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", LOCK, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        process.communicate()


# -- no room -----------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(mount: Mount, tmp_path: Path) -> Path:
    """A real disk of 4 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "tmpfs", disk)
    return disk


def test_what_finished_while_the_disk_was_full_is_settled_when_there_is_room(
    request: pytest.FixtureRequest, small_disk: Path, name: str, tmp_path: Path
) -> None:
    with open_bench(request, f"sqlite:///{small_disk / 'nephew.db'}", name, tmp_path) as bench:
        consumer = bench.consumer("process", 2)
        bulky = [bench.tasks.bulk(f"bulky-{number}", 400_000, 0.3) for number in range(2)]
        small = [bench.tasks.note(f"small-{number}") for number in range(10)]
        for number in range(2):
            bench.await_run("began", f"bulky-{number}")

        filler = small_disk / "filler"
        fill(filler)
        eventually(lambda: consumer.log().count("database or disk is full); trying again in") >= 3, 30)
        assert "succeeded" not in [bench.job(result).state for result in bulky]
        filler.unlink()

        for result in (*bulky, *small):
            job = bench.await_state(result, "succeeded")
            assert (job.crashes, len(job.attempts)) == (0, 1)
        assert not repeated(bench.runs("began") + bench.runs("ran"))


def fill(path: Path) -> None:
    with suppress(OSError), path.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass


# -- maintenance -------------------------------------------------------------------------------------

JOBS, TIMES = 500, 3


def test_nothing_is_lost_while_the_database_is_vacuumed(bench: Bench) -> None:
    consumer = bench.consumer("process", 2)
    enqueue(bench)

    for _ in range(TIMES):
        assert not all_succeeded(bench)
        vacuum(bench.url)
    bench.await_all("succeeded", JOBS)

    assert len(bench.runs("ended")) == JOBS
    assert consumer.is_running()


def vacuum(url: str) -> None:
    if url.startswith("sqlite"):
        database = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=60, isolation_level=None)
        database.execute("VACUUM")
        database.close()
    else:
        with psycopg.connect(url, autocommit=True) as connection:
            for table in ("nephew_job", "nephew_worker"):
                connection.execute(f"VACUUM FULL {table}")


@pytest.mark.leaves("claim", "worker")  # in the copies, which are of a moment amid the work
def test_a_backup_made_while_jobs_run_is_whole_and_disturbs_none(sqlite_bench: Bench, tmp_path: Path) -> None:
    bench = sqlite_bench
    bench.consumer("process", 2)
    enqueue(bench)

    source = sqlite3.connect(tmp_path / "nephew.db", timeout=60)
    copies = [sqlite3.connect(tmp_path / f"copy-{number}.db") for number in range(TIMES)]
    for copy in copies:
        assert not all_succeeded(bench)
        source.backup(copy)
    source.close()
    bench.await_all("succeeded", JOBS)

    assert len(bench.runs("ended")) == JOBS
    for copy in copies:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("SELECT count(*) FROM nephew_job").fetchone() == (JOBS,)
        copy.close()


def test_a_dump_made_while_jobs_run_is_whole_and_disturbs_none(postgres_bench: Bench, postgres: PostgresServer) -> None:
    bench = postgres_bench
    bench.consumer("process", 2)
    enqueue(bench)

    dumps = []
    for _ in range(TIMES):
        assert not all_succeeded(bench)
        dumps.append(dumped(postgres))
    bench.await_all("succeeded", JOBS)

    assert len(bench.runs("ended")) == JOBS
    for dump in dumps:
        assert dump.count(f"\t{bench.huey.name}\t") >= JOBS


def dumped(postgres: PostgresServer) -> str:
    program = postgres.binaries / "pg_dump"
    if not program.exists():
        pytest.skip("this PostgreSQL has no pg_dump")
    command = [program, "--data-only", "--table=nephew_job", postgres.url]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def enqueue(bench: Bench) -> None:
    bench.huey.enqueue_many([bench.tasks.spell.s(f"job-{number}", 0.004) for number in range(JOBS)])


def all_succeeded(bench: Bench) -> bool:
    return bench.huey.backend.counts().get("succeeded", 0) == JOBS
