"""Lets jobs run beside each other, except suspects: a job whose last worker died runs alone in its process."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Gate:
    """Many pass together, or one alone."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._inside = 0
        self._waiting_alone = 0
        self._alone = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Pass beside others; waits while somebody is alone inside or waits to be."""
        with self._condition:
            while self._alone or self._waiting_alone:
                self._condition.wait()
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    @contextmanager
    def alone(self, patience: float) -> Iterator[bool]:
        """Pass when nobody else is inside; False when that did not happen within `patience` seconds."""
        deadline = time.monotonic() + patience
        with self._condition:
            self._waiting_alone += 1
            try:
                while self._alone or self._inside:
                    if not self._condition.wait(max(0.0, deadline - time.monotonic())):
                        break
                granted = not (self._alone or self._inside)
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

    def _leave(self) -> None:
        with self._condition:
            self._inside -= 1
            if self._waiting_alone and not self._inside:
                self._condition.notify_all()
