"""Consumers of one runner: started by its own commands, ended politely, and in the end for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from benchmarks.processes import alive, family

STOP_SECONDS = 20
_LOOK_SECONDS = 0.02


class Consumers:
    """Runs them inside a `with` block; all of their processes have ended when it is left.

    :ivar began: when they were started, in nanoseconds of the monotonic clock.
    """

    began = 0

    def __init__(
        self, commands: Sequence[Sequence[str]], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._commands, self._log, self._environment = commands, log, environment
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Consumers:
        self.began = time.monotonic_ns()
        with open(self._log, "ab") as log:
            for command in self._commands:
                started = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self._environment
                )
                self._started.append(started)
        return self

    def pids(self) -> list[int]:
        """All living processes of theirs."""
        return [pid for started in self._started for pid in family(started.pid)]

    def check(self) -> None:
        """
        :raises RuntimeError: when one has ended by itself.
        """
        for started in self._started:
            if started.poll() is not None:
                raise RuntimeError(f"a consumer ended with code {started.returncode}:\n{self._log.read_text()[-4000:]}")

    def kill(self) -> None:
        """End all of their processes at once, as a machine does that runs out of memory."""
        pids: list[int] = []
        while (found := self.pids()) != pids:  # stopped, so that none of them starts another one meanwhile
            pids = found
            _signal(pids, signal.SIGSTOP)
        _signal(pids, signal.SIGKILL)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pids = self.pids()
        for started in self._started:
            started.send_signal(signal.SIGINT)  # Huey's signal for a shutdown that lets running jobs finish
        deadline = time.monotonic() + STOP_SECONDS
        while alive(pids) and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)
            for started in self._started:
                started.poll()
        _signal(alive(pids), signal.SIGKILL)
        for started in self._started:
            started.wait()


def _signal(pids: Iterable[int], signum: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signum)
