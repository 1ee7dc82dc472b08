"""`@huey.task(transactional=True)`: what the function writes and the job's end are committed together."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import peewee
import psycopg
import pytest
from huey.exceptions import TaskException

from nephew import Nephew, current_job
from nephew.backends.records import Died
from nephew.errors import ConfigError
from nephew.keeper import Keeper
from nephew.lane import Lane
from nephew.recovery import Reaper
from tests.contract.conftest import Work
from tests.places import DATABASES, on

backend_url = on(*DATABASES)


class Fault:
    """What happens at one statement of a thread, counted from when it is armed."""

    def __init__(self) -> None:
        self.left: int | None = None
        self.seen: list[str] = []
        self.strike: Callable[[str], None] = lambda sql: None

    def arm(self, number: int, strike: Callable[[str], None]) -> None:
        self.left, self.strike = number, strike

    def __call__(self, sql: str) -> None:
        self.seen.append(sql)
        if self.left is None:
            return
        self.left -= 1
        if self.left == 0:
            self.strike(sql)


class Cursor:
    """A driver's cursor that tells of each statement before it is executed."""

    def __init__(self, cursor: Any, fault: Fault) -> None:
        self._cursor, self._fault = cursor, fault

    def execute(self, sql: str, *params: Any) -> Any:
        self._fault(sql)
        return self._cursor.execute(sql, *params)

    def executemany(self, sql: str, *params: Any) -> Any:
        self._fault(sql)
        return self._cursor.executemany(sql, *params)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._cursor)


class FaultySqlite(peewee.SqliteDatabase):
    fault: Fault

    def cursor(self, named_cursor: str | None = None) -> Any:
        return Cursor(super().cursor(named_cursor), self.fault)


class FaultyPostgres(peewee.PostgresqlDatabase):
    fault: Fault

    def cursor(self, named_cursor: str | None = None) -> Any:
        return Cursor(super().cursor(named_cursor), self.fault)


@pytest.fixture
def db(backend_url: str) -> Iterator[Any]:
    if backend_url.startswith("sqlite"):
        db: Any = FaultySqlite(backend_url.removeprefix("sqlite:///"), timeout=5)
    else:
        db = FaultyPostgres(backend_url, prefer_psycopg3=True)
    db.fault = Fault()
    db.connect()
    db.execute_sql("CREATE TABLE IF NOT EXISTS entry (title TEXT)")
    db.execute_sql("DELETE FROM entry")
    yield db
    if not db.is_closed():
        db.close()


@pytest.fixture
def huey(make_huey: Callable[..., Nephew], db: Any) -> Nephew:
    huey = make_huey(database=db)
    huey.backend.migrate()
    return huey


def titles(db: Any) -> list[str]:
    return [row[0] for row in db.execute_sql("SELECT title FROM entry ORDER BY title").fetchall()]


def write(db: Any, title: str) -> None:
    db.execute_sql(f"INSERT INTO entry VALUES ('{title}')")


def test_what_the_function_writes_and_its_end_are_seen_together(huey: Nephew, db: Any, backend_url: str, work: Work):
    seen: list[Any] = []
    beside = Nephew(huey.name, backend_url)

    @huey.task(transactional=True)
    def book(title: str) -> str:
        write(db, title)
        seen.extend(beside.backend.read("SELECT count(*) FROM entry"))
        return title

    result = book("tea")
    work(huey)
    beside.backend.close()

    assert [row[0] for row in seen] == [0]
    assert titles(db) == ["tea"]
    assert (result.state, result.get()) == ("succeeded", "tea")


def test_a_function_that_raises_has_written_nothing(huey: Nephew, db: Any, work: Work):
    @huey.task(transactional=True, retries=1)
    def book(title: str) -> None:
        write(db, title)
        if current_job().attempt == 1:
            raise ValueError(title)

    result = book("tea")
    work(huey)

    record = huey.job(result.id)
    assert record.state == "succeeded"
    assert [attempt.outcome for attempt in record.attempts] == ["failed", "succeeded"]
    assert titles(db) == ["tea"]


def test_what_the_function_enqueues_belongs_to_it(huey: Nephew, db: Any, work: Work):
    told: list[str] = []
    tell = huey.task(name="tell")(told.append)

    @huey.task(transactional=True)
    def book(title: str) -> None:
        tell(title)
        if title == "bad":
            raise ValueError(title)

    book("bad")
    book("good")
    work(huey)

    assert told == ["good"]


def test_the_pipeline_goes_on_with_the_commit(huey: Nephew, db: Any, work: Work):
    @huey.task(transactional=True)
    def book(title: str) -> str:
        write(db, title)
        return title

    upper = huey.task(name="upper")(lambda title: title.upper())
    _, last = huey.enqueue(book.s("tea").then(upper))
    work(huey)

    assert last.get() == "TEA"


def test_an_inner_transaction_is_a_savepoint(huey: Nephew, db: Any, work: Work):
    @huey.task(transactional=True)
    def book() -> None:
        with db.atomic():
            write(db, "kept")
        try:
            with db.atomic():
                write(db, "dropped")
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass

    result = book()
    work(huey)

    assert result.state == "succeeded"
    assert titles(db) == ["kept"]


def test_the_drivers_connection_is_at_hand(make_huey: Callable[..., Nephew], db: Any, work: Work):
    """An instance that was given a URL has no Peewee database that the application knows."""
    huey = make_huey()

    @huey.task(transactional=True)
    def book(title: str) -> None:
        current_job().connection.execute(f"INSERT INTO entry VALUES ('{title}')")
        if title == "bad":
            raise ValueError(title)

    @huey.task(name="plain")
    def plain() -> Any:
        return current_job().connection

    good, bad, other = book("good"), book("bad"), plain()
    work(huey)

    assert (good.state, bad.state) == ("succeeded", "failed")
    assert titles(db) == ["good"]
    with pytest.raises(TaskException, match=r"expected .*plain to be transactional"):
        other.get()


def test_a_job_that_was_taken_over_meanwhile_has_written_nothing(
    huey: Nephew, db: Any, backend_url: str, work: Work, caplog: pytest.LogCaptureFixture
):
    other = Nephew(huey.name, backend_url)
    runs: list[int] = []

    @huey.task(transactional=True)
    def book(title: str) -> str:
        runs.append(1)
        write(db, f"{title} {len(runs)}")
        if len(runs) == 1 and other.backend.heartbeats:
            take_over(other, huey.worker.number)
        return f"{title} {len(runs)}"

    result = book("tea")
    lane = Lane(huey.worker)
    claimed = lane.next()
    assert claimed is not None
    if not other.backend.heartbeats:  # nobody writes beside it on SQLite: it is taken over before it begins
        take_over(other, huey.worker.number)
    lane.run(claimed)
    lane.close()
    work(huey)
    other.backend.close()

    assert "had been taken over" in caplog.text
    assert (huey.job(result.id).state, result.get()) == ("succeeded", "tea 2")
    assert titles(db) == ["tea 2"]


def take_over(other: Nephew, worker: int) -> None:
    other.backend.reap(Died(worker, {}, "taken for dead", False), 0, 0, lambda task: 3)


def test_by_hand_and_in_immediate_mode_it_is_the_same(make_huey: Callable[..., Nephew], db: Any, huey: Nephew):
    immediate = make_huey(database=db, immediate=True, immediate_use_memory=False, name=f"{huey.name}-2")
    for each in (huey, immediate):

        @each.task(transactional=True, name="book")
        def book(title: str) -> str:
            write(db, title)
            if title == "bad":
                raise ValueError(title)
            return title

        good, bad = book("good"), book("bad")
        if each is huey:
            while (task := huey.dequeue()) is not None:
                huey.execute(task)
        assert (good.get(), bad.state) == ("good", "failed")

    assert titles(db) == ["good", "good"]


def test_a_value_that_cannot_be_stored_undoes_it(huey: Nephew, db: Any, work: Work):
    @huey.task(transactional=True)
    def book() -> object:
        write(db, "tea")
        return object()

    result = book()
    work(huey)

    assert result.state == "failed"
    assert titles(db) == []


def test_a_function_that_ends_the_transaction_itself_fails(huey: Nephew, db: Any, work: Work):
    @huey.task(transactional=True)
    def book() -> None:
        write(db, "tea")
        db.rollback()

    result = book()
    work(huey)

    assert "its function has ended it" in huey.job(result.id).error
    assert titles(db) == []


def test_an_inner_transaction_that_was_left_open_ends_with_it(huey: Nephew, db: Any, work: Work):
    @huey.task(transactional=True)
    def book(title: str) -> None:
        db.transaction().__enter__()
        write(db, title)
        if title == "bad":
            raise ValueError(title)

    results = [book("bad"), book("good")]
    work(huey)

    assert [result.state for result in results] == ["failed", "succeeded"]
    assert titles(db) == ["good"]
    assert not db.in_transaction()


def test_an_error_of_the_database_that_the_function_swallows_fails_it(huey: Nephew, db: Any, work: Work):
    if isinstance(db, peewee.SqliteDatabase):
        return  # a failed statement leaves SQLite's transaction usable

    @huey.task(transactional=True)
    def book() -> None:
        write(db, "tea")
        try:
            db.execute_sql("SELECT nothing_of_the_kind")
        except peewee.PeeweeException:
            pass

    result = book()
    work(huey)

    assert "wrap what may fail in a savepoint" in huey.job(result.id).error
    assert titles(db) == []


def test_a_constraint_that_is_checked_at_the_commit_fails_it(huey: Nephew, db: Any, work: Work):
    db.execute_sql("DROP TABLE IF EXISTS line")
    db.execute_sql("DROP TABLE IF EXISTS page")
    db.execute_sql("CREATE TABLE page (id INTEGER PRIMARY KEY)")
    db.execute_sql("CREATE TABLE line (page INTEGER REFERENCES page (id) DEFERRABLE INITIALLY DEFERRED)")
    if isinstance(db, peewee.SqliteDatabase):
        db.execute_sql("PRAGMA foreign_keys = on")

    @huey.task(transactional=True)
    def book() -> None:
        write(db, "tea")
        db.execute_sql("INSERT INTO line VALUES (7)")

    result = book()
    work(huey)

    assert "constraint" in huey.job(result.id).error.lower()
    assert titles(db) == []
    assert not db.in_transaction()


def test_what_was_finished_or_claimed_before_does_not_wait_for_it(huey: Nephew, db: Any, backend_url: str, work: Work):
    seen: dict[str, Any] = {}
    other = Nephew(huey.name, backend_url)
    short = huey.task(name="short")(lambda number: number)

    @huey.task(transactional=True)
    def book() -> None:
        seen["before"], seen["after"] = other.job(before.id).state, other.backend.row(after.id).worker

    lane = Lane(huey.worker)
    before, booked, after = short(1), book(), short(2)
    jobs = huey.worker.claim(huey.worker.next_claim(), 3)
    lane.waiting.extend(jobs)
    while (claimed := lane.taken()) is not None:
        lane.run(claimed)
    lane.close()
    other.backend.close()

    assert seen == {"before": "succeeded", "after": None}
    assert (booked.state, after.state) == ("succeeded", "queued")


def test_the_keeper_writes_nothing_about_it_that_would_wait_for_it_or_undo_it(
    make_huey: Callable[..., Nephew], db: Any, backend_url: str
):
    """Shown as running, and its progress: on SQLite, and on PostgreSQL with snapshots."""
    if isinstance(db, peewee.PostgresqlDatabase):
        db.close()
        db.init(backend_url, prefer_psycopg3=True, isolation_level="REPEATABLE READ")
    huey = make_huey(database=db)
    keeper = Keeper(huey.worker)
    runs: list[int] = []

    @huey.task(transactional=True)
    def book() -> None:
        runs.append(1)
        db.execute_sql("SELECT count(*) FROM entry").fetchone()  # here a snapshot is taken
        current_job().progress(0.5)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(keep).result(3)
        write(db, "tea")

    def keep() -> None:
        keeper.keep(time.monotonic() + 1)
        db.close()

    result = book()
    lane = Lane(huey.worker, keeper)
    lane.run(lane.next())
    lane.close()
    keeper.stop()

    assert (result.state, runs, titles(db)) == ("succeeded", [1], ["tea"])
    assert result.progress.fraction == 0.5


# -- faults ------------------------------------------------------------------------------------------


def kill(sql: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run_in_a_child(huey: Nephew, db: Any, work: Work, number: int) -> int:
    """Do all the work in a process that is killed before its `number`-th statement; its exit status."""
    huey.close_before_fork()
    db.close()
    pid = os.fork()
    if not pid:
        try:
            lane = Lane(huey.worker)
            claimed = lane.next()
            db.fault.arm(number, kill)
            lane.run(claimed)
            db.fault.left = None
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    return status


def test_killed_before_any_of_its_statements_it_never_leaves_one_without_the_other(huey: Nephew, db: Any, work: Work):
    @huey.task(transactional=True)
    def book(title: str) -> str:
        write(db, title)
        follow(title)
        return title

    follow = huey.task(name="follow")(lambda title: title)

    number, status = 0, 1
    while status:
        number += 1
        title = f"{number:02}"
        result = book(title)
        status = run_in_a_child(huey, db, work, number)
        ended, written = result.state == "succeeded", title in titles(db)
        Reaper(huey).reap()
        work(huey)

        record = huey.job(result.id)
        assert ended == written, f"killed before statement {number}"
        assert record.state == "succeeded"
        assert [attempt.outcome for attempt in record.attempts].count("succeeded") == 1

    assert number > 7
    assert titles(db) == [f"{each:02}" for each in range(1, number + 1)]
    assert len(huey.jobs(task="follow", limit=None)) == number


def test_an_answer_to_the_commit_that_is_lost_repeats_nothing_that_was_committed(
    huey: Nephew, db: Any, postgres_url: str, work: Work
):
    if isinstance(db, peewee.SqliteDatabase):
        return  # a file answers

    def end_connection() -> None:
        pid = db.connection().info.backend_pid
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    @huey.task(transactional=True)
    def book(title: str) -> None:
        write(db, title)
        strike = strikes.pop(title, None)
        if strike is not None:
            db.fault.arm(commit_at, strike)

    def before_commit(sql: str) -> None:
        assert sql == "COMMIT"
        end_connection()

    def after_commit(sql: str) -> None:
        assert sql == "COMMIT"
        db.connection().execute("COMMIT")
        end_connection()

    strikes = {"before": before_commit, "after": after_commit}
    commit_at = statements_to_commit(huey, db, work)
    results = [book(title) for title in list(strikes)]
    work(huey)

    assert strikes == {}
    for result in results:
        assert [attempt.outcome for attempt in huey.job(result.id).attempts] == ["succeeded"]
    assert titles(db) == ["after", "before", "probe"]


def statements_to_commit(huey: Nephew, db: Any, work: Work) -> int:
    """How many statements follow in such a job on what it has written, the commit included."""

    @huey.task(transactional=True, name="probe")
    def probe() -> None:
        write(db, "probe")
        db.fault.seen.clear()

    probe()
    work(huey)
    return db.fault.seen.index("COMMIT") + 1


def test_two_jobs_that_lock_two_rows_in_opposite_order_both_succeed(huey: Nephew, db: Any, work: Work):
    if isinstance(db, peewee.SqliteDatabase):
        return  # has one lock
    db.execute_sql("INSERT INTO entry VALUES ('a'), ('b')")
    both = threading.Barrier(2)
    runs: list[str] = []

    @huey.task(transactional=True)
    def lock(first: str, second: str, lines: list[str]) -> list[str]:
        runs.append(first)
        lines.append("run")
        for number, title in enumerate((first, second)):
            db.execute_sql("SELECT title FROM entry WHERE title = %s FOR UPDATE", (title,)).fetchone()
            if len(runs) <= 2 and number == 0:
                both.wait(10)
        return lines

    results = [lock("a", "b", []), lock("b", "a", [])]

    def one(_: int) -> None:
        lane = Lane(huey.worker)
        claimed = lane.next()
        if claimed is not None:
            lane.run(claimed)
        lane.close()
        db.close()

    huey.worker.slots, huey.worker._free_slots = 2, [0, 1]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(2)))

    assert len(runs) > 2
    for result in results:
        record = huey.job(result.id)
        assert [attempt.outcome for attempt in record.attempts] == ["succeeded"]
        assert result.get() == ["run"]


def test_a_conflict_that_does_not_end_is_a_failed_attempt(huey: Nephew, db: Any, work: Work):
    if isinstance(db, peewee.SqliteDatabase):
        return  # has none

    runs: list[int] = []

    @huey.task(transactional=True)
    def book() -> None:
        runs.append(1)
        write(db, "tea")
        db.execute_sql("DO $$ BEGIN RAISE EXCEPTION 'met another' USING ERRCODE = '40001'; END $$")

    result = book()
    work(huey)

    record = huey.job(result.id)
    assert (record.state, len(record.attempts), len(runs)) == ("failed", 1, 6)
    assert "met another" in record.error
    assert titles(db) == []


def test_who_holds_the_lock_of_sqlite_for_long_is_told_off(
    huey: Nephew, db: Any, work: Work, caplog: pytest.LogCaptureFixture
):
    if not isinstance(db, peewee.SqliteDatabase):
        return  # others write beside it

    @huey.task(transactional=True)
    def book(seconds: float) -> None:
        time.sleep(seconds)

    caplog.set_level(logging.WARNING)
    book(0.0)
    work(huey)
    quiet = caplog.text
    book(1.1)
    work(huey)

    assert quiet == ""
    assert "kept everybody else from writing" in caplog.text


# -- options -----------------------------------------------------------------------------------------


def test_unusable_options_are_refused_at_import(huey: Nephew):
    with pytest.raises(ConfigError, match="expected transactional to be True or False, got 1"):
        huey.task(transactional=1)(lambda: None)
    with pytest.raises(ConfigError, match="expected either at_most_once or transactional, got both"):
        huey.task(transactional=True, at_most_once=True)(lambda: None)
