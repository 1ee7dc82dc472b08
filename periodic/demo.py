"""The demonstration's schedule; registered only when `APP_DEMO` is set."""

from __future__ import annotations

from app.queue import huey
from nephew import every
from tasks.demo import tick

huey.periodic_task(every(seconds=2), name="tick_every_2_seconds")(tick)
