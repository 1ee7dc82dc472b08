"""Wakes one idle worker at a time: a rung bell is heard once, by whoever waits or comes next."""

from __future__ import annotations

import os
import select
import threading
import time


class ThreadBell:
    """For workers that are threads or greenlets of one process."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._rung = False

    def ring(self) -> None:
        """Wake one waiter, or the next that comes."""
        with self._condition:
            self._rung = True
            self._condition.notify()

    def wait(self, seconds: float) -> bool:
        """Wait until the bell rings, at most `seconds`; whether it rang."""
        with self._condition:
            if not self._rung:
                self._condition.wait(seconds)
            rung, self._rung = self._rung, False
            return rung

    def is_orphaned(self) -> bool:
        """Threads never outlive their consumer."""
        return False


class ForkBell:
    """For workers that are forked processes, or wait for something else, too.

    `lifeline` breaks when the consumer is gone.
    """

    def __init__(self, lifeline: Lifeline | None = None) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._lifeline = lifeline

    def ring(self) -> None:
        """Wake one waiter, or the next that comes."""
        if _readable(self._read):
            return  # still unheard: one ring is enough
        try:
            os.write(self._write, b"!")
        except BlockingIOError:
            pass  # full of unheard rings

    def wait(self, seconds: float, also: int | None = None) -> bool:
        """Wait until the bell rings or the lifeline breaks, at most `seconds`; whether it rang.

        :param also: a descriptor to wait for as well.
        """
        poller = select.poll()
        poller.register(self._read, select.POLLIN)
        if also is not None:
            poller.register(also, select.POLLIN)
        if self._lifeline is not None:
            poller.register(self._lifeline.fileno(), 0)  # only its end is of interest
        until = time.monotonic() + seconds
        while [descriptor for descriptor, _ in poller.poll(max(0.0, until - time.monotonic()) * 1000)] == [self._read]:
            if self._heard():
                return True
        return self._heard()

    def _heard(self) -> bool:
        try:
            return bool(os.read(self._read, 1))
        except BlockingIOError:
            return False  # it did not ring, or a sibling heard it first

    def is_orphaned(self) -> bool:
        """Whether the consumer is gone."""
        return self._lifeline is not None and self._lifeline.wait(0)


class Lifeline:
    """A pipe whose writing end only the consumer holds: when it is gone, its children see the end."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def fileno(self) -> int:
        """The reading end."""
        return self._read

    def hold_as_child(self) -> None:
        """In a fork's child: let go of the writing end."""
        os.close(self._write)

    def wait(self, seconds: float | None) -> bool:
        """Wait for the end, at most `seconds` (None: for ever); whether the consumer is gone."""
        poller = select.poll()
        poller.register(self._read, 0)
        return bool(poller.poll(None if seconds is None else seconds * 1000))


def _readable(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))
