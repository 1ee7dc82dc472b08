"""How many jobs to claim at once: one, until the tasks at hand are known to be short."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

#: A task whose runs take longer than this (seconds) is never claimed ahead.
SHORT = 0.005
#: Weight of the newest duration in a task's moving mean.
WEIGHT = 0.2
#: No more jobs are held at once than take this many bytes, by what those of the last claim took.
MOST_BYTES = 4 * 2**20


class Prefetch:
    """Follows the measured durations of the tasks that a worker has run."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        #: What the runs of each task took since the last claim, and their moving mean until then.
        self._runs: defaultdict[str, list[float]] = defaultdict(list)
        self._means: dict[str, float] = {}
        #: The mean of the slowest task that was run before the last claim; idle looks leave it as it is.
        self._slowest = math.inf
        #: How many jobs of the size of the last ones may be held.
        self._light = MOST_BYTES
        self._size = 1

    def note(self, task: str, duration: float) -> None:
        """A run of `task` took `duration` seconds."""
        self._runs[task].append(duration)

    def weigh(self, sizes: Sequence[int]) -> None:
        """Jobs of these sizes (bytes) have been claimed."""
        self._light = MOST_BYTES * len(sizes) // max(sum(sizes), 1)

    def size(self, beside: int = 0) -> int:
        """How many jobs the next claim may take; grows by doubling while all that is run stays short.

        :param beside: how many are held already and not begun. They count as well: there may be room for none.
        """
        if self._runs:
            self._slowest = max(self._mean(task, runs) for task, runs in self._runs.items())
            self._runs.clear()
        if self._slowest > SHORT:
            self._size = 1
            return 0 if beside else 1
        size = min(self._size * 2, self._most, self._fitting() - beside)
        self._size = max(size, self._size) if beside else size
        return size

    def _mean(self, task: str, runs: list[float]) -> float:
        """A task's moving mean after these runs; one slow run among many short ones, by chance, weighs little."""
        latest = sum(runs) / len(runs)
        before = self._means.get(task, latest)
        self._means[task] = mean = latest + (before - latest) * (1 - WEIGHT) ** len(runs)
        return mean

    def _fitting(self) -> int:
        """How many jobs may be held: by the time that the slowest took lately, and by the size of the last ones."""
        return max(1, min(int(self._seconds / max(self._slowest, 1e-6)), self._light))
