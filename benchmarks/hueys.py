"""What all adapters of Huey's family share: the tasks, `.map` and the stock consumer."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from benchmarks.jobs import nap, noop
from benchmarks.runner import About, Runner


class HueyRunner(Runner):
    """A `huey.Huey`, kept in the variable `huey` of the adapter's module."""

    beats_seldom = True

    def __init__(
        self,
        huey: Any,
        module: str,
        one: str = "-k thread -w 1",
        two: Sequence[str] = ("-k process -w 2",),
        at_a_time: str = "1",
        watches_workers: bool = False,
        **about: Any,
    ) -> None:
        """
        :param module: the adapter's `__name__`.
        :param one: the options of the consumer that does best with one worker process.
        :param two: of each of the consumers that do with two.
        :param at_a_time: how many jobs each worker process then runs.
        """
        self.huey, self.module, self.one, self.two = huey, module, one, two
        self.watches_workers = watches_workers
        self.noop, self.nap = huey.task()(noop), huey.task()(nap)
        consumers = f"{len(two)} × " if len(two) > 1 else ""
        self.about = About(
            worker=f"one: `{one}`, two: {consumers}`{two[0]}`; `-q`",
            concurrency=f"{at_a_time}; sleeping jobs: 50 threads (`-k thread -w 50`)",
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
        """Stock consumers."""
        return [self._consumer(options) for options in ([self.one] if workers == 1 else self.two)]

    def nap_commands(self) -> list[list[str]]:
        """One stock consumer with threads."""
        return [self._consumer("-k thread -w 50")]

    def _consumer(self, options: str) -> list[str]:
        quiet = "-q"  # by default it logs two lines a job
        return [sys.executable, "-m", "huey.bin.huey_consumer", f"{self.module}.huey", *options.split(), quiet]

    def waiting(self) -> int:
        """Huey's own count."""
        return int(self.huey.pending_count())

    def kept(self) -> int:
        """Huey's own count."""
        return int(self.huey.result_count())
