"""Waiting for what another process or thread is about to do: the only place in the tests that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

INTERVAL_SECONDS = 0.02


def eventually(assertion: Callable[[], T], timeout: float = 10) -> T:
    """Call `assertion` until it raises no AssertionError, and return what it returned.

    After `timeout` seconds the last AssertionError is raised. One that returns False has not been met either,
    so that `eventually(lambda: job.state == "failed")` means what it says.
    """
    deadline = time.monotonic() + timeout
    while True:
        try:
            result = assertion()
            assert result is not False, f"not met within {timeout} s"
            return result
        except AssertionError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(INTERVAL_SECONDS)
