"""SQLite files that cannot be written for a while: read-only, or locked for longer than anybody waits."""

from __future__ import annotations

import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from nephew import BackendError, ConfigError, Nephew
from tests.consumers import repeated
from tests.eventually import eventually
from tests.integration.apps import jobs
from tests.integration.conftest import Mount, open_bench
from tests.integration.test_bad_databases import locked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def make_read_only(mount: Mount, folder: Path) -> None:
    """For everybody who opens a file from now on."""
    mount("--bind", folder, folder)
    mount("-o", "remount,bind,ro", folder)


def make_writable(folder: Path) -> None:
    subprocess.run(["umount", "--lazy", folder], check=True)


def test_a_read_only_file_is_refused_at_the_start(
    request: pytest.FixtureRequest, mount: Mount, folder: Path, name: str, tmp_path: Path
) -> None:
    with open_bench(request, f"sqlite:///{folder / 'nephew.db'}", name, tmp_path) as bench:
        waiting = bench.tasks.note("waiting")
        bench.huey.backend.close()
        make_read_only(mount, folder)

        consumer = bench.consumer("process", 2, ready=False)
        assert consumer.wait() != 0
        assert f"expected to be able to read and write {folder / 'nephew.db'}" in consumer.log()
        with pytest.raises(ConfigError, match="expected to be able to read and write"):
            jobs.install(Nephew(name, bench.url)).note("refused")

        make_writable(folder)
        bench.consumer("process", 2)
        bench.await_state(waiting, "succeeded")
        assert [run.key for run in bench.runs("ran")] == ["waiting"]


def test_a_file_that_becomes_read_only_amid_work_is_waited_for(
    request: pytest.FixtureRequest, mount: Mount, folder: Path, name: str, tmp_path: Path
) -> None:
    with open_bench(request, f"sqlite:///{folder / 'nephew.db'}", name, tmp_path) as bench:
        consumer = bench.consumer("process", 2)
        results = [bench.tasks.spell(f"job-{number}", 0.02) for number in range(200)]
        bench.await_run("ended", "job-5")

        make_read_only(mount, folder)
        victim = consumer.worker_pids()[0]
        os.kill(victim, signal.SIGKILL)  # the one that takes its place has to open the file
        eventually(lambda: "trying again" in consumer.log(), 20)
        with pytest.raises((BackendError, ConfigError)):
            jobs.install(Nephew(name, bench.url)).note("refused")
        make_writable(folder)

        for result in results:
            bench.await_state(result, "succeeded")
        later = [bench.tasks.spell(f"later-{number}", 0.05) for number in range(30)]
        for result in later:
            bench.await_state(result, "succeeded")
        assert {run.pid for run in bench.runs("ended")[-30:]} == set(consumer.worker_pids())
        assert sum(repeated(bench.runs("ended")).values()) <= 1  # what the victim had just ended
        assert not bench.runs("ran")


def test_a_lock_that_is_held_for_longer_than_anybody_waits_delays_all_and_loses_nothing(
    request: pytest.FixtureRequest, sqlite_url: str, name: str, tmp_path: Path
) -> None:
    with open_bench(request, f"{sqlite_url}?timeout=0.5", name, tmp_path) as bench, ThreadPoolExecutor(1) as pool:
        consumer = bench.consumer("thread", 2)
        waiting = [bench.tasks.spell(f"job-{number}", 0.01) for number in range(100)]
        patient = jobs.install(Nephew(name, sqlite_url))
        bench.await_run("ended", "job-5")

        with locked(tmp_path / "nephew.db"):
            stored = pool.submit(patient.note, "patient")
            with pytest.raises(BackendError, match="database is locked"):
                bench.tasks.note("refused")
            eventually(lambda: consumer.log().count("database is locked") >= 3, 20)
            assert not stored.done()

        for result in (*waiting, stored.result()):
            bench.await_state(result, "succeeded")
        assert not repeated(bench.runs("ended") + bench.runs("ran"))
        assert not bench.runs("ran", "refused")
