"""The tables: made when they are missing, by one of many, and refused when they are newer than this Nephew."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.backends.redis import connection
from nephew.backends.schedules import Decided, Decision, NewTick, ScheduleRow
from nephew.backends.sql import migrations
from nephew.errors import SchemaError
from nephew.opening import open_backend
from nephew.settings import Settings
from tests.contract import version1
from tests.contract.jobs import Hand, job
from tests.places import DATABASES, on

backend_url = on(*DATABASES)

MIGRATE = """
import sys
from nephew.opening import open_backend
from nephew.settings import Settings
backend = open_backend("test", sys.argv[1], None, None, "", Settings())
print("ready", flush=True)
sys.stdin.readline()
print(*backend.migrate(), flush=True)
"""


@pytest.fixture
def empty_url(request: pytest.FixtureRequest, backend_url: str, name: str) -> str:
    """A database without tables."""
    if backend_url.startswith("sqlite"):
        return backend_url
    with psycopg.connect(backend_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"')
    return backend_url.rpartition("/")[0] + f"/{name}"


def open_(url: str, **settings: object) -> Backend:
    return open_backend("test", url, None, None, "", Settings(**settings))  # type: ignore[arg-type]


def test_the_tables_are_made_when_they_are_first_needed(empty_url: str):
    backend = open_(empty_url)

    backend.enqueue([job("1")])

    assert backend.row("1") is not None
    assert backend.migrate() == (migrations.LATEST, migrations.LATEST)
    backend.close()


def test_processes_that_migrate_at_once_do_not_disturb_each_other(empty_url: str):
    command = [sys.executable, "-c", MIGRATE, empty_url]
    with ThreadPoolExecutor(4) as pool:
        processes = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            for _ in range(4)
        ]
        for process in processes:
            process.stdout.readline()
        told = [output for output, _ in pool.map(lambda process: process.communicate("go\n", timeout=60), processes)]

    assert sorted(told) == [f"0 {migrations.LATEST}\n"] + [f"{migrations.LATEST} {migrations.LATEST}\n"] * 3


def test_newer_tables_are_refused_and_left_alone(empty_url: str):
    backend = open_(empty_url)
    backend.migrate()
    backend.database.execute_sql(f"INSERT INTO nephew_schema (version) VALUES ({migrations.LATEST + 1})")
    backend.close()
    newer = open_(empty_url)

    with pytest.raises(SchemaError, match="this Nephew is older than the one that migrated them; upgrade it"):
        newer.enqueue([job()])
    with pytest.raises(SchemaError, match=f"expected tables of version {migrations.LATEST} or older"):
        newer.migrate()

    newer.close()


def test_without_automatic_migration_the_command_is_named(empty_url: str):
    if empty_url.startswith("sqlite"):
        return  # SQLite always migrates
    backend = open_(empty_url, auto_migrate=False)

    with pytest.raises(SchemaError, match="got version 0; run `nephew migrate`"):
        backend.enqueue([job()])

    backend.migrate()
    backend.enqueue([job("1")])
    assert backend.row("1") is not None
    backend.close()


def test_a_step_that_fails_changes_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch):
    def following(database) -> None:
        database.execute_sql("CREATE TABLE nephew_extra (number INTEGER)")
        database.execute_sql("CREATE TABLE nephew_job (number INTEGER)")

    backend = open_(empty_url)
    backend.migrate()
    latest = migrations.LATEST
    monkeypatch.setattr(migrations, "STEPS", {**migrations.STEPS, latest + 1: following})
    monkeypatch.setattr(migrations, "LATEST", latest + 1)

    with pytest.raises(SchemaError, match=f"migration to version {latest + 1} failed, nothing was changed"):
        backend.migrate()

    assert migrations.version(backend.database) == latest
    assert "nephew_extra" not in backend.database.get_tables()
    backend.close()


def test_the_tables_may_live_in_a_schema_of_their_own(postgres_url: str, name: str):
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{name}"')
    url = f"{postgres_url}?options=-csearch_path%3D{name}"
    first, second = open_(url), open_(url)

    first.enqueue([job("1")])
    versions = second.migrate()
    second.enqueue([job("2")])

    assert versions == (migrations.LATEST, migrations.LATEST)
    assert first.waiting_count() == 2
    with psycopg.connect(postgres_url) as connection:
        (found,) = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = %s AND tablename = 'nephew_job'", (name,)
        ).fetchone()
    assert found == 1
    first.close()
    second.close()


def test_nothing_is_connected_to_before_the_first_use(make_huey: Callable[..., Nephew], tmp_path):
    huey = make_huey(url=f"sqlite:///{tmp_path / 'missing' / 'folder.db'}")
    elsewhere = make_huey(url="postgresql://nobody@127.0.0.1:1/nothing")

    huey.task(name="a")(lambda: None)
    elsewhere.task(name="a")(lambda: None)

    assert list(tmp_path.iterdir()) == []


def test_tables_of_version_1_become_the_same_as_new_ones_and_keep_their_jobs(empty_url: str, name: str, tmp_path: Path):
    old = open_(empty_url)
    version1.create(old.database)
    version1.keep(old.database, "waiting", "queued", b"payload")
    version1.keep(old.database, "ended", "succeeded", b"payload", result=b"result", finished_at=101.0, attempts=1)
    version1.tick(old.database, "nightly", 100.0, "ended")
    version1.tick(old.database, "nightly", 200.0, "waiting")
    version1.tick(old.database, "hourly", 300.0, "deleted")
    new = open_(another(empty_url, name, tmp_path))
    new.migrate()

    told = old.migrate()

    assert told == (1, migrations.LATEST)
    assert shape(old) == shape(new)
    assert [claimed.id for claimed in Hand(old).claim(5)] == ["waiting"]
    assert old.outcome("ended") == ("succeeded", b"result", None)
    old.enqueue([job("more", tags=",a,", parent="ended", relation="call")])
    assert old.relatives("more") == (["ended"], [])
    assert [row[:2] for row in old.schedules()[1]] == [("hourly", 300.0), ("nightly", 200.0)]
    assert [(row.fate, row.state, row.ended_at) for row in old.ticks("nightly") + old.ticks("hourly")] == [
        ("enqueued", "queued", None), ("enqueued", "succeeded", 101.0), ("enqueued", "forgotten", 300.0)
    ]  # fmt: skip
    for backend in (old, new):
        backend.close()


def another(url: str, name: str, folder: Path) -> str:
    """One more database without tables."""
    if url.startswith("sqlite"):
        return f"sqlite:///{folder / 'another.db'}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}-another"')
    return f"{url.rpartition('/')[0]}/{name}-another"


def shape(backend: Any) -> dict[str, Any]:
    """The columns and indexes of all tables."""
    database = backend.database
    return {
        table: (
            {(column.name, column.data_type.upper(), column.null) for column in database.get_columns(table)},
            {(index.name, tuple(index.columns), index.unique) for index in database.get_indexes(table)},
        )
        for table in database.get_tables()
    }


def test_on_redis_schedules_of_version_1_are_decided_up_to_their_latest_ticks(redis_url: str, name: str):
    backend = open_backend(name, redis_url, None, None, "", Settings())
    backend.migrate()
    for due in ("100.0", "200.5"):
        backend.call("ZADD", backend.key("ticks", "nightly"), due, f"{due} a job")
    backend.call("SADD", backend.key("schedules"), "nightly")
    backend.call("SET", backend.key("version"), 1)
    backend.close()
    newer = open_backend(name, redis_url, None, None, "", Settings())
    again = NewTick(200.5, job(), "enqueued")

    assert newer.migrate() == (1, connection.LATEST)

    assert newer.schedules()[1] == [ScheduleRow("nightly", 200.5, 200.5, None, None, False, None, None, None)]
    assert [(row.due, row.job, row.state) for row in newer.ticks("nightly")] == [
        (200.5, "a job", "forgotten"), (100.0, "a job", "forgotten")
    ]  # fmt: skip
    newer.define_schedule("nightly", None, None, False, 100.0)
    assert newer.decide([Decision("nightly", 100.0, 300.0, "skip", (again,))]) == [Decided(True, 300.0)]
    assert newer.prune_ticks(before=150.0, most=10) == 1
    newer.close()
