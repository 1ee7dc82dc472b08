"""Decides when a thread may be struck by an exception from outside: a timeout, a cancel, a shutdown.

Only while it runs the user's own code. What strikes inside a step of the store waits until that is over: between a
BEGIN and the place where somebody knows of it, it would leave a transaction open that nobody ends. What strikes as
the user's code ends is dropped: the engine's own code is never struck.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TypeVar

J = TypeVar("J")
T = TypeVar("T")

#: How often threads are looked at that are just being started, a millisecond apart.
MOST_LOOKS = 50


class Shield:
    """One thread's (or greenlet's).

    :ivar exposed: the job whose code is being run, which alone may be struck.
    """

    def __init__(self) -> None:
        self.exposed: object | None = None
        self._steps = 0
        self._waiting: BaseException | None = None
        self._aimed: tuple[object, BaseException] | None = None
        self._lock = threading.Lock()
        #: Whether somebody strikes just now, with the lock taken. Without it the lock would be taken for every job.
        self._striking = False

    # -- by the thread itself -----------------------------------------------------------------------
    def expose(self, job: J, run: Callable[[J], T]) -> T:
        """Call `run` with the job, whose code it is; what strikes it meanwhile is raised inside.

        Another job's code may do so, inside a step: it is that one which may be struck, after the step.
        """
        if self.exposed is not None:
            return run(job)
        self.exposed = job
        try:
            return run(job)
        finally:
            covered = False
            while not covered:
                try:
                    self.exposed = None
                    if self._striking:  # it may have found the job exposed
                        with self._lock:
                            pass
                    self._waiting = self._aimed = None
                    _pass()
                    covered = True
                except BaseException:
                    pass  # it struck as the code ended; nothing can after this

    def __enter__(self) -> None:
        """A step of the store begins."""
        if self.exposed is None:
            self._steps += 1
            return
        before = self._steps
        try:
            with self._lock:
                self._steps = before + 1
            _pass()  # what struck before the lock was taken is raised here, and no later
        except BaseException:
            self._steps = before
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._steps -= 1
        if not self._steps and self._waiting is not None:
            struck, self._waiting = self._waiting, None
            raise struck

    def strike(self, error: BaseException) -> None:
        """For signal handlers: raise `error` here, unless the thread is covered or inside a step."""
        if self.exposed is not None and not self.hold(error):
            raise error

    def hold(self, error: BaseException) -> bool:
        """Keep an error until the step that is under way is over; False when there is none."""
        if self._steps:
            self._waiting = error
        return self._steps > 0

    def strike_as_aimed(self) -> None:
        """For signal handlers: raise what somebody has aimed at the job that is exposed."""
        aimed, self._aimed = self._aimed, None
        if aimed is not None and aimed[0] is self.exposed:
            self.strike(aimed[1])

    # -- by others ----------------------------------------------------------------------------------
    def aim(self, job: object, error: BaseException) -> None:
        """Leave an error for a signal handler of the thread to raise."""
        self._aimed = job, error

    def strike_thread(self, ident: int, job: object, error: BaseException) -> None:
        """Raise an exception of `error`'s class in another thread, if `job` is exposed there.

        It comes up between two steps of the interpreter; a call into C has to return first.
        """
        _await_starting_threads()
        with self._lock:
            self._striking = True  # before it looks: who is not seen as covered by now waits for the lock
            if self.exposed is job and not self.hold(error):
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(type(error)))
            self._striking = False


def _await_starting_threads() -> None:
    """CPython up to 3.11 takes a thread that is just being started for the one that starts it, and strikes that.

    It would never begin, and the other would wait for it for ever. Not waited for long: one may have died like that.
    """
    for _ in range(MOST_LOOKS):
        if all(thread.ident is not None for thread in threading.enumerate()):
            return
        time.sleep(0.001)


def _pass() -> None:
    """A call: where the interpreter raises what another thread has set."""


class _Mine(threading.local):
    def __init__(self) -> None:
        self.shield = Shield()


_mine = _Mine()


def my_shield() -> Shield:
    """The calling thread's own."""
    return _mine.shield
