"""The application after a rollout: it knows a task more."""

from __future__ import annotations

from tests.integration.apps.jobs import line
from tests.integration.apps.plain import huey


@huey.task(name="added_later")
def added_later(key: str) -> str:
    line("ran", key)
    return key
