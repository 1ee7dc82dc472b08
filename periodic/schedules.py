"""What runs when, in the configured time zone."""

from __future__ import annotations

from datetime import timedelta

from app.config import settings
from app.queue import huey
from nephew import cron
from tasks.cleanup import daily_cleanup, prune_history
from tasks.downloads import expire_downloads
from tasks.overdue import check_overdue_tasks
from tasks.statistics import process_task_statistics

ZONE = settings.time_zone

huey.periodic_task(cron("0 * * * *", tz=ZONE), name="overdue_check_hourly")(check_overdue_tasks)
huey.periodic_task(cron("55 * * * *", tz=ZONE), name="statistics_hourly")(process_task_statistics)
# Who is not told that it has stopped, notices when the disk is full.
huey.periodic_task(cron("0 2 * * *", tz=ZONE), name="daily_cleanup_at_2", expect_within=timedelta(hours=26))(
    daily_cleanup
)
huey.periodic_task(cron("0 3 * * *", tz=ZONE), name="history_pruning_at_3")(prune_history)
huey.periodic_task(cron("0 4 * * *", tz=ZONE), name="download_expiry_at_4")(expire_downloads)
