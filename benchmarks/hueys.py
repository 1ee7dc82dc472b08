"""What all adapters of Huey's family share: the task, `.map` and the stock consumer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.jobs import noop
from benchmarks.runner import About, Runner


class HueyRunner(Runner):
    """A `huey.Huey`, kept in the variable `huey` of the adapter's module."""

    def __init__(self, huey: Any, module: str, kind: str, **about: Any) -> None:
        """
        :param module: the adapter's `__name__`.
        :param kind: the kind of worker that it does best with, `process` or `thread`.
        """
        self.huey, self.module, self.kind = huey, module, kind
        self.task = huey.task()(noop)
        worker = "one `huey_consumer -k process -w N`" if kind == "process" else "N × `huey_consumer -k thread -w 1`"
        self.about = About(worker=f"{worker}, `-q`", **about)

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
        """One consumer with process workers, or several with a thread each."""
        consumers, each = (1, workers) if self.kind == "process" else (workers, 1)
        options = ["-k", self.kind, "-w", str(each), "-q"]
        return [[sys.executable, "-m", "huey.bin.huey_consumer", f"{self.module}.huey", *options]] * consumers

    def waiting(self) -> int:
        """Huey's own count."""
        return int(self.huey.pending_count())

    def kept(self) -> int:
        """Huey's own count."""
        return int(self.huey.result_count())
