"""What all adapters of Huey's family share: the task, `.map` and the stock consumer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.jobs import noop
from benchmarks.runner import About, Runner


class HueyRunner(Runner):
    """A `huey.Huey`, kept in the variable `huey` of the adapter's module."""

    def __init__(self, huey: Any, module: str, alone: str, **about: Any) -> None:
        """
        :param module: the adapter's `__name__`.
        :param alone: the kind of worker that it does best with when there is one, `process` or `thread`.
        """
        self.huey, self.module, self.alone = huey, module, alone
        self.task = huey.task()(noop)
        self.about = About(worker=f"one: `-k {alone} -w 1`, two: `-k process -w 2`; `-q`", **about)

    def enqueue(self, number: int) -> object:
        """Call the task."""
        return self.task(number)

    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """Map the task."""
        self.task.map(numbers)

    def await_result(self, handle: Any, seconds: float) -> object:
        """A blocking `get`."""
        return handle.get(blocking=True, timeout=seconds)

    def commands(self, workers: int) -> list[list[str]]:
        """One stock consumer; `-q`, since by default it logs two lines a job."""
        kind = self.alone if workers == 1 else "process"
        options = ["-k", kind, "-w", str(workers), "-q"]
        return [[sys.executable, "-m", "huey.bin.huey_consumer", f"{self.module}.huey", *options]]

    def waiting(self) -> int:
        """Huey's own count."""
        return int(self.huey.pending_count())

    def kept(self) -> int:
        """Huey's own count."""
        return int(self.huey.result_count())
