"""Schedules whose ledger a test can foretell: due each second, and never skipped where they should not be."""

from __future__ import annotations

import time

from nephew import every
from tests.integration.apps import jobs
from tests.integration.apps.plain import huey

#: How long a job of `slow` takes, in seconds.
SLOWLY = 0.8


@huey.periodic_task(every(seconds=1), catch_up="all", overlap="allow")
def beat() -> None:
    jobs.line("ran", "beat")


@huey.periodic_task(every(seconds=0.3))
def slow() -> None:
    jobs.line("began", "slow")
    time.sleep(SLOWLY)
    jobs.line("ended", "slow")


@huey.periodic_task(every(seconds=0.3, jitter=0.1), overlap="queue")
def patient() -> None:
    jobs.line("began", "patient")
    time.sleep(SLOWLY)
    jobs.line("ended", "patient")
