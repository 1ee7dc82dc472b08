"""What the consumer runs: `huey_consumer app.main.huey`. Gathers the instance, its jobs and its schedules."""

from __future__ import annotations

import periodic.schedules
import tasks.cleanup
import tasks.downloads
import tasks.exports
import tasks.overdue
import tasks.reminders
import tasks.statistics
from app.config import settings
from app.queue import huey

if settings.demo:
    import periodic.demo  # noqa: F401
    import tasks.demo  # noqa: F401

__all__ = ["huey"]
