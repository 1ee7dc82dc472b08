"""Jobs and hooks that fork: the child is no second worker, and the parent's threads leave it no lock held."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest

from nephew import Nephew
from nephew.errors import NephewError
from nephew.request import Request
from tests.contract.conftest import Work

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

#: A child that hangs is ended after this (seconds).
HUNG = 20


def in_a_child(act: Callable[[], None]) -> tuple[int, int]:
    """Its process id and its exit code."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(HUNG)
        try:
            act()
        except BaseException:
            traceback.print_exc()
            os._exit(97)
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    return pid, os.waitstatus_to_exitcode(status)


def returns() -> str:
    return "from the child"


def exits() -> None:
    sys.exit(3)


def exits_with_words() -> None:
    sys.exit("words")


def fails() -> None:
    raise ValueError("in the child")


def leave(path: Path) -> None:
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")


@pytest.mark.parametrize(("act", "code"), [(returns, 0), (exits, 3), (exits_with_words, 1), (fails, 1)])
def test_a_child_that_comes_back_from_its_job_ends_there(
    make_huey: Callable[..., Nephew], work: Work, tmp_path: Path, act: Callable[[], object], code: int
):
    huey = make_huey()
    ran, came_back = tmp_path / "ran", tmp_path / "came back"

    @huey.task(name="forks")
    def forks() -> object:
        leave(ran)
        pid = os.fork()
        if pid == 0:
            return act()
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    results = [forks(), forks()]
    huey.backend.close()

    def run() -> None:
        work(huey)
        leave(came_back)
        huey.sign_off()

    worker, ended = in_a_child(run)

    assert ended == 0
    assert came_back.read_text().split() == [str(worker)]
    assert ran.read_text().split() == [str(worker)] * 2
    jobs = [huey.job(result.id) for result in results]
    assert [(job.state, job.result, len(job.attempts)) for job in jobs] == [("succeeded", code, 1)] * 2


@pytest.mark.parametrize("place", ["pre_execute", "post_execute", "executing"])
def test_a_child_that_comes_back_from_a_hook_ends_there(
    make_huey: Callable[..., Nephew], work: Work, tmp_path: Path, place: str
):
    huey = make_huey()
    ran, came_back = tmp_path / "ran", tmp_path / "came back"

    def fork(*arguments: object) -> None:
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)

    if place == "executing":
        huey.signal(place)(fork)
    else:
        getattr(huey, place)()(fork)
    huey.task(name="job")(lambda: leave(ran))()
    huey.backend.close()

    def run() -> None:
        work(huey)
        leave(came_back)
        huey.sign_off()

    worker, ended = in_a_child(run)

    assert ended == 0
    assert came_back.read_text().split() == ran.read_text().split() == [str(worker)]


def test_a_worker_refuses_to_work_in_a_child(make_huey: Callable[..., Nephew]):
    huey = make_huey()
    result = huey.task()(lambda: None)()
    worker = huey.worker
    number = worker.number

    def use() -> None:
        with pytest.raises(NephewError, match="used in its child"):
            worker.claim(worker.next_claim(), 1)
        with pytest.raises(NephewError, match="used in its child"):
            worker._settle([])
        worker.retire()

    _, ended = in_a_child(use)

    assert ended == 0
    assert [worker.number for worker in huey.backend.workers()] == [number]
    assert huey.job(result.id).state == "queued"


def test_a_child_connects_although_a_thread_was_connecting_at_the_fork(make_huey: Callable[..., Nephew]):
    huey = make_huey()
    task = huey.task()(lambda: None)
    task()
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        database = getattr(huey.backend, "database", None)  # Redis's pool has no lock
        with nullcontext() if database is None else database._lock, huey._opening:
            held.set()
            free.wait(HUNG)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(HUNG)
    try:
        _, ended = in_a_child(lambda: task() and None)
    finally:
        free.set()
        thread.join()

    assert ended == 0
    assert len(huey.jobs()) == 2


def test_on_sqlite_a_fork_waits_for_another_threads_write(sqlite_url: str, name: str):
    dialect = Nephew(name, sqlite_url).backend.dialect
    held = threading.Event()
    order: list[str] = []

    def write() -> None:
        with dialect.writing():
            held.set()
            threading.Event().wait(0.1)
            order.append("written")

    thread = threading.Thread(target=write)
    thread.start()
    held.wait(HUNG)
    _, ended = in_a_child(lambda: dialect.writing().__enter__() and None)
    order.append("forked")
    thread.join()

    assert ended == 0
    assert order == ["written", "forked"]


def test_on_sqlite_a_fork_inside_a_write_waits_for_nobody(sqlite_url: str, name: str):
    dialect = Nephew(name, sqlite_url).backend.dialect
    entered: list[bool] = []

    with dialect.writing():
        _, ended = in_a_child(lambda: None)

    def enter() -> None:
        with dialect.writing():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert (ended, entered) == (0, [True])


def test_a_claim_that_is_on_its_way_is_answered_to_the_parent_of_a_fork(make_huey: Callable[..., Nephew]):
    huey = make_huey()
    huey.task(name="noop")(lambda number: None).map(range(3))
    request = Request(huey.worker, 2)
    request.send()

    def use_and_close() -> None:
        assert huey.pending_count() <= 3
        huey.backend.close()
        gc.collect()

    assert in_a_child(use_and_close)[1] == 0
    assert len(request.jobs()) == 2
