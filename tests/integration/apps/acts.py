"""The jobs of the kill matrix: one of each kind, so that a blow may find any of them at its place."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from uuid import uuid4

from nephew import current_job, failpoints
from tests.integration.apps.jobs import job, line


def _act(key: str) -> str:
    line("began", key)
    if failpoints.armed:
        failpoints.reach("mid-run")
    line("ended", key)
    return key


@job()
def play(key: str) -> str:
    return _act(key)


@job()
def encore(key: str, before: str) -> str:
    """The next step of a pipeline."""
    return f"{before} {_act(key)}"


@job()
def curtain(key: str, values: Sequence[str]) -> str:
    """The callback of a chord."""
    return " ".join([*sorted(values), _act(key)])


@job(retries=1, retry_delay=0.1)
def stumble(key: str) -> str:
    """Fails once."""
    line("began", key)
    if current_job().attempt == 1:
        raise ValueError(key)
    line("ended", key)
    return key


@job()
def flop(key: str) -> None:
    """Fails always."""
    raise ValueError(_act(key))


@job()
def excuse(key: str, error: BaseException) -> str:
    """An error handler."""
    return _act(key)


@job(at_most_once=True)
def premiere(key: str) -> str:
    return _act(key)


@job(unique=True)
def solo(key: str) -> str:
    return _act(key)


@job()
def locked(key: str) -> str:
    """Holds a lock, which outlives a dead holder by a moment."""
    huey = sys.modules["tests.integration.apps.plain"].huey
    with huey.lock("stage", ttl=1.0, wait=10):
        return _act(key)


@job()
def call(key: str) -> str:
    """Enqueues a job, whose key is another one in each run."""
    line("began", key)
    sys.modules["tests.integration.apps.plain"].tasks.play(f"{key}-called-{uuid4().hex}")
    line("ended", key)
    return key
