"""A consumer's shutdown is over in time, whatever it waits for: a store may be frozen in the middle of a step."""

from __future__ import annotations

import _thread
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

try:
    from gevent import monkey
except ImportError:
    monkey = None

if TYPE_CHECKING:
    from nephew.consumer import Consumer

log = logging.getLogger("huey.nephew.consumer")

#: Seconds that the store has after the drain to take back what the consumer holds.
LAST_WORD = 6.0
#: Seconds that code of jobs has to end that was not stopped before then.
LAST_CALL = 2.0


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

    def set(self, drain: float) -> None:
        """The shutdown begins, with so many seconds for running jobs. May be called by signal handlers."""
        # Not by `threading`: its locks may be held by the code that the signal came upon.
        self._start(self._wait, (drain + LAST_WORD,))

    def call_off(self) -> None:
        """The shutdown came to its end."""
        if self._running.locked():
            self._running.release()

    def _is_called_off(self, seconds: float) -> bool:
        if not self._running.acquire(timeout=seconds):
            return False
        self._running.release()  # for another thread: signals may come twice
        return True

    def _wait(self, seconds: float) -> None:
        if self._is_called_off(seconds):
            return
        log.error("The store has not answered until the end of the shutdown; a reaper gives back what is held here.")
        _thread.start_new_thread(self._consumer.stop_running, ())  # which may have to wait for the store as well
        self._is_called_off(LAST_CALL)
        if self._consumer._restart:
            os.execl(sys.executable, sys.executable, *sys.argv)
        os._exit(1)
