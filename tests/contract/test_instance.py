"""`Nephew` itself: where it keeps its jobs, what it refuses, and that instances do not see each other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peewee
import pytest

from nephew import Nephew
from nephew.errors import BackendError, ConfigError
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, job


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "mysql://host/db"}, "expected a URL like sqlite:///file.db, .* or memory://, got 'mysql://host/db'"),
        ({"url": "jobs.db"}, "expected a URL like sqlite:///file.db .*, got 'jobs.db'"),
        ({"url": 5}, "expected a URL like sqlite:///file.db .*, got 5"),
        ({"url": "sqlite://jobs.db"}, r"expected sqlite:///file.db \(or sqlite:////absolute/file.db\)"),
        ({"url": "sqlite:///"}, "expected a file in sqlite:///file.db, .* for tests there is memory://"),
        ({"url": "sqlite:///a.db?synchronous=maybe"}, "expected synchronous to be off, normal, full or extra"),
        ({"url": "sqlite:///a.db?timeout=soon"}, "expected timeout to be a number of seconds, got 'soon'"),
        ({"url": "sqlite:///a.db?mode=ro"}, r"expected only synchronous and timeout after \? .*, got mode"),
        ({"url": "postgresql://host/db?colour=red"}, "expected a PostgreSQL URI, .*colour"),
        (
            {"url": "postgresql://host/db?tcp_user_timeout=5s"},
            "expected tcp_user_timeout to be a whole number of milliseconds, got '5s'",
        ),
        ({"url": "redis://localhost/shop"}, "number of a database"),
        ({"url": "memory://", "database": peewee.SqliteDatabase("jobs.db")}, "either a url or a database, got both"),
        ({"url": "memory://", "database_url": "sqlite:///h.db"}, "database_url is for a queue on Redis"),
        ({"database": "db.sqlite"}, "expected database to be a Peewee SqliteDatabase or .*, got 'db.sqlite'"),
        ({"database": peewee.MySQLDatabase("x")}, "expected database to be a Peewee SqliteDatabase or Postgres"),
        ({"name": " ", "url": "memory://"}, "expected the instance's name to be a text, got ' '"),
        ({"name": 7, "url": "memory://"}, "expected the instance's name to be a text, got 7"),
        ({"url": "memory://", "imediate": True}, r"unknown option 'imediate' of Nephew \(known: .*immediate"),
        ({"url": "memory://", "lease": 5}, r"expected lease to be greater than heartbeat \(10\), got 5"),
        ({"url": "memory://", "drain": "soon"}, "expected drain to be a number of seconds, got 'soon'"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_saying_what_was_expected(options: dict[str, Any], message: str):
    with pytest.raises(ConfigError, match=message):
        Nephew(**options)


@pytest.mark.parametrize("url", ["mysql://me:secret@host/db", "postgresql://me:secret@host/db?colour=red"])
def test_a_password_is_never_shown(url: str):
    with pytest.raises(ConfigError) as caught:
        Nephew("shop", url)

    assert "secret" not in str(caught.value)
    assert "secret" not in Nephew("shop", "postgresql://me:secret@host/db").backend.description


def test_without_a_url_the_jobs_are_in_a_file_beside_the_module(tmp_path: Path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "queue.py").write_text("from nephew import Nephew\nhuey = Nephew('shop')\n")
    command = "from shop.queue import huey; print(huey.backend.description)"

    told = [
        subprocess.run(
            [sys.executable, "-c", command],
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": f"{Path.cwd()}:{tmp_path}", **variables},
            capture_output=True,
            text=True,
        ).stdout.strip()
        for variables in ({}, {"NEPHEW_URL": "memory://"})
    ]

    assert told == [f"sqlite {tmp_path / 'shop' / 'nephew.db'}", "memory"]
    assert not (tmp_path / "shop" / "nephew.db").exists(), "nothing connects at import"


def test_a_server_that_cannot_be_reached_is_an_error_of_ours_that_names_it(make_huey: Callable[..., Nephew]):
    huey = make_huey(url="postgresql://me:secret@127.0.0.1:1/db")
    task = huey.task()(lambda: None)

    with pytest.raises(BackendError, match=r"postgresql://me:…@127.0.0.1:1/db.*refused") as caught:
        task()

    assert "secret" not in str(caught.value)


def test_a_file_that_cannot_be_made_is_an_error_of_ours_that_names_it(make_huey: Callable[..., Nephew], tmp_path: Path):
    huey = make_huey(url=f"sqlite:///{tmp_path}/missing/jobs.db")
    task = huey.task()(lambda: None)

    with pytest.raises(ConfigError, match=r"expected to be able to read and write .*/missing"):
        task()


def test_two_instances_in_one_database_never_see_each_other(make_huey: Callable[..., Nephew], name: str, work: Work):
    mine, theirs = make_huey(f"{name}-mine"), make_huey(f"{name}-theirs")
    ran: list[str] = []
    my_task = mine.task(name="job", unique=True)(lambda: ran.append("mine"))
    their_task = theirs.task(name="job", unique=True)(lambda: ran.append("theirs"))
    result = my_task()

    seen = [
        theirs.job(result.id), theirs.jobs(), len(theirs),
        theirs.cancel(result.id), theirs.retry(result.id), theirs.backend.delete_jobs([result.id]), work(theirs),
    ]  # fmt: skip
    twin = their_task()

    assert seen == [None, [], 0, False, False, 0, 0]
    assert not twin.duplicate
    assert work(mine) == 1
    assert ran == ["mine"]


def test_locks_data_ticks_and_workers_of_two_instances_are_apart(make_huey: Callable[..., Nephew], name: str):
    mine, theirs = (make_huey(f"{name}-{which}").backend for which in ("mine", "theirs"))
    hand, stranger = Hand(mine), Hand(theirs)
    mine.put("key", b"mine")
    mine.add("visits", 5)

    assert [worker.number for worker in mine.workers()] == [hand.number]
    assert [worker.number for worker in theirs.workers()] == [stranger.number]
    assert mine.acquire_lock("lock", "me", "", 60) == theirs.acquire_lock("lock", "you", "", 60) == 1
    assert theirs.peek(["key"]) == {}
    assert theirs.add("visits", 1) == 1
    assert mine.run_tick("daily", 1.0, job()) == theirs.run_tick("daily", 1.0, job()) == "enqueued"
    theirs.flush("queue")
    assert (mine.waiting_count(), theirs.waiting_count()) == (1, 0)


def test_the_same_id_may_be_used_by_two_instances(make_huey: Callable[..., Nephew], name: str):
    mine, theirs = (make_huey(f"{name}-{which}").backend for which in ("mine", "theirs"))

    stored = [backend.enqueue([job("1", unique_key="a")])[0] for backend in (mine, theirs)]

    assert [entry.duplicate for entry in stored] == [False, False]


def test_immediate_mode_runs_at_the_call_and_keeps_nothing_in_the_store(make_huey: Callable[..., Nephew], work: Work):
    huey = make_huey()
    add = huey.task()(lambda a, b: a + b)
    huey.immediate = True

    pipeline = huey.enqueue(add.s(1, 2).then(add, 10))
    result = add(3, 4)
    huey.immediate = False

    assert len(huey) == 0 and huey.jobs() == []
    huey.immediate = True
    assert (result.get(), pipeline.get()) == (7, [3, 13])
    huey.immediate = False


def test_a_result_may_be_read_once_as_in_huey(make_huey: Callable[..., Nephew], work: Work):
    huey = make_huey(results_read_once=True)
    result = huey.task()(lambda: 42)()
    work(huey)

    kept, first, second = (huey.result(result.id, preserve=preserve) for preserve in (True, False, False))

    assert (kept, first, second) == (42, 42, None)
    assert result.state == "succeeded"


def test_a_consumer_may_serve_some_queues_only(make_huey: Callable[..., Nephew], work: Work):
    everything, mail = make_huey(), make_huey(queues="mail, slow")
    for queue in ("default", "mail", "slow", "other"):
        for huey in (everything, mail):
            huey.task(name=queue, queue=queue)(lambda: None)
        everything.enqueue(everything._registry.string_to_task(f"{__name__}.{queue}")())

    assert work(mail) == 2
    assert {found.queue for found in everything.jobs(state="queued")} == {"default", "other"}
    assert work(everything) == 2


def test_a_child_process_works_on_with_connections_of_its_own(make_huey: Callable[..., Nephew], work: Work):
    huey = make_huey()
    task = huey.task()(lambda who: who)
    mine = task("parent")

    pid = os.fork()
    if pid == 0:
        try:
            task("child")
            os._exit(0)
        except BaseException:
            os._exit(1)
    _, status = os.waitpid(pid, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert work(huey) == 2
    assert mine.get() == "parent"
    assert {found.result for found in huey.jobs()} == {"parent", "child"}
