"""A consumer's shutdown is over in time, whatever it waits for: a store may be frozen in the middle of a step."""

from __future__ import annotations

import _thread
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any

from huey.consumer import GreenletEnvironment

try:
    from gevent import monkey
except ImportError:
    monkey = None

if TYPE_CHECKING:
    from nephew.consumer import Consumer

log = logging.getLogger("huey.nephew.consumer")

#: Seconds that the store has after the drain, and after each answer, to take back what the consumer holds.
LAST_WORD = 6.0
#: Seconds that code of jobs has to end that was not stopped before then.
LAST_CALL = 2.0
#: The deadline may be moved: it is looked at as often as that (seconds).
LOOK_EVERY = 0.1

TOO_LATE = "The store has not answered until the end of the shutdown; a reaper gives back what is held here."


class Deadline:
    """Ends the consumer's process, and begins it anew if that was wanted, unless it is called off."""

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        # A real thread and a real lock, also where greenlets stand for them: a driver may block all greenlets.
        originals: Any = [_thread.start_new_thread, _thread.allocate_lock]
        if monkey is not None:
            originals = monkey.get_original("_thread", ["start_new_thread", "allocate_lock"])
        self._start, allocate = originals
        self._running = allocate()
        self._running.acquire()
        self._end: float | None = None

    def set(self, drain: float) -> None:
        """Running jobs have so many seconds from now on, and the store its time after them.

        May be called by signal handlers, and again.
        """
        is_first, self._end = self._end is None, time.monotonic() + drain + LAST_WORD
        if is_first:
            # Not by `threading`: its locks may be held by the code that the signal came upon.
            self._start(self._wait, ())

    def prolong(self) -> None:
        """The store has answered: the next step has its time as well."""
        if self._end is not None:
            self._end = max(self._end, time.monotonic() + LAST_WORD)

    def call_off(self) -> None:
        """The shutdown came to its end."""
        if self._running.locked():
            self._running.release()

    def _wait(self) -> None:
        while time.monotonic() < (self._end or 0.0):
            if self._running.acquire(timeout=LOOK_EVERY):
                return
        self._start(log.error, (TOO_LATE,))  # whoever is stuck may hold the log's lock
        if not isinstance(self._consumer.environment, GreenletEnvironment):  # only their own thread can stop greenlets
            self._start(self._consumer._interrupt_workers, ())
        if self._running.acquire(timeout=LAST_CALL):
            return
        if self._consumer.worker is not None:
            self._consumer.worker.acquit()
        if self._consumer._restart:
            os.execl(sys.executable, sys.executable, *sys.argv)
        os._exit(1)
