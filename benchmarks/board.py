"""The board on which every job notes when it ran: a file that all processes have mapped.

One number per job, written without a lock or a system call, so that the jobs of every runner are equally cheap
and nobody has to ask a store how far it is.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable
from pathlib import Path

_BYTES = 8

#: How often somebody who waits looks at the board.
_LOOK_SECONDS = 0.002


class Board:
    """The moment of each job's last run, in nanoseconds of the machine's monotonic clock; 0: not yet."""

    def __init__(self, path: Path) -> None:
        with open(path, "r+b") as file:
            self.moments = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")

    @classmethod
    def create(cls, path: Path, size: int) -> Board:
        """A new board with room for so many jobs."""
        path.write_bytes(bytes(size * _BYTES))
        return cls(path)

    def clear(self) -> None:
        """Forget all runs."""
        self.moments[:] = memoryview(bytes(len(self.moments) * _BYTES)).cast("q")

    def seen_from(self, number: int, count: int) -> int:
        """The first of the jobs `number` … `count - 1` that has not run; `count` when all have."""
        while number < count and self.moments[number]:
            number += 1
        return number

    def await_run(self, number: int, seconds: float, check: Callable[[], None]) -> int:
        """The moment when this job ran.

        :param check: called again and again; raises when there is nothing to wait for any more.
        :raises TimeoutError: when it did not in this time.
        """
        deadline = time.monotonic() + seconds
        while not self.moments[number]:
            check()
            if time.monotonic() > deadline:
                raise TimeoutError(f"job {number} did not run within {seconds:g} s")
            time.sleep(_LOOK_SECONDS)
        return self.moments[number]

    def rate(self, count: int) -> float:
        """Jobs per second, from the first to the last of so many."""
        moments = self.moments[:count].tolist()
        return (count - 1) / ((max(moments) - min(moments)) / 1e9)
