"""A worker of the model-based test."""

from __future__ import annotations

import itertools
from typing import Any

from nephew.backends.records import Claimed


class Player:
    """A worker, as it knows itself: it does not hear that it was taken for dead."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.claims, self.settles = itertools.count(1), itertools.count(1)
        self.holds: list[Claimed] = []
        #: Claims of its that are over.
        self.past: list[Claimed] = []
        #: What its file says that it is running.
        self.running: dict[tuple[int, int], float] = {}
        self.last_claim: tuple[Any, ...] = ()
        self.last_settle: tuple[Any, ...] = ()

    def confuses(self) -> list[Claimed]:
        """Earlier claims of jobs that it holds by another claim now."""
        places = {claimed.seq for claimed in self.holds}
        return [claimed for claimed in self.past if claimed.seq in places]

    def let_go(self, seq: int, claim: int) -> None:
        """A claim is over."""
        over = [held for held in self.holds if (held.seq, held.claim) == (seq, claim)]
        self.past += over
        self.holds = [held for held in self.holds if held not in over]
        self.running.pop((seq, claim), None)
        if self.last_claim[1:2] == (claim,):  # its reply was not lost, so it is not repeated
            self.last_claim = ()
