"""Holds back what would interrupt a thread (a timeout, a shutdown) while it is inside a step of the store.

An exception that strikes between a BEGIN and the place where somebody knows of it would leave a transaction
open that nobody ends.
"""

from __future__ import annotations

import threading
from types import TracebackType


class Shield(threading.local):
    """Each thread's own: how deep it is inside steps, and what has struck meanwhile."""

    def __init__(self) -> None:
        self.depth = 0
        self.pending: BaseException | None = None

    def __enter__(self) -> None:
        self.depth += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.depth -= 1
        if not self.depth and self.pending is not None:
            struck, self.pending = self.pending, None
            raise struck

    def strike(self, error: BaseException) -> None:
        """Raise `error` now, or as soon as the step that is under way has ended. For signal handlers."""
        if not self.depth:
            raise error
        self.pending = error


shield = Shield()
