"""Tables that are made, brought up to date and refused while others are at work on them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from nephew.backends.sql import migrations
from tests.consumers import ROOT, Bench
from tests.eventually import eventually
from tests.integration.conftest import open_bench
from tests.places import DATABASES, on

backend_url = on(*DATABASES)

NEWER = f"INSERT INTO nephew_schema (version) VALUES ({migrations.LATEST + 1})"


@pytest.fixture
def empty_bench(request: pytest.FixtureRequest, backend_url: str, name: str, tmp_path: Path) -> Iterator[Bench]:
    """On a database of its own, without tables."""
    if backend_url.startswith("postgresql"):
        with psycopg.connect(backend_url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}"')
        backend_url = f"{backend_url.rpartition('/')[0]}/{name}"
    with open_bench(request, backend_url, name, tmp_path) as bench:
        yield bench


def test_of_many_who_migrate_at_once_one_does_it_and_all_succeed(empty_bench: Bench) -> None:
    command = [sys.executable, "-m", "nephew", "-A", "tests.integration.apps.plain.huey", "migrate"]
    environment = os.environ | empty_bench.environment

    running = [
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=60)[0] for process in running]

    assert [process.returncode for process in running] == [0] * 3, said
    assert len([text for text in said if "was version 0 and is version" in text]) == 1, said


def test_a_consumer_refuses_to_start_on_newer_tables(empty_bench: Bench) -> None:
    bench = empty_bench
    bench.huey.backend.migrate()
    bench.huey.backend.database.execute_sql(NEWER)

    consumer = bench.consumer("process", 1, ready=False)

    assert consumer.wait() != 0
    assert "this Nephew is older than the one that migrated them; upgrade it" in consumer.log()
    forget_newer(bench)


@pytest.mark.parametrize("kind", ["process", pytest.param("thread", marks=pytest.mark.long)])
def test_a_consumer_that_meets_newer_tables_finishes_its_jobs_and_ends(empty_bench: Bench, kind: str) -> None:
    bench = empty_bench
    consumer = bench.consumer(kind, 1, reaper=0.2)
    result = bench.tasks.spell("running", 1.0)
    bench.await_run("began", "running")

    bench.huey.backend.database.execute_sql(NEWER)
    eventually(lambda: "upgrade it" in consumer.log())
    waiting = bench.tasks.note("waiting")

    assert consumer.wait() != 0
    assert not consumer.group()
    forget_newer(bench)
    assert bench.job(result).state == "succeeded"
    assert bench.job(waiting).state == "queued"


def forget_newer(bench: Bench) -> None:
    bench.huey.backend.database.execute_sql(f"DELETE FROM nephew_schema WHERE version > {migrations.LATEST}")
