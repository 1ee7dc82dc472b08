"""The demonstration, as a user starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from app.config import PROJECT
from app.demo import WORKSPACE_PREFIX
from app.demo.__main__ import environment
from app.demo.scenes import SCENES
from tests.eventually import eventually
from tests.leftovers import is_running
from tests.servers import RedisServer, find_redis

#: The demonstration takes less than half a minute on an idle machine.
LIMIT_SECONDS = 120


def assert_all_as_expected(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stdout + done.stderr
    for scene in SCENES:
        assert scene.title in done.stdout


def test_every_job_of_the_demonstration_reaches_its_expected_end(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "app.demo"],
        cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )

    assert_all_as_expected(done)
    assert list(tmp_path.iterdir()) == [], "it leaves no workspace behind"


def test_the_same_application_runs_on_postgresql(tmp_path: Path, postgres_url: str):
    workspace = tmp_path / f"{WORKSPACE_PREFIX}postgresql"
    workspace.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "app.demo.show"],
        cwd=PROJECT,
        env=environment(workspace, os.environ) | {"DATABASE_URL": postgres_url},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )

    assert_all_as_expected(done)


def test_the_same_application_runs_on_redis_and_leaves_nothing_there(tmp_path: Path, redis: RedisServer):
    done = subprocess.run(
        [sys.executable, "-m", "app.demo"],
        cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path), "REDIS_URL": redis.url},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )

    assert_all_as_expected(done)
    assert "Jobs are kept in redis" in done.stdout
    with Redis.from_url(redis.url) as client:
        assert list(client.scan_iter(match=f"*{WORKSPACE_PREFIX}*", count=1000)) == []


#: What `./run_consumer.sh --redis` does, with a process of its own in the consumer's place.
WITH_REDIS = """
set -eu
. scripts/redis.sh
start_redis
exec "$@"
"""

#: Asks that Redis, forks a worker, and ends as no handler can see. Its output ends with the worker.
KILLED = """
import os, signal, sys, redis
with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
    print(client.ping(), client.info("server")["process_id"], flush=True)
if os.fork():
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_redis_of_its_own_ends_with_the_consumer_even_when_that_is_killed(tmp_path: Path):
    done = subprocess.run(
        ["bash", "-c", WITH_REDIS, "run_consumer.sh", sys.executable, "-c", KILLED],
        cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path), "REDIS_SERVER": str(find_redis())},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )

    assert done.returncode == -signal.SIGKILL, done.stderr
    answered, pid = done.stdout.splitlines()[-1].split()
    assert answered == "True"
    eventually(lambda: not is_running(int(pid)))
    eventually(lambda: list(tmp_path.iterdir()) == [])


def test_it_fails_when_its_consumer_dies_and_keeps_the_evidence(tmp_path: Path):
    demonstration = subprocess.Popen(
        [sys.executable, "-m", "app.demo"],
        cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    (consumer,) = eventually(lambda: children_of(demonstration.pid), timeout=LIMIT_SECONDS)

    os.kill(consumer, signal.SIGKILL)

    told, _ = demonstration.communicate(timeout=LIMIT_SECONDS)
    assert demonstration.returncode == 1
    assert "the consumer has ended" in told
    assert [path.name for path in tmp_path.glob("*/consumer.log")] == ["consumer.log"], told


@pytest.mark.parametrize("moment", ["workspace", "consumer"])
def test_ctrl_c_ends_it_without_a_traceback_and_leaves_nothing_behind(tmp_path: Path, moment: str):
    demonstration = subprocess.Popen(
        [sys.executable, "-m", "app.demo"],
        cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    children = []
    if moment == "consumer":
        children = eventually(lambda: children_of(demonstration.pid), timeout=LIMIT_SECONDS)
    else:
        eventually(lambda: any(tmp_path.iterdir()), timeout=LIMIT_SECONDS)

    demonstration.send_signal(signal.SIGINT)

    told, _ = demonstration.communicate(timeout=LIMIT_SECONDS)
    assert demonstration.returncode == 130, told
    assert told.endswith("\nEnded by Ctrl-C; nothing is left behind.\n")
    assert "Traceback" not in told
    assert list(tmp_path.iterdir()) == []
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def children_of(pid: int) -> list[int]:
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert children
    return children


def test_it_touches_no_database_and_no_server_of_the_user(tmp_path: Path):
    found = environment(
        tmp_path,
        {
            "PATH": "/bin",
            "DATABASE_URL": "postgresql://live/todo",
            "REDIS_HOST": "live",
            "SMTP_URL": "smtp://live",
            "NEPHEW_URL": "redis://live",
        },
    )

    assert "live" not in " ".join(found.values())
    assert found["PATH"] == "/bin"


@pytest.mark.parametrize("variables", [{}, {"APP_DEMO": "yes"}])
def test_it_does_not_start_among_the_users_own_data(tmp_path: Path, sqlite_url: str, variables: dict[str, str]):
    done = subprocess.run(
        [sys.executable, "-m", "app.demo.show"],
        cwd=PROJECT,
        env=os.environ | {"DATA_DIR": str(tmp_path), "DATABASE_URL": sqlite_url, **variables},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )

    assert done.returncode == 1
    assert "python -m app.demo" in done.stderr
    assert tmp_path.exists()
