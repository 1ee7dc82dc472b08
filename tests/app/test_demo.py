"""The demonstration, as a user starts it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import PROJECT
from app.demo.__main__ import environment
from app.demo.scenes import SCENES

#: The demonstration takes less than half a minute on an idle machine.
LIMIT_SECONDS = 120


def test_every_job_of_the_demonstration_reaches_its_expected_end(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "app.demo"],
        cwd=PROJECT,
        env=os.environ | {"TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    for scene in SCENES:
        assert scene.title in done.stdout
    assert list(tmp_path.iterdir()) == [], "it leaves no workspace behind"


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
def test_it_does_not_start_among_the_users_own_data(tmp_path: Path, variables: dict[str, str]):
    done = subprocess.run(
        [sys.executable, "-m", "app.demo.show"],
        cwd=PROJECT,
        env=os.environ | {"DATA_DIR": str(tmp_path), **variables},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )

    assert done.returncode == 1
    assert "python -m app.demo" in done.stderr
    assert tmp_path.exists()
