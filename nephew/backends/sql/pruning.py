"""Ended jobs that nobody wants to keep any longer: looked for and deleted in small steps, by their places.

There is no index on finished jobs, which every settle would pay for. Those that succeeded are found by walking
through the places themselves, the few others through the index of rare states.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from nephew.backends.sql.connection import Run
from nephew.backends.sql.history import RARE_STATES, History
from nephew.backends.sql.rows import marks
from nephew.backends.sql.tables import RARE
from nephew.backends.sql.ticks import Ticks

#: Behind the last place.
END = 2**63 - 1


class Pruning(Ticks, History):
    """The end of the history."""

    def latest(self, state: str, below: int | None = None, limit: int = 500) -> tuple[list[int], int | None]:
        """Places from the end; see the contract."""
        among, params = self._among(state)
        rows = self.read(
            f"SELECT seq, name = ? AND state = ? FROM nephew_job WHERE {among} AND seq < ? ORDER BY seq DESC LIMIT ?",
            (self.name, state, *params, END if below is None else below, limit),
        )
        return [seq for seq, ours in rows if ours], rows[-1][0] if len(rows) == limit else None

    def outdated(
        self, state: str, before: float, upto: int, after: int = 0, limit: int = 500
    ) -> tuple[list[int], int | None]:
        """Places of what is not to be kept; see the contract."""
        among, params = self._among(state)
        rows = self.read(
            "SELECT seq, name = ?, state = ?, enqueued_at, finished_at FROM nephew_job"
            f" WHERE {among} AND seq > ? ORDER BY seq LIMIT ?",
            (self.name, state, *params, after, limit),
        )
        found: list[int] = []
        now = self.now()
        for seq, ours, in_state, enqueued_at, finished_at in rows:
            if ours and before <= enqueued_at <= now and seq > upto:
                return found, None  # whatever is behind it got its place later, and ended later still
            if ours and in_state and (finished_at < before or seq <= upto):
                found.append(seq)
        return found, rows[-1][0] if len(rows) == limit else None

    def _among(self, state: str) -> tuple[str, tuple[Any, ...]]:
        """The condition that leads through the places of a state, or through all where it has no index."""
        return (f"name = ? AND state = ? AND {RARE}", (self.name, state)) if state in RARE_STATES else ("TRUE", ())

    def delete_ended(self, places: Sequence[int]) -> tuple[int, float]:
        """Delete them; see the contract."""
        if not places:
            return 0, 0.0

        def step(run: Run) -> tuple[int, float]:
            started = time.monotonic()
            self._close(run)  # how the job of a tick has ended would be forgotten with it
            rows = run(
                # The name as it is would lead a planner that has not counted these rows yet to all of the instance's.
                f"SELECT seq, id, chord FROM nephew_job WHERE seq IN ({marks(places)}) AND name || '' = ?"
                f" AND finished_at IS NOT NULL ORDER BY seq{self.dialect.skip_locked}",
                (*places, self.name),
            ).fetchall()
            self._delete(run, rows)
            return len(rows), time.monotonic() - started

        return self.write(step)

    def tidy(self, limit: int = 500) -> int:
        """Delete data that are over; see the contract."""
        now = self.now()
        over = "SELECT key FROM nephew_data WHERE name = ? AND expires_at <= ? LIMIT ?"
        keys = self.read(over, (self.name, now, limit))

        def step(run: Run) -> int:
            over = "DELETE FROM nephew_data WHERE name = ? AND key = ? AND expires_at <= ?"
            run(over, [(self.name, key, now) for (key,) in keys], many=True)
            return len(keys)

        return self.write(step) if keys else 0
