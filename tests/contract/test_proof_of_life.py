"""A worker's file is easily lost; its process tells as well whether it lives."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nephew import Nephew, presence
from nephew.recovery import Reaper
from tests.contract.jobs import NO_PID, record

LIVING = "import sys; print(flush=True); sys.stdin.read()"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    """Some process of this host that is not this one."""
    process = subprocess.Popen([sys.executable, "-c", LIVING], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def huey(sqlite_url: str, name: str) -> Iterator[Nephew]:
    """SQLite only: on PostgreSQL there are heartbeats too."""
    huey = Nephew(name, sqlite_url)
    yield huey
    huey.sign_off()
    huey.backend.close()


@pytest.fixture
def unlocked(tmp_path: Path) -> Path:
    """A worker's file whose lock nobody holds any more."""
    path = tmp_path / "unlocked"
    path.write_bytes(b"old".ljust(64, b"\0"))
    return path


def register(huey: Nephew, path: Path, pid: int, **changes: Any) -> None:
    here = {"boot": presence.boot_id(), "pid_namespace": presence.pid_namespace()}
    huey.backend.register(record(path=str(path), pid=pid, **{**here, **changes}))


def test_a_worker_whose_file_was_deleted_lives_as_long_as_its_process(huey: Nephew, tmp_path: Path, process):
    register(huey, tmp_path / "deleted", process.pid)

    living = [Reaper(huey).reap() for _ in range(3)]
    process.kill()
    process.wait()

    assert (living, Reaper(huey).reap()) == ([0, 0, 0], 1)


def test_a_worker_whose_lock_was_freed_lives_as_long_as_its_process(huey: Nephew, unlocked: Path, process):
    register(huey, unlocked, process.pid, incarnation="old")

    living = Reaper(huey).reap()
    process.kill()
    process.wait()

    assert (living, Reaper(huey).reap()) == (0, 1)


def test_a_dead_process_that_its_parent_has_not_looked_at_is_dead(huey: Nephew, unlocked: Path, process):
    register(huey, unlocked, process.pid, incarnation="old")
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)

    assert Reaper(huey).reap() == 1


def test_a_process_that_became_another_worker_is_no_proof_for_the_first(
    huey: Nephew, unlocked: Path, tmp_path: Path, process
):
    """After SIGHUP a consumer goes on in the same process."""
    register(huey, unlocked, process.pid, incarnation="old")
    register(huey, tmp_path / "deleted", process.pid, incarnation="new")

    assert Reaper(huey).reap() == 1
    assert [worker.incarnation for worker in huey.backend.workers() if worker.pid == process.pid] == ["new"]


def test_another_kind_of_worker_in_the_same_process_is_no_successor(
    huey: Nephew, unlocked: Path, tmp_path: Path, process
):
    """A consumer of threads has a worker for them, and one of its own."""
    register(huey, unlocked, process.pid, incarnation="old")
    register(huey, tmp_path / "deleted", process.pid, kind="caller")

    assert Reaper(huey).reap() == 0


def test_a_process_that_got_a_dead_workers_number_is_no_proof(huey: Nephew, unlocked: Path, process):
    register(huey, unlocked, process.pid, incarnation="old")
    huey.backend.write(lambda run: run("UPDATE nephew_worker SET started_at = started_at - 60"))

    assert Reaper(huey).reap() == 1


def test_a_process_of_another_container_is_no_proof(huey: Nephew, unlocked: Path, process):
    register(huey, unlocked, process.pid, incarnation="old", pid_namespace="elsewhere")

    assert Reaper(huey).reap() == 1


def test_an_older_worker_of_the_reapers_own_process_is_dead(huey: Nephew, unlocked: Path):
    register(huey, unlocked, os.getpid(), incarnation="old")

    assert Reaper(huey).reap() == 1


def test_the_age_of_a_process_is_known(process):
    age = presence.process_age(process.pid)

    assert age is not None
    assert 0 <= age < 60
    time.sleep(0.03)
    assert presence.process_age(process.pid) > age
    assert presence.process_age(NO_PID) is None
