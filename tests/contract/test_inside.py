"""`huey.inside(connection)`: jobs belong to the transaction of a connection that is not Peewee's."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import django
import peewee
import psycopg
import pytest
import sqlalchemy
from django.db import connections, transaction
from psycopg.rows import dict_row
from sqlalchemy.orm import Session

from nephew import Nephew
from nephew.errors import BackendError, ConfigError, NephewError, Refused
from nephew.task import Task
from tests.contract.conftest import Work
from tests.places import DATABASES, on
from tests.servers import PostgresServer

backend_url = on(*DATABASES)

#: Opens a connection that the test closes.
Connect = Callable[[], Any]


def driver(url: str) -> Any:
    """A connection of the driver, as it is by default: it begins transactions by itself."""
    if url.startswith("sqlite"):
        return sqlite3.connect(url.removeprefix("sqlite:///"), timeout=5)
    return psycopg.connect(url)


@pytest.fixture
def connection(backend_url: str, huey: Nephew) -> Iterator[Any]:
    with closing(driver(backend_url)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS todo (title TEXT)")
        connection.execute("DELETE FROM todo")
        connection.commit()
        yield connection


@pytest.fixture
def huey(make_huey: Callable[..., Nephew]) -> Nephew:
    huey = make_huey()
    huey.backend.migrate()
    return huey


@pytest.fixture
def remind(huey: Nephew) -> Task:
    return huey.task(name="remind")(lambda title: title)


@pytest.fixture
def consumer(make_huey: Callable[..., Nephew]) -> Nephew:
    """Another instance of the same name, as in another process."""
    return make_huey()


def titles(connection: Any) -> list[str]:
    return [row[0] for row in connection.execute("SELECT title FROM todo").fetchall()]


def test_a_job_is_seen_when_the_transaction_is_committed_and_not_before(
    huey: Nephew, remind: Task, consumer: Nephew, connection: Any, work: Work
):
    with huey.inside(connection):
        connection.execute("INSERT INTO todo VALUES ('milk')")
        result = remind("milk")
    before = consumer.job(result.id)
    connection.commit()

    assert before is None
    assert work(huey) == 1
    assert result.get() == "milk"


def test_a_job_is_rolled_back_with_the_transaction(huey: Nephew, remind: Task, connection: Any):
    with huey.inside(connection):
        connection.execute("INSERT INTO todo VALUES ('milk')")
        result = remind("milk")
        connection.rollback()

    assert titles(connection) == []
    assert huey.job(result.id) is None


def test_an_exception_inside_leaves_the_transaction_to_its_owner(huey: Nephew, remind: Task, connection: Any):
    with pytest.raises(ZeroDivisionError), huey.inside(connection):
        remind("milk")
        raise ZeroDivisionError
    outside = huey.jobs()
    connection.commit()

    assert outside == []
    assert len(huey) == 1


def test_a_transaction_that_the_driver_begins_late_is_begun_for_the_job(huey: Nephew, remind: Task, connection: Any):
    """No statement of the application's was first; releasing a savepoint would have been the commit on SQLite."""
    with huey.inside(connection):
        remind("milk")
        huey.enqueue_many([remind.s("bread"), remind.s("tea")])
    connection.rollback()

    assert len(huey) == 0


def test_everything_of_a_thread_goes_through_the_connection_and_nothing_of_another(
    huey: Nephew, remind: Task, connection: Any
):
    seen: dict[str, Any] = {}

    def look_beside(job_id: str) -> None:
        seen["beside"] = huey.job(job_id)
        huey.backend.close()

    with huey.inside(connection):
        result = remind("milk")
        seen["inside"] = result.state
        thread = threading.Thread(target=look_beside, args=[result.id])
        thread.start()
        thread.join()
    connection.rollback()

    assert seen == {"inside": "queued", "beside": None}
    assert result.state is None


def test_a_task_of_asyncio_that_is_started_inside_is_outside(huey: Nephew, remind: Task, connection: Any):
    seen: dict[str, Any] = {}

    async def look_beside(job_id: str) -> None:
        seen["beside"] = huey.job(job_id)

    async def enqueue() -> None:
        with huey.inside(connection):
            result = remind("milk")
            await asyncio.create_task(look_beside(result.id))
            seen["inside"] = result.state

    asyncio.run(enqueue())
    connection.rollback()

    assert seen == {"inside": "queued", "beside": None}


def test_a_job_that_the_server_refuses_leaves_the_transaction_usable(huey: Nephew, remind: Task, connection: Any):
    if isinstance(connection, sqlite3.Connection):
        return  # a failed statement undoes nothing but itself
    refused = remind.s("milk")
    refused.id = os.urandom(4096).hex()  # an index takes no such row

    with huey.inside(connection):
        with pytest.raises(Refused):
            huey.enqueue(refused)
        remind("bread")
    connection.commit()

    assert len(huey) == 1


def test_a_unique_call_inside_stands_for_the_next_one(huey: Nephew, connection: Any):
    once = huey.task(unique=True, name="once")(lambda: None)

    with huey.inside(connection):
        first, second = once(), once()
    connection.commit()

    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.id == second.id


def test_the_applications_own_kind_of_rows_is_no_hindrance(huey: Nephew, remind: Task, connection: Any):
    if isinstance(connection, sqlite3.Connection):
        connection.row_factory = lambda cursor, row: {"one": row[0]}
    else:
        connection.row_factory = dict_row

    with huey.inside(connection):
        result = remind("milk")
        state, record = result.state, huey.job(result.id)
    connection.commit()

    assert (state, record.id) == ("queued", result.id)


def test_waiting_for_a_job_inside_is_refused(huey: Nephew, remind: Task, connection: Any):
    with huey.inside(connection):
        result = remind("milk")
        with pytest.raises(NephewError, match="inside an open transaction would wait for ever"):
            result.get(blocking=True, timeout=5)
    connection.commit()


def test_awaiting_a_job_inside_is_refused(huey: Nephew, remind: Task, connection: Any):
    async def enqueue() -> None:
        with huey.inside(connection):
            await remind("milk")

    with pytest.raises(NephewError, match="inside an open transaction would wait for ever"):
        asyncio.run(enqueue())
    connection.commit()


def test_the_same_connection_may_be_given_twice_and_another_may_not(
    huey: Nephew, remind: Task, connection: Any, backend_url: str
):
    with huey.inside(connection):
        with huey.inside(connection):
            remind("milk")
        remind("bread")
        with (
            closing(driver(backend_url)) as other,
            pytest.raises(NephewError, match="two of them would wait for each other"),
            huey.inside(other),
        ):
            pass
    connection.rollback()

    assert len(huey) == 0


def test_a_transaction_of_peewees_takes_its_own_connection_and_no_other(
    make_huey: Callable[..., Nephew], remind: Task, connection: Any, backend_url: str
):
    if backend_url.startswith("sqlite"):
        db: Any = peewee.SqliteDatabase(backend_url.removeprefix("sqlite:///"), timeout=5)
    else:
        db = peewee.PostgresqlDatabase(backend_url, prefer_psycopg3=True)
    huey = make_huey(database=db)
    task = huey.task(name="remind")(lambda title: title)

    with pytest.raises(ZeroDivisionError), db.atomic():
        with pytest.raises(NephewError, match="another one"), huey.inside(connection):
            pass
        with huey.inside(db):
            task("milk")
        raise ZeroDivisionError

    assert len(huey) == 0


def test_a_connection_that_commits_each_statement_is_refused(huey: Nephew, remind: Task, backend_url: str):
    with closing(driver(backend_url)) as connection:
        if isinstance(connection, sqlite3.Connection):
            connection.isolation_level = None
        else:
            connection.autocommit = True
        with pytest.raises(NephewError, match="commits each statement by itself; begin a transaction"):
            huey.inside(connection).__enter__()

        connection.execute("BEGIN")
        with huey.inside(connection):
            remind("milk")
            connection.execute("ROLLBACK")
            with pytest.raises(NephewError, match="commits each statement by itself"):
                remind("bread")

    assert len(huey) == 0


def test_a_connection_to_another_database_is_refused(huey: Nephew, backend_url: str, tmp_path: Path):
    if backend_url.startswith("sqlite"):
        other = sqlite3.connect(tmp_path / "other.db")
    else:
        other = psycopg.connect(backend_url, dbname="postgres")

    with closing(other), pytest.raises(ConfigError, match=r"instance's own database .* got one to another"):
        huey.inside(other).__enter__()


def test_a_connection_of_another_kind_is_refused(huey: Nephew, backend_url: str, postgres_url: str):
    other = postgres_url if backend_url.startswith("sqlite") else "sqlite:///:memory:"

    with closing(driver(other)) as connection, pytest.raises(ConfigError, match=r"expected a connection to .*; got"):
        huey.inside(connection).__enter__()
    with pytest.raises(ConfigError, match=r"expected a connection to .*; got 'db'"):
        huey.inside("db").__enter__()


def test_an_asynchronous_connection_is_refused(huey: Nephew, postgres_url: str):
    async def enter() -> None:
        async with await psycopg.AsyncConnection.connect(postgres_url) as connection:
            huey.inside(connection).__enter__()

    with pytest.raises(ConfigError, match="expected a synchronous connection"):
        asyncio.run(enter())


def test_immediate_mode_and_memory_are_refused_with_the_reason(huey: Nephew, name: str):
    immediate = Nephew(name, "memory://", immediate=True)
    in_memory = Nephew(name, "memory://")

    with closing(sqlite3.connect(":memory:")) as connection:
        with pytest.raises(NephewError, match="in immediate mode a job runs when it is enqueued, before your commit"):
            immediate.inside(connection)
        with pytest.raises(ConfigError, match=r"instance's own database \(memory\)"):
            in_memory.inside(connection).__enter__()


def test_the_first_job_of_a_new_file_makes_its_tables_inside(make_huey: Callable[..., Nephew], sqlite_url: str):
    huey = make_huey(url=sqlite_url)
    task = huey.task()(lambda: None)

    with closing(driver(sqlite_url)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with huey.inside(connection):
            task()
        connection.rollback()
        task()

    assert len(huey) == 1


def test_a_transaction_of_sqlite_that_only_reads_is_told_what_to_do(
    huey: Nephew, remind: Task, consumer: Nephew, backend_url: str
):
    if not backend_url.startswith("sqlite"):
        return  # its transactions begin to write when they like

    with closing(driver(backend_url)) as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT count(*) FROM nephew_job").fetchone()
        consumer.task(name="remind")(lambda title: title)("beside")
        with huey.inside(connection), pytest.raises(BackendError, match=r"begin it with db.atomic\('IMMEDIATE'\)"):
            remind("milk")


# -- SQLAlchemy --------------------------------------------------------------------------------------


@pytest.fixture
def engine(backend_url: str, connection: Any) -> Iterator[sqlalchemy.Engine]:
    engine = sqlalchemy.create_engine(backend_url.replace("postgresql://", "postgresql+psycopg://"))
    yield engine
    engine.dispose()


def test_a_job_belongs_to_a_session_of_sqlalchemy(
    huey: Nephew, remind: Task, consumer: Nephew, connection: Any, engine: sqlalchemy.Engine
):
    insert = sqlalchemy.text("INSERT INTO todo VALUES ('milk')")

    with Session(engine) as session:
        session.execute(insert)
        with huey.inside(session):
            dropped = remind("milk")
        session.rollback()
        with huey.inside(session):
            kept = remind("milk")
        session.execute(insert)
        unseen = consumer.job(kept.id)
        session.commit()

    assert (unseen, huey.job(dropped.id)) == (None, None)
    assert kept.state == "queued"
    assert titles(connection) == ["milk"]


def test_a_job_belongs_to_a_connection_of_sqlalchemy(huey: Nephew, remind: Task, engine: sqlalchemy.Engine):
    with engine.begin() as connection, huey.inside(connection):
        kept = remind("milk")
    with pytest.raises(ZeroDivisionError), engine.begin() as connection, huey.inside(connection):
        dropped = remind("milk")
        raise ZeroDivisionError

    assert kept.state == "queued"
    assert dropped.state is None


def test_a_connection_of_sqlalchemy_that_would_not_commit_the_job_is_refused(huey: Nephew, engine: sqlalchemy.Engine):
    with engine.connect() as connection, pytest.raises(NephewError, match=r"SQLAlchemy: engine\.begin\(\)"):
        huey.inside(connection).__enter__()


# -- Django ------------------------------------------------------------------------------------------


@pytest.fixture
def django_connection(backend_url: str, connection: Any, postgres: PostgresServer) -> Iterator[Any]:
    """The connection of a Django project whose database is the instance's."""
    if not django.conf.settings.configured:
        django.conf.settings.configure(LOGGING_CONFIG=None)
        django.setup()
    if backend_url.startswith("sqlite"):
        place = {"ENGINE": "django.db.backends.sqlite3", "NAME": backend_url.removeprefix("sqlite:///")}
    else:
        parts = psycopg.conninfo.conninfo_to_dict(backend_url)
        place = {"ENGINE": "django.db.backends.postgresql", "NAME": parts.pop("dbname")}
        place |= {key.upper(): str(value) for key, value in parts.items()}
    connections.databases["default"] = connections.configure_settings({"default": place})["default"]
    wrapper = connections["default"] = connections.create_connection("default")
    yield wrapper
    wrapper.close()
    del connections["default"]


def test_a_job_belongs_to_a_transaction_of_django(
    huey: Nephew, remind: Task, consumer: Nephew, connection: Any, django_connection: Any
):
    with transaction.atomic(), huey.inside(django_connection), django_connection.cursor() as cursor:
        cursor.execute("INSERT INTO todo VALUES ('milk')")
        kept = remind("milk")
        unseen = consumer.job(kept.id)
    with pytest.raises(ZeroDivisionError), transaction.atomic(), huey.inside(django_connection):
        dropped = remind("bread")
        raise ZeroDivisionError

    assert unseen is None
    assert (kept.state, dropped.state) == ("queued", None)
    assert titles(connection) == ["milk"]


def test_django_outside_of_atomic_is_refused(huey: Nephew, django_connection: Any):
    with pytest.raises(NephewError, match=r"Django: transaction\.atomic\(\)"):
        huey.inside(django_connection).__enter__()


def test_an_inner_atomic_of_django_takes_only_its_own_jobs_back(huey: Nephew, remind: Task, django_connection: Any):
    with transaction.atomic(), huey.inside(django_connection):
        kept = remind("milk")
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            dropped = remind("bread")
            raise ZeroDivisionError

    assert (kept.state, dropped.state) == ("queued", None)
