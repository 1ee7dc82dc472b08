"""How many jobs to claim at once: one, until the tasks at hand are known to be short."""

from __future__ import annotations

#: A task whose runs take longer than this (seconds) is never claimed ahead.
SHORT = 0.005
#: Weight of the newest duration in a task's moving mean.
WEIGHT = 0.2


class Prefetch:
    """Follows the measured durations of the tasks that a worker has run."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most, self._seconds = most, seconds
        self._means: dict[str, float] = {}
        #: The mean of the slowest task since the last claim; idle looks leave it as it is.
        self._slowest = SHORT
        self._is_old = True
        self._size = 1

    def note(self, task: str, duration: float) -> None:
        """A run of `task` took `duration` seconds."""
        mean = self._means.get(task)
        mean = duration if mean is None else mean + WEIGHT * (duration - mean)
        self._means[task] = mean
        self._slowest = mean if self._is_old else max(self._slowest, mean)
        self._is_old = False

    def size(self) -> int:
        """How many jobs the next claim may take; grows by doubling while all that is run stays short."""
        is_known_short = self._slowest <= SHORT and bool(self._means)
        size = min(self._size * 2, self._most, self._fitting()) if is_known_short else 1
        self._size, self._is_old = size, True
        return size

    def _fitting(self) -> int:
        """How many of the slowest task run lately fit into the time that may be claimed ahead."""
        return max(1, int(self._seconds / max(self._slowest, 1e-6)))
