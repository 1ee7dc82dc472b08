"""What runs when, in the configured time zone."""

from __future__ import annotations

from app.config import settings
from app.queue import huey
from nephew import cron
from tasks.cleanup import daily_cleanup

huey.periodic_task(cron("0 2 * * *", tz=settings.time_zone), name="daily_cleanup_at_2")(daily_cleanup)
