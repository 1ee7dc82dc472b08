"""The application after a rollout: it knows a task more."""

from __future__ import annotations

from tests.integration.apps import jobs
from tests.integration.apps.plain import huey

added_later = huey.task()(jobs.added_later)
