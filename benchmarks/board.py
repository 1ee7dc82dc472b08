"""The board on which every job notes when it ran: a file that all processes have mapped.

A few numbers per job, written without a lock or a system call, so that the jobs of every runner are equally cheap
and nobody has to ask a store how far it is. The file is three columns of 64-bit integers in the machine's byte order,
one after the other; a runner in another language writes there too.
"""

from __future__ import annotations

import mmap
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_BYTES = 8
_COLUMNS = 3

#: How often somebody who waits looks at the board.
_LOOK_SECONDS = 0.002


class Board:
    """What jobs note in their slots. Times are nanoseconds of the machine's monotonic clock; 0: not yet.

    :ivar moments: when a no-op job last ran, and when a nap last ended.
    :ivar begun: when a nap last began.
    :ivar pids: the process in which it did.
    """

    def __init__(self, path: Path) -> None:
        with open(path, "r+b") as file:
            self._all = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        size = len(self._all) // _COLUMNS
        self.moments, self.begun, self.pids = (self._all[size * n : size * (n + 1)] for n in range(_COLUMNS))

    @classmethod
    def create(cls, path: Path, size: int) -> Board:
        """A new board with room for so many jobs."""
        path.write_bytes(bytes(size * _COLUMNS * _BYTES))
        return cls(path)

    def begin(self, number: int, pid: int) -> None:
        """Note that a nap begins."""
        self.pids[number] = pid
        self.begun[number] = time.monotonic_ns()

    def clear(self) -> None:
        """Forget all."""
        self._all[:] = memoryview(bytes(len(self._all) * _BYTES)).cast("q")

    def seen_from(self, number: int, count: int) -> int:
        """The first of the jobs `number` … `count - 1` that has not run; `count` when all have."""
        while number < count and self.moments[number]:
            number += 1
        return number

    def await_run(self, number: int, seconds: float, check: Callable[[], None]) -> int:
        """The moment when this job ran, or this nap ended.

        :param check: called again and again; raises when there is nothing to wait for any more.
        :raises TimeoutError: when it did not in this time.
        """
        _await(lambda: bool(self.moments[number]), f"job {number}", seconds, check)
        return self.moments[number]

    def await_all(self, numbers: Sequence[int], seconds: float, check: Callable[[], None]) -> None:
        """Return when all of these jobs have run; else as `await_run`."""
        _await(lambda: all(self.moments[number] for number in numbers), "one of the jobs", seconds, check)

    def await_begin(self, numbers: Sequence[int], seconds: float, check: Callable[[], None]) -> int:
        """The first of these naps that has begun, whichever it is; else as `await_run`."""
        _await(lambda: any(self.begun[number] for number in numbers), "a nap", seconds, check)
        return next(number for number in numbers if self.begun[number])

    def rate(self, count: int, warm_up: int = 0) -> float:
        """Jobs per second, from the first to the last of so many; those that ran first may be left out."""
        moments = sorted(self.moments[:count])[warm_up:]
        return (len(moments) - 1) / ((moments[-1] - moments[0]) / 1e9)


def _await(seen: Callable[[], bool], what: str, seconds: float, check: Callable[[], None]) -> None:
    deadline = time.monotonic() + seconds
    while not seen():
        check()
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not run within {seconds:g} s")
        time.sleep(_LOOK_SECONDS)
