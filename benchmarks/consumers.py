"""Consumers of one runner: started by its own commands, ended politely, and in the end for certain."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from benchmarks.processes import alive, family
from benchmarks.runner import Runner

STOP_SECONDS = 20
_LOOK_SECONDS = 0.02


class Consumers:
    """Runs them inside a `with` block; all of their processes have ended when it is left."""

    def __init__(self, runner: Runner, workers: int, log: Path) -> None:
        self._commands, self._log = runner.commands(workers), log
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Consumers:
        with open(self._log, "ab") as log:
            for command in self._commands:
                started = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
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
                raise RuntimeError(f"a consumer ended with code {started.returncode}:\n{self._log.read_text()}")

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
        for pid in alive(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for started in self._started:
            started.wait()
