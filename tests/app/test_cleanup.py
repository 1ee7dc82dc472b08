"""What the clean-up removes, and what it leaves alone."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import pytest

from app.config import settings
from app.models import Export, Statistic, User, now
from app.queue import huey
from tasks.cleanup import PARTIAL_SECONDS, STATISTICS_DAYS, daily_cleanup, prune_history
from tasks.exports import export_todos
from tests.contract.ageing import age


def expire(path: str) -> None:
    Export.update(expires_at=now() - dt.timedelta(seconds=1)).where(Export.path == path).execute()


def make_file(name: str, age_seconds: float) -> Path:
    path = settings.data_dir / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    moment = time.time() - age_seconds
    os.utime(path, (moment, moment))
    return path


def test_an_expired_export_goes_with_its_file_and_another_stays(user: User):
    expired = export_todos.call_local(user.id)["path"]
    kept = export_todos.call_local(user.id)["path"]
    expire(expired)

    cleaned = daily_cleanup.call_local()

    assert cleaned == {"exports": 1, "partial_files": 0}
    assert not Path(expired).exists()
    assert Path(kept).exists()
    assert [export.path for export in Export.select()] == [kept]


def test_an_expired_export_without_a_file_goes_too(user: User):
    expired = export_todos.call_local(user.id)["path"]
    Path(expired).unlink()
    expire(expired)

    assert daily_cleanup.call_local()["exports"] == 1
    assert Export.select().count() == 0


@pytest.mark.parametrize("folder", ["downloads", "exports"])
def test_an_unfinished_file_goes_after_a_day(folder: str):
    old = make_file(f"{folder}/a.bin.1.part", PARTIAL_SECONDS + 60)
    young = make_file(f"{folder}/b.bin.1.part", PARTIAL_SECONDS - 60)
    finished = make_file(f"{folder}/c.bin", PARTIAL_SECONDS * 365)

    assert daily_cleanup.call_local() == {"exports": 0, "partial_files": 1}
    assert [old.exists(), young.exists(), finished.exists()] == [False, True, True]


def test_nothing_to_do_is_no_error():
    assert daily_cleanup.call_local() == {"exports": 0, "partial_files": 0}


def test_statistics_that_are_years_old_go(user: User):
    for days in (STATISTICS_DAYS + 2, STATISTICS_DAYS - 2):
        day = f"{now() - dt.timedelta(days=days):%Y-%m-%d}"
        Statistic.create(user=user, day=day, open=1, doing=0, done=0, overdue=0)

    assert prune_history.call_local() == {"jobs": 0, "statistics": 1}
    assert prune_history.call_local() == {"jobs": 0, "statistics": 0}


def test_records_that_are_not_kept_go():
    ended = [daily_cleanup(), daily_cleanup()]
    huey.execute(huey.dequeue())
    huey.execute(huey.dequeue())
    age(huey, 8, ended[0].id)

    assert prune_history.call_local() == {"jobs": 1, "statistics": 0}
    assert [job.id for job in huey.jobs()] == [ended[1].id]
