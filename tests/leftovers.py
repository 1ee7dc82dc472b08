"""What a test leaves running: threads that are no daemons, and processes, its grandchildren included.

Every process started in a test inherits a mark in its environment, so that it is found when its parent is
gone. Where there is no /proc, only threads are looked at.
"""

from __future__ import annotations

import itertools
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.eventually import eventually

MARK = "TEST_MARK"
GRACE_SECONDS = 3

#: Started once by the standard library for a whole test run.
SHARED = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")

_counter = itertools.count(1)


@dataclass(frozen=True)
class Process:
    """One entry of /proc."""

    pid: int
    parent: int
    command: str
    mark: str | None


class Watch:
    """Notes what runs when it is made; `assert_nothing_left()` tells what was added since."""

    def __init__(self) -> None:
        self.mark = f"{os.getpid()}-{next(_counter)}"
        self._threads = set(threading.enumerate())
        self._pids = set(_pids())
        os.environ[MARK] = self.mark

    def assert_nothing_left(self) -> None:
        """Fail if something is left after a moment; left processes are killed, for the next test's sake."""
        os.environ.pop(MARK, None)
        try:
            eventually(self._assert_nothing_left, GRACE_SECONDS)
        except AssertionError:
            for process in self._left_processes():
                os.kill(process.pid, signal.SIGKILL)
            raise

    def _assert_nothing_left(self) -> None:
        threads = [
            f"thread {thread.name}"
            for thread in set(threading.enumerate()) - self._threads
            if thread.is_alive() and not thread.daemon
        ]
        processes = [f"process {process.pid}: {process.command}" for process in self._left_processes()]
        left = ", ".join(threads + processes)
        assert not left, f"left running: {left}"

    def _left_processes(self) -> list[Process]:
        new = (process for pid in _pids() if pid not in self._pids and (process := _read(pid)))
        return [process for process in new if self._is_ours(process)]

    def _is_ours(self, process: Process) -> bool:
        """Whether it has our mark, or is our child without one: forked, or with an environment of its own."""
        if any(name in process.command for name in SHARED):
            return False
        return process.mark == self.mark or (process.mark is None and process.parent == os.getpid())


def is_running(pid: int) -> bool:
    """Whether the process does anything. A dead one not yet reaped does not (`os.kill(pid, 0)` finds it)."""
    return _read(pid) is not None


def _pids() -> Iterator[int]:
    return (int(folder.name) for folder in Path("/proc").glob("[0-9]*"))


def _read(pid: int) -> Process | None:
    """None for one that has ended (it may still wait for its parent), or is nobody's business of ours."""
    folder = Path(f"/proc/{pid}")
    try:
        status = (folder / "stat").read_text(errors="replace")
        command = (folder / "cmdline").read_text(errors="replace").replace("\0", " ").strip()
        environment = (folder / "environ").read_text(errors="replace").split("\0")
    except OSError:
        return None
    state, parent = status.rpartition(")")[2].split()[:2]  # the name before it may hold anything
    marks = [value for name, _, value in (line.partition("=") for line in environment) if name == MARK]
    return None if state == "Z" else Process(pid, int(parent), command, marks[0] if marks else None)
