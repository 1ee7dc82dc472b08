"""How much is measured: the full size, and a short one that only shows that everything works."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of one run. Everything in it is bounded by these numbers."""

    #: How often each runner is measured; the rounds of all runners take turns.
    rounds: int
    #: Jobs that are enqueued, and then wait for the consumer, per drain.
    jobs: int
    #: Jobs handed to the store at once by the bulk enqueue.
    bulk: int
    #: Single jobs given to an idle consumer, to see when they start.
    starts: int
    #: Single jobs whose result is waited for.
    results: int
    #: How long an idle consumer is watched, after it has come to rest for a quarter of that.
    idle_seconds: float
    #: How often each import is timed.
    imports: int

    @property
    def session_seconds(self) -> float:
        """When a session that has not ended is given up."""
        return 120 + self.idle_seconds * 2 + (self.starts + self.results) * 2 + self.jobs / 10

    @property
    def drain_seconds(self) -> float:
        """When a drain that has not ended is given up."""
        return 60 + self.jobs / 50


FULL = Plan(rounds=3, jobs=20_000, bulk=10_000, starts=100, results=50, idle_seconds=8, imports=15)
SHORT = Plan(rounds=1, jobs=300, bulk=100, starts=5, results=3, idle_seconds=0.5, imports=1)
