"""Jobs of the demonstration; registered only when `APP_DEMO` is set."""

from __future__ import annotations

import os
import time
from pathlib import Path

from app.queue import huey
from nephew import current_job

#: How long `hold` works when nobody ends it; the demonstration kills it long before.
HOLD_SECONDS = 30


@huey.task(retries=2, retry_delay=0.2)
def flaky(failures: int) -> str:
    """Fail in the first `failures` attempts."""
    attempt = current_job().attempt
    if attempt <= failures:
        raise ConnectionError(f"the shop did not answer (attempt {attempt})")
    return f"answered in attempt {attempt}"


@huey.task()
def broken(price: str) -> int:
    """Fail, always."""
    return int(price)


@huey.task()
def tick() -> None:
    """Run by a schedule; that it ran is all there is to see."""


@huey.task()
def add(*numbers: int) -> int:
    """Their sum."""
    return sum(numbers)


@huey.task()
def total(numbers: list[int]) -> int:
    """The sum of a chord's results."""
    return sum(numbers)


@huey.task()
def hold(diary: str) -> int:
    """Note this process's id in `diary` and hold the worker; the second run has nothing left to do.

    :return: how many runs it took.
    """
    with Path(diary).open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()}\n")
    runs = len(Path(diary).read_text(encoding="utf-8").split())
    if runs == 1:
        time.sleep(HOLD_SECONDS)
    return runs
