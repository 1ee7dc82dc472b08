"""The three kinds of workers: threads, greenlets, and processes that never outlive their consumer."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from multiprocessing import popen_fork
from multiprocessing.context import ForkProcess
from typing import Any

from huey.consumer import ForkSafeFlag, GreenletEnvironment, ProcessEnvironment, ThreadEnvironment

from nephew.bell import Lifeline
from nephew.errors import ConfigError, ShutDown
from nephew.shield import my_shield
from nephew.stops import by_exception, by_signal, by_throwing, spare_children

try:
    from gevent import monkey
except ImportError:  # then Huey refuses greenlets
    monkey = None

log = logging.getLogger("huey.nephew.environments")

#: Seconds between the end of the drain and SIGKILL, for `finally` blocks of the interrupted jobs.
LAST_CALL = 1.0
#: Bytes of the unit that the kernel counts peak memory in.
RSS_UNIT = 1 if sys.platform == "darwin" else 1024


class Threads(ThreadEnvironment):
    """Workers that are threads of this process."""

    stopper = staticmethod(by_exception)


class Greenlets(GreenletEnvironment):
    """Workers that are greenlets of this process.

    :raises ConfigError: when gevent has not patched the standard library: a single wait would stop them all.
    """

    stopper = staticmethod(by_throwing)

    def __init__(self, *signals: Any) -> None:
        super().__init__(*signals)
        if not monkey.is_module_patched("threading"):
            raise ConfigError(
                "greenlet workers need gevent's patches: let the module of the instance begin with "
                "`from gevent import monkey; monkey.patch_all()`"
            )


class _Child(popen_fork.Popen):
    """A child whose peak memory (bytes) is asked for together with its end; afterwards nobody could tell it."""

    peak_memory: int | None = None

    def poll(self, flag: int = os.WNOHANG) -> int | None:
        """Its exit code once it has ended; None before."""
        if self.returncode is None:
            try:
                pid, status, usage = os.wait4(self.pid, flag)
            except ChildProcessError:  # somebody else was told of its end: gevent, where it patches `os`
                return super().poll(flag)
            if pid == self.pid:
                self.returncode = os.waitstatus_to_exitcode(status)
                self.peak_memory = usage.ru_maxrss * RSS_UNIT
        return self.returncode


class WorkerProcess(ForkProcess):
    """A process that tells how much memory it had."""

    _Popen = staticmethod(_Child)
    _popen: _Child | None

    @property
    def peak_memory(self) -> int | None:
        """The most memory (resident, in bytes) that it ever had; None: that is not known, or it has not ended."""
        return None if self._popen is None else self._popen.peak_memory


class Processes(ProcessEnvironment):
    """Workers that are forked from this process and end with it."""

    stopper = staticmethod(by_signal)

    def __init__(self, *signals: Any) -> None:
        super().__init__(*signals)
        self.lifeline = Lifeline()
        self.interrupting = ForkSafeFlag()

    def create_process(self, runnable: Callable[[], None], name: str) -> WorkerProcess:
        """A process that is not started yet."""
        return WorkerProcess(target=runnable, name=name, daemon=True)

    def init_child(self, process: Any) -> None:
        """Leave SIGTERM and SIGINT to the consumer: a process group gets them all at once.

        A worker is interrupted by SIGTERM only once the consumer has said so, or its own watchdog has aimed.
        """

        def interrupt(signum: int, frame: Any) -> None:
            if self.interrupting.is_set():
                my_shield().strike(ShutDown())
            else:
                my_shield().strike_as_aimed()

        def leave_it(signum: int, frame: Any) -> None:
            """Not SIG_IGN, which programs started by a job would inherit."""

        signal.signal(signal.SIGTERM, interrupt)
        signal.signal(signal.SIGINT, leave_it)
        signal.signal(signal.SIGHUP, leave_it)
        spare_children()
        signal.set_wakeup_fd(-1)
        multiprocessing.current_process().daemon = False  # a daemon's jobs may not make processes; the lifeline ends it
        self.lifeline.hold_as_child()
        process.huey.forked()

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
