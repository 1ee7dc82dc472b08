"""Lets jobs run beside each other, except suspects: a job whose last worker died runs alone in its process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

#: After somebody waited in vain to be alone, the gate stays open for as many times as long.
REST = 2.0


class Gate:
    """Many pass together, or one alone.

    :ivar refused: how many waited in vain to be alone since one was let in.
    """

    def __init__(self) -> None:
        self.refused = 0
        self._lock = threading.RLock()
        self._condition = threading.Condition(self._lock)
        self._inside = 0
        self._waiting_alone = 0
        self._alone = False
        self._open_until = 0.0

    @property
    def closed(self) -> bool:
        """Whether somebody is alone inside or waits to be."""
        return self._alone or self._waiting_alone > 0

    def await_open(self, seconds: float) -> None:
        """Wait until it is not closed, at most `seconds`."""
        with self._condition:
            self._condition.wait_for(lambda: not self.closed, seconds)

    def together(self, wait: bool = True) -> AbstractContextManager[bool]:
        """Pass beside others once the gate is not closed.

        :param wait: until then; else the answer is False at once.
        """
        return _Passage(self, wait)

    def enter(self, wait: bool) -> bool:
        """Go in beside others, to `leave` afterwards; False when it is closed."""
        with self._lock:
            while wait and self.closed:
                self._condition.wait()
            granted = not self.closed
            self._inside += granted
        return granted

    def leave(self) -> None:
        """Come out."""
        with self._lock:
            self._inside -= 1
            if self._waiting_alone and not self._inside:
                self._condition.notify_all()

    @contextmanager
    def alone(self, patience: float) -> Iterator[bool]:
        """Pass when nobody else is inside; False when that did not happen within `patience` seconds.

        Nobody enters meanwhile. So that this does not become a habit, who comes shortly after another
        waited in vain is let in at once or not at all.
        """
        start = time.monotonic()
        with self._condition:
            wait = patience if start >= self._open_until else 0.0
            self._waiting_alone += 1
            try:
                self._condition.wait_for(lambda: not (self._alone or self._inside), wait)
                granted = not (self._alone or self._inside)
                self._note(granted, wait)
                self._alone = self._alone or granted
            finally:
                self._waiting_alone -= 1
                if not granted:
                    self._condition.notify_all()
        try:
            yield granted
        finally:
            if granted:
                with self._condition:
                    self._alone = False
                    self._condition.notify_all()

    def _note(self, granted: bool, waited: float) -> None:
        if granted:
            self.refused, self._open_until = 0, 0.0
        elif waited and not self._alone:  # else it was another suspect that kept the others out
            self.refused += 1
            self._open_until = time.monotonic() + REST * waited


class _Passage:
    """One way through the gate. A class of its own, since a generator for each job would take as long as the job."""

    __slots__ = ("_gate", "_granted", "_wait")

    def __init__(self, gate: Gate, wait: bool) -> None:
        self._gate, self._wait, self._granted = gate, wait, False

    def __enter__(self) -> bool:
        self._granted = self._gate.enter(self._wait)
        return self._granted

    def __exit__(self, *raised: object) -> None:
        if self._granted:
            self._gate.leave()
