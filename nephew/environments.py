"""The three kinds of workers: threads, greenlets, and processes that never outlive their consumer."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from typing import Any

from huey.consumer import ForkSafeFlag, GreenletEnvironment, ProcessEnvironment, ThreadEnvironment
from huey.exceptions import TaskTimeout

from nephew.bell import Lifeline
from nephew.errors import ConfigError, ShutDown
from nephew.shield import shield

try:
    from gevent import monkey
except ImportError:  # then Huey refuses greenlets
    monkey = None

log = logging.getLogger("huey.nephew.environments")

#: Seconds between the end of the drain and SIGKILL, for `finally` blocks of the interrupted jobs.
LAST_CALL = 1.0


class Threads(ThreadEnvironment):
    """Workers that are threads of this process."""


class Greenlets(GreenletEnvironment):
    """Workers that are greenlets of this process.

    :raises ConfigError: when gevent has not patched the standard library: a single wait would stop them all.
    """

    def __init__(self, *signals: Any) -> None:
        super().__init__(*signals)
        if not monkey.is_module_patched("threading"):
            raise ConfigError(
                "greenlet workers need gevent's patches: let the module of the instance begin with "
                "`from gevent import monkey; monkey.patch_all()`"
            )


class Processes(ProcessEnvironment):
    """Workers that are forked from this process and end with it."""

    def __init__(self, *signals: Any) -> None:
        super().__init__(*signals)
        self.lifeline = Lifeline()
        self.interrupting = ForkSafeFlag()

    def init_child(self, process: Any) -> None:
        """Leave SIGTERM and SIGINT to the consumer: a process group gets them all at once.

        A worker is interrupted by SIGTERM only once the consumer has said so.
        """

        def interrupt(signum: int, frame: Any) -> None:
            if self.interrupting.is_set() and process.huey._tasks_in_flight:
                shield.strike(ShutDown())

        def leave_it(signum: int, frame: Any) -> None:
            """Not SIG_IGN, which programs started by a job would inherit."""

        signal.signal(signal.SIGTERM, interrupt)
        signal.signal(signal.SIGINT, leave_it)
        signal.signal(signal.SIGHUP, leave_it)
        signal.set_wakeup_fd(-1)
        self.lifeline.hold_as_child()
        process.huey.forked()

    @contextlib.contextmanager
    def timeout(self, seconds: float) -> Iterator[None]:
        """Stop what runs inside after `seconds`; a step of the store that is under way is let end first."""

        def strike(signum: int, frame: Any) -> None:
            shield.strike(TaskTimeout(f"timeout ({seconds}s)"))

        before = signal.signal(signal.SIGALRM, strike)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    def interrupt_workers(self, procs: list[Any]) -> None:
        """Stop running jobs; who does not stop is killed."""
        self.interrupting.set()
        deadline = time.monotonic() + LAST_CALL
        for proc in procs:
            if proc.is_alive():
                os.kill(proc.pid, signal.SIGTERM)
        for proc in procs:
            proc.join(max(0.0, deadline - time.monotonic()))
        for proc in procs:
            if proc.is_alive():
                proc.kill()
                proc.join()


ENVIRONMENTS = {"thread": Threads, "greenlet": Greenlets, "gevent": Greenlets, "process": Processes}
