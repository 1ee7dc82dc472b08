"""What all adapters of Huey's family share: the tasks, `.map` and the stock consumer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.jobs import nap, noop
from benchmarks.runner import About, Runner


class HueyRunner(Runner):
    """A `huey.Huey`, kept in the variable `huey` of the adapter's module."""

    def __init__(self, huey: Any, module: str, alone: str, *, watches_workers: bool = False, **about: Any) -> None:
        """
        :param module: the adapter's `__name__`.
        :param alone: the kind of worker that it does best with when there is one, `process` or `thread`.
        """
        self.huey, self.module, self.alone = huey, module, alone
        self.watches_workers = watches_workers
        self.noop, self.nap = huey.task()(noop), huey.task()(nap)
        self.about = About(
            worker=f"one: `-k {alone} -w 1`, two: `-k process -w 2`; `-q`",
            concurrency="1; sleeping jobs: 50 threads (`-k thread -w 50`)",
            **about,
        )

    def enqueue(self, number: int) -> object:
        """Call the task."""
        return self.noop(number)

    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """Map the task."""
        self.noop.map(numbers)

    def enqueue_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """Map the task."""
        self.nap.map([(number, seconds) for number in numbers])

    def await_result(self, handle: Any, seconds: float) -> object:
        """A blocking `get`."""
        return handle.get(blocking=True, timeout=seconds)

    def commands(self, workers: int) -> list[list[str]]:
        """One stock consumer."""
        return self._consumer(self.alone if workers == 1 else "process", workers)

    def nap_commands(self) -> list[list[str]]:
        """One stock consumer with threads."""
        return self._consumer("thread", 50)

    def _consumer(self, kind: str, workers: int) -> list[list[str]]:
        options = ["-k", kind, "-w", str(workers), "-q"]  # by default it logs two lines a job
        return [[sys.executable, "-m", "huey.bin.huey_consumer", f"{self.module}.huey", *options]]

    def waiting(self) -> int:
        """Huey's own count."""
        return int(self.huey.pending_count())

    def kept(self) -> int:
        """Huey's own count."""
        return int(self.huey.result_count())
