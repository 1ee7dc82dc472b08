"""What the consumer finds at `app.main.huey`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.config import PROJECT

REGISTERED = """
import app.main
print(*sorted(app.main.huey._registry._registry), sep="\\n")
"""

APPLICATION_TASKS = [
    "tasks.cleanup.daily_cleanup",
    "tasks.cleanup.daily_cleanup_at_2",
    "tasks.cleanup.history_pruning_at_3",
    "tasks.cleanup.prune_history",
    "tasks.downloads.download",
    "tasks.downloads.download_expiry_at_4",
    "tasks.downloads.expire_downloads",
    "tasks.exports.export_todos",
    "tasks.overdue.check_overdue_tasks",
    "tasks.overdue.overdue_check_hourly",
    "tasks.reminders.send_reminder",
    "tasks.statistics.process_task_statistics",
    "tasks.statistics.statistics_hourly",
]


def run(script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=PROJECT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_every_task_is_registered_and_none_of_the_demonstration(sqlite_url: str):
    done = run(REGISTERED, DATABASE_URL=sqlite_url)

    assert done.stdout.split() == APPLICATION_TASKS, done.stderr


def test_the_demonstration_adds_its_own(sqlite_url: str):
    done = run(REGISTERED, DATABASE_URL=sqlite_url, APP_DEMO="yes")

    added = set(done.stdout.split()) - set(APPLICATION_TASKS)
    assert {"tasks.demo.flaky", "tasks.demo.tick_every_2_seconds"} <= added, done.stderr


@pytest.mark.parametrize(
    "module", ["tasks.cleanup", "tasks.downloads", "tasks.exports", "tasks.overdue", "periodic.schedules"]
)
def test_each_module_can_be_imported_first(module: str, sqlite_url: str):
    done = run(f"import {module}, app.main", DATABASE_URL=sqlite_url)

    assert done.returncode == 0, done.stderr


def test_importing_connects_to_nothing(tmp_path: Path):
    done = run("import app.main", DATABASE_URL="postgresql://nobody@127.0.0.1:1/nothing")
    assert done.returncode == 0, done.stderr

    done = run("import app.main", DATABASE_URL=f"sqlite:///{tmp_path / 'todo.db'}")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "todo.db").exists()


def test_an_unusable_setting_stops_the_import_and_is_named():
    done = run("import app.main", EXPORT_TTL="soon", TIME_ZONE="Mars")

    assert done.returncode == 1
    assert "expected EXPORT_TTL to be a whole number greater than 0, got 'soon'" in done.stderr
    assert "expected TIME_ZONE to be a time zone" in done.stderr
