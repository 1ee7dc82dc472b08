"""An application before and after a release: a task is added, others are renamed, one takes other arguments.

Both are deployed together for a while; the variable `TEST_VERSION` says which one a consumer is of.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from nephew import Nephew, current_job, every
from tests.integration.apps.jobs import line


def install(huey: Nephew, version: str) -> SimpleNamespace:
    """The tasks of one version."""
    return {"old": _old, "new": _new}[version](huey)


def _old(huey: Nephew) -> SimpleNamespace:
    huey.periodic_task(every(seconds=1), name="sweep")(sweep)
    return SimpleNamespace(
        greet=huey.task(name="greet", retries=1)(greet),
        only=huey.task(name="only", unique=True)(greet),
        send=huey.task(name="send")(lambda key: greet(key)),
    )


def _new(huey: Nephew) -> SimpleNamespace:
    huey.periodic_task(every(seconds=1), name="tidy", aliases=f"{__name__}.sweep")(sweep)
    return SimpleNamespace(
        added=huey.task(name="added")(lambda key: greet(key)),
        greet=huey.task(name="welcome", retries=1, aliases=f"{__name__}.greet")(greet),
        only=huey.task(name="lonely", unique=True, aliases=f"{__name__}.only")(greet),
        send=huey.task(name="send")(lambda key, loud: greet(key)),
    )


def greet(key: str, *before: Any) -> None:
    """Also a step behind others; its first attempt fails if the key says so."""
    line("ran", key)
    if key.startswith("fails") and current_job().attempt == 1:
        raise ValueError(key)


def sweep() -> None:
    line("tick", "sweep")
