"""The accounts of a soak: what was accepted, what has ended, what ran; a few bytes a job, however many there are."""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from nephew import Nephew
from nephew.errors import BackendError
from nephew.job import ENDED

#: More jobs than a soak can have.
MOST = 5_000_000


class Books:
    """Follows the events of an instance whose jobs have numbers for ids. Ends are events, written with the end itself.

    :ivar ends: how many ends there were.
    :ivar unsure: how many calls got an error and may have been stored all the same.
    """

    def __init__(self, huey: Nephew) -> None:
        self._huey = huey
        self._accepted, self._ended = bytearray(MOST), bytearray(MOST)
        self._last, self._open = 0, 0
        self._ticks: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="Books")
        self.ends = Counter[str]()
        self.unsure = 0
        self.trouble: list[BaseException] = []

    def __enter__(self) -> Books:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def new_id(self) -> str:
        """The id of the next job."""
        with self._lock:
            self._last += 1
            return str(self._last)

    def accept(self, *ids: str) -> None:
        """These were stored, or will be when another one has ended: each has to end once."""
        with self._lock:
            for number in map(int, ids):
                self._accepted[number] = 1
                self._open += not self._ended[number]

    @property
    def open(self) -> int:
        """How many jobs were accepted and have not ended."""
        return self._open

    @property
    def accepted(self) -> int:
        return self._accepted.count(1)

    @property
    def ticks(self) -> int:
        """How many ticks of schedules have ended."""
        return len(self._ticks)

    def lost(self) -> list[int]:
        """What was accepted and has not ended."""
        return [n for n in range(1, self._last + 1) if self._accepted[n] and not self._ended[n]]

    def doubled(self) -> list[str]:
        """What has ended more than once."""
        numbers = [str(n) for n in range(1, self._last + 1) if self._ended[n] > 1]
        return numbers + [tick for tick, count in self._ticks.items() if count > 1]

    def _follow(self) -> None:
        seen = "0"
        while not self._over.is_set():
            try:
                for event in self._huey.events(after=seen, block=0.2):
                    seen = event.id
                    if event.state in ENDED:
                        self._end(event.job, event.state)
            except BackendError:
                self._over.wait(0.1)  # the store is away
            except BaseException as error:
                self.trouble.append(error)
                break
        self._huey.backend.leave()

    def _end(self, job_id: str, state: str) -> None:
        with self._lock:
            self.ends[state] += 1
            if not job_id.isdecimal():
                self._ticks[job_id] += 1
                return
            number = int(job_id)
            self._ended[number] = min(self._ended[number] + 1, 255)
            self._open -= self._accepted[number] and self._ended[number] == 1


class Repeat(NamedTuple):
    """An attempt that had finished and was made again; how long (seconds) before its process was killed, if it was."""

    job: str
    age: float | None


class Runs:
    """The lines that jobs have written.

    :ivar finished: how many attempts each process has finished, at which times.
    """

    def __init__(self, path: Path, killed: Mapping[int, float]) -> None:
        """
        :param killed: when which processes were killed.
        """
        self.repeats: list[Repeat] = []
        self.twice: list[str] = []
        self.clashes = 0
        self.finished: dict[int, array[float]] = {}
        self._read(path, killed)

    def between(self, pids: set[int], first: float, last: float) -> int:
        """How many attempts these processes finished from one moment to another."""
        return sum(first <= at < last for pid in pids for at in self.finished.get(pid, ()))

    def _read(self, path: Path, killed: Mapping[int, float]) -> None:
        latest: dict[int, tuple[str, float, int]] = {}
        for word, job, attempt, at, pid in _lines(path):
            self.finished.setdefault(pid, array("d")).append(at)
            if word == "clash":
                self.clashes += 1
            elif job.isdecimal():
                before = latest.get(int(job))
                latest[int(job)] = (attempt, at, pid)
                if before and before[0] == attempt:
                    self._note(word, job, before[1], killed.get(before[2]))

    def _note(self, word: str, job: str, at: float, killed: float | None) -> None:
        if word == "once":
            self.twice.append(job)
        else:
            self.repeats.append(Repeat(job, None if killed is None or killed < at else killed - at))


def _lines(path: Path) -> Iterator[tuple[str, str, str, float, int]]:
    with open(path) as lines:
        for text in lines:
            word, key, at, pid = text.split()
            job, _, attempt = key.rpartition(".")
            yield word, job, attempt, float(at), int(pid)
