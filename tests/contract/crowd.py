"""Several threads that do the same thing at the same moment, each with a connection of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from nephew.backends.contract import Backend

T = TypeVar("T")


def at_once(backend: Backend, count: int, act: Callable[[int], T]) -> list[T]:
    """Call `act(0)` … `act(count - 1)`, all at the same moment; what they returned."""
    barrier = threading.Barrier(count)

    def one(index: int) -> T:
        try:
            backend.now()  # connected before the start
            barrier.wait(30)
            return act(index)
        finally:
            backend.close()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))
