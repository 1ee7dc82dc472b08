"""Removing what nobody needs any more."""

from __future__ import annotations

import datetime as dt
import time
from pathlib import Path
from typing import TypedDict

from app.config import settings
from app.files import PARTIAL_SUFFIX
from app.models import Export, Statistic, now
from app.queue import huey

#: A file that nobody has written to for so long is not being downloaded any more.
PARTIAL_SECONDS = 86400

#: How long statistics are kept.
STATISTICS_DAYS = 2 * 366


class Cleaned(TypedDict):
    """What a clean-up returns: how many of each it removed."""

    exports: int
    partial_files: int


class Pruned(TypedDict):
    """What pruning returns: how many of each it removed."""

    jobs: int
    statistics: int


@huey.task()
def daily_cleanup() -> Cleaned:
    """Remove exports that have expired and files that were never finished."""
    return {"exports": _expired_exports(), "partial_files": _partial_files()}


def _expired_exports() -> int:
    expired = list(Export.select().where(Export.expires_at <= now()))
    for export in expired:
        # The row goes last: a crash in between leaves something that the next clean-up still finds.
        Path(export.path).unlink(missing_ok=True)
        export.delete_instance()
    return len(expired)


def _partial_files() -> int:
    oldest = time.time() - PARTIAL_SECONDS
    count = 0
    for path in settings.data_dir.glob(f"*/*{PARTIAL_SUFFIX}"):
        if path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            count += 1
    return count


@huey.task()
def prune_history() -> Pruned:
    """Remove statistics that are years old, and the records of jobs that the settings do not keep.

    Consumers prune records by themselves, a little at a time; once a day all of it is gone through.
    """
    oldest = now() - dt.timedelta(days=STATISTICS_DAYS)
    statistics = Statistic.delete().where(Statistic.day < f"{oldest:%Y-%m-%d}").execute()
    return {"jobs": sum(huey.prune().values()), "statistics": statistics}
