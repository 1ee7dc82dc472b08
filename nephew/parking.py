"""Parked jobs: put back into the queue by a consumer that can run them, since another version may have parked them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from nephew.arguments import misfit
from nephew.errors import NephewError, UnfitArguments
from nephew.message import call_in

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.parking")

#: How many jobs are listed at once.
STEP = 100
#: How long one step takes (seconds): due jobs are moved by the same thread.
SECONDS = 0.1


class Parking:
    """Looks at the parked jobs of an instance, for a moment at a time, over and over.

    What is tried before its release, and how, keeps a job from going to and fro for ever: it comes back at most once,
    for its arguments.

    :ivar released: how many were put back so far.
    """

    def __init__(self, huey: Nephew, seconds: float = SECONDS) -> None:
        """`seconds` is how long one step takes; it looks at one job at least."""
        self.huey, self._seconds = huey, seconds
        self.released = 0
        self._place = 0
        self._seen_all = False

    def step(self) -> bool:
        """Look at some; whether to go on at once: until all were seen once, and where there were some to release."""
        fit = [job_id for job_id, task in self._next() if self._is_known(task) and self._runs_here(job_id)]
        released = self._release(fit)
        self.released += released
        self._seen_all |= not self._place
        return bool(self._place) and (released > 0 or not self._seen_all)

    def _next(self) -> Iterator[tuple[str, str]]:
        """Ids and tasks of those behind the last one, until the time is over."""
        until = time.monotonic() + self._seconds
        while found := self.huey.backend.parked(self._place, STEP):
            for self._place, job_id, task in found:
                yield job_id, task
                if time.monotonic() >= until:
                    return
        self._place = 0

    def _is_known(self, task: str) -> bool:
        """Whether it is worth reading a job; bytes of no known task are tried once, and mostly remain what they are."""
        return task in self.huey._registry._registry or not (task or self._seen_all)

    def _runs_here(self, job_id: str) -> bool:
        row = self.huey.backend.row(job_id)
        if row is None:
            return False
        try:
            task = call_in(self.huey, row.payload)
        except NephewError:
            return False
        if not (row.reason or "").startswith(UnfitArguments.__name__):
            return True  # only a run tells whether the arguments fit: a decorator may add some
        if row.chord is not None:
            task.extend_data(([],))  # the values that it is called with
        return misfit(task) is None

    def _release(self, fit: list[str]) -> int:
        count = self.huey.backend.unpark(fit) if fit else 0
        if count:
            log.info("%d parked jobs can run here and are back in the queue.", count)
        return count
