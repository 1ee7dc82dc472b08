"""Parked jobs: put back into the queue by a consumer that can run them, since another version may have parked them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from nephew.arguments import misfit
from nephew.backends.records import Filter, Row
from nephew.errors import NephewError
from nephew.job import State
from nephew.message import call_in

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.parking")

#: How many jobs are looked at in one step.
STEP = 100

_PARKED = Filter(states=(str(State.PARKED),))


class Parking:
    """Looks at the parked jobs of an instance, some at a time, over and over.

    Each is tried before it is released. One that would only be parked again would go to and fro for ever.

    :ivar released: how many were put back so far.
    """

    def __init__(self, huey: Nephew) -> None:
        self.huey = huey
        self.released = 0
        self._place = 0
        self._seen_all = False

    def step(self) -> bool:
        """Look at some; whether to go on at once: until all were seen once, and where there were some to release."""
        found = self.huey.backend.ids(_PARKED, self._place, STEP)
        released = self._release([job_id for _, job_id in found])
        self.released += released
        self._place = found[-1][0] if len(found) == STEP else 0
        self._seen_all |= not self._place
        return bool(self._place) and (released > 0 or not self._seen_all)

    def _release(self, ids: list[str]) -> int:
        rows = map(self.huey.backend.row, ids)
        fit = [row.id for row in rows if row is not None and self._runs_here(row)]
        count = self.huey.backend.unpark(fit) if fit else 0
        if count:
            log.info("%d parked jobs can run here and are back in the queue.", count)
        return count

    def _runs_here(self, row: Row) -> bool:
        try:
            task = call_in(self.huey, row.payload)
        except NephewError:
            return False
        if row.chord is not None:
            task.extend_data(([],))  # the values that it is called with
        return misfit(task) is None
