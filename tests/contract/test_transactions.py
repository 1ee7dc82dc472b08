"""The application's own database: what is enqueued inside its transaction stands and falls with it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import peewee
import pytest

from nephew import Nephew
from nephew.endings import Finished
from nephew.errors import BackendError, NephewError
from nephew.opening import open_backend
from nephew.settings import Settings
from nephew.task import Task
from tests.contract.conftest import Work
from tests.contract.jobs import job, succeeded
from tests.places import DATABASES, on

backend_url = on(*DATABASES)


def open_database(url: str) -> peewee.Database:
    if url.startswith("sqlite"):
        return peewee.SqliteDatabase(url.removeprefix("sqlite:///"), timeout=5)
    return peewee.PostgresqlDatabase(url, prefer_psycopg3=True)


@pytest.fixture
def db(backend_url: str) -> Iterator[peewee.Database]:
    db = open_database(backend_url)
    db.connect()
    db.execute_sql("CREATE TABLE IF NOT EXISTS todo (title TEXT)")
    db.execute_sql("DELETE FROM todo")
    yield db
    if not db.is_closed():
        db.close()


@pytest.fixture
def huey(make_huey: Callable[..., Nephew], db: peewee.Database) -> Nephew:
    huey = make_huey(database=db)
    huey.backend.migrate()
    return huey


@pytest.fixture
def remind(huey: Nephew) -> Task:
    return huey.task(name="remind")(lambda title: title)


def immediate(db: peewee.Database):
    return db.atomic("IMMEDIATE") if isinstance(db, peewee.SqliteDatabase) else db.atomic()


def titles(db: peewee.Database) -> list[str]:
    return [row[0] for row in db.execute_sql("SELECT title FROM todo").fetchall()]


def test_what_is_enqueued_inside_a_transaction_is_committed_with_it(
    huey: Nephew, remind: Task, make_huey: Callable[..., Nephew], db: peewee.Database, work: Work
):
    consumer = make_huey()
    with immediate(db):
        db.execute_sql("INSERT INTO todo VALUES ('milk')")
        result = remind("milk")
        seen_before = consumer.job(result.id)

    seen_after = consumer.job(result.id)

    assert seen_before is None
    assert seen_after is not None and seen_after.state == "queued"
    assert titles(db) == ["milk"]
    assert work(huey) == 1
    assert result.get() == "milk"


def test_what_is_enqueued_inside_a_transaction_is_rolled_back_with_it(huey: Nephew, remind: Task, db: peewee.Database):
    with pytest.raises(ZeroDivisionError), immediate(db):
        db.execute_sql("INSERT INTO todo VALUES ('milk')")
        result = remind("milk")
        raise ZeroDivisionError

    assert titles(db) == []
    assert huey.job(result.id) is None
    assert len(huey) == 0


def test_an_inner_transaction_that_is_rolled_back_takes_only_its_own_jobs_with_it(
    huey: Nephew, remind: Task, db: peewee.Database
):
    with immediate(db):
        kept = remind("kept")
        with pytest.raises(ZeroDivisionError), db.atomic():
            remind("dropped")
            raise ZeroDivisionError

    assert [job.id for job in huey.jobs()] == [kept.id]


def test_a_unique_call_inside_a_transaction_that_is_rolled_back_leaks_no_key(huey: Nephew, db: peewee.Database):
    once = huey.task(unique=True, name="once")(lambda: None)

    with pytest.raises(ZeroDivisionError), immediate(db):
        once()
        raise ZeroDivisionError

    assert not once().duplicate


def test_the_tables_made_inside_a_transaction_that_is_rolled_back_are_made_again(
    make_huey: Callable[..., Nephew], sqlite_url: str
):
    db = open_database(sqlite_url)
    huey = make_huey(database=db)
    task = huey.task()(lambda: None)

    with pytest.raises(ZeroDivisionError), db.atomic("IMMEDIATE"):
        task()
        task()
        raise ZeroDivisionError
    task()

    assert len(huey) == 1


def test_several_jobs_inside_a_transaction_belong_to_it(huey: Nephew, remind: Task, db: peewee.Database):
    with pytest.raises(ZeroDivisionError), immediate(db):
        huey.enqueue_many([remind.s(str(number)) for number in range(5)])
        raise ZeroDivisionError

    assert len(huey) == 0


def test_waiting_for_a_job_of_the_open_transaction_is_refused(huey: Nephew, remind: Task, db: peewee.Database):
    with immediate(db):
        result = remind("milk")

        with pytest.raises(NephewError, match=f"waiting for job {result.id} inside an open transaction"):
            result.get(blocking=True, timeout=5)

    assert result.state == "queued"


def test_a_proxy_stands_for_its_database(make_huey: Callable[..., Nephew], db: peewee.Database, work: Work):
    proxy = peewee.DatabaseProxy()
    proxy.initialize(db)
    huey = make_huey(database=proxy)
    double = huey.task()(lambda number: number * 2)

    with pytest.raises(ZeroDivisionError), immediate(db):
        double(1)
        raise ZeroDivisionError
    result = double(21)

    assert work(huey) == 1
    assert result.get() == 42


def test_a_proxy_may_be_initialised_after_the_instance_was_made(
    make_huey: Callable[..., Nephew], db: peewee.Database, work: Work
):
    proxy = peewee.DatabaseProxy()
    huey = make_huey(database=proxy)
    double = huey.task()(lambda number: number * 2)
    with pytest.raises(NephewError, match="initialise the proxy before Nephew is used"):
        double(1)

    proxy.initialize(db)
    result = double(21)
    work(huey)

    assert result.get() == 42


def test_another_thread_that_waits_for_the_write_lock_does_not_hold_up_who_has_it(
    huey: Nephew, remind: Task, db: peewee.Database
):
    """On SQLite: the waiting thread sleeps in the driver, and must not keep ours from finishing meanwhile."""
    begun = threading.Event()

    def enqueue_beside() -> None:
        begun.set()
        remind("beside")
        huey.backend.close()

    with ThreadPoolExecutor(1) as pool:
        with immediate(db):
            remind("first")
            waiting = pool.submit(enqueue_beside)
            begun.wait(5)
            started = time.monotonic()
            for number in range(40):
                remind(str(number))
            took = time.monotonic() - started
        waiting.result(10)

    assert took < 3
    assert len(huey) == 42


def test_a_deferred_transaction_of_sqlite_is_told_what_to_do(make_huey: Callable[..., Nephew], sqlite_url: str):
    db, writer = open_database(sqlite_url), open_backend("writer", sqlite_url, None, None, "", Settings())
    huey = make_huey(database=db)
    task = huey.task(name="remind")(lambda: None)
    huey.backend.migrate()

    with db.atomic():
        db.execute_sql("SELECT count(*) FROM nephew_job").fetchall()
        writer.enqueue([job()])
        with pytest.raises(BackendError, match=r"begin it with db.atomic\('IMMEDIATE'\)"):
            task()

    writer.close()
    assert len(huey) == 0


def test_a_transaction_that_has_failed_on_the_server_is_an_error_of_ours(
    huey: Nephew, remind: Task, db: peewee.Database
):
    if isinstance(db, peewee.SqliteDatabase):
        return  # a failed statement leaves SQLite's transaction usable

    with pytest.raises(BackendError, match="current transaction is aborted"), db.atomic():
        with pytest.raises(peewee.PeeweeException):
            db.execute_sql("SELECT nothing_of_the_kind")
        remind("milk")


def test_an_end_that_waits_to_be_settled_does_not_become_part_of_the_callers_transaction(
    huey: Nephew, remind: Task, db: peewee.Database
):
    """It would be undone with it, and nobody would settle it again."""
    finished, waiting = remind("finished"), remind("waiting")
    (claimed,) = huey.worker.claim(huey.worker.next_claim(), 1)
    entry = huey.worker.ledger.add(Finished(succeeded(claimed)))

    with pytest.raises(ZeroDivisionError), immediate(db):
        cancelled = waiting.cancel()
        state = waiting.state
        raise ZeroDivisionError

    assert (cancelled, state, waiting.state) == (True, "cancelled", "queued")
    assert not entry.settled
    huey.worker.ledger.flush()
    assert finished.state == "succeeded"
