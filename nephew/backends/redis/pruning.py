"""Ended jobs that nobody wants to keep any longer: looked for and deleted in small steps, by their places."""

from __future__ import annotations

import time
from collections.abc import Sequence

from nephew.backends.redis.history import History
from nephew.backends.redis.places import CHUNK, END


class Pruning(History):
    """The end of the history."""

    def latest(self, state: str, below: int | None = None, limit: int = 500) -> tuple[list[int], int | None]:
        """Places from the end; see the contract."""
        first = END if below is None else below
        found = self.call(
            "ZREVRANGEBYSCORE", self.key("ended", state), f"({first}", "-inf", "WITHSCORES", "LIMIT", 0, limit
        )
        places = [int(place) for place in found[1::2]]
        return places, places[-1] if len(places) == limit else None

    def outdated(
        self, state: str, before: float, upto: int, after: int = 0, limit: int = 500
    ) -> tuple[list[int], int | None]:
        """Places of what is not to be kept; see the contract."""
        following, *places = self.run("outdated", state, before, upto, after, min(limit, CHUNK))
        return places, following or None

    def delete_ended(self, places: Sequence[int]) -> tuple[int, float]:
        """Delete them; see the contract."""
        if not places:
            return 0, 0.0
        started = time.monotonic()
        count = int(self.run("delete_ended", *places))
        return count, time.monotonic() - started

    def tidy(self, limit: int = 500) -> int:
        """Delete data and ends that are over; see the contract."""
        return int(self.run("tidy", limit))
