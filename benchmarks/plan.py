"""How much is measured: all of it, a short form, and a tiny one that only shows that everything works."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of one run. Everything in it is bounded by these numbers."""

    #: How often each runner is measured; the rounds of all runners take turns.
    rounds: int
    #: The most jobs of one drain.
    jobs: int
    #: How long a drain with one worker process should take: a slower runner gets fewer jobs.
    drain_seconds: float
    #: The most time for enqueueing singly.
    enqueue_seconds: float
    #: Single jobs given to an idle consumer, to see when they start.
    starts: int
    #: How many it are when they start quickly enough for a 99th percentile to be taken; 0: none is taken.
    tail_starts: int
    #: Single jobs whose result is waited for.
    results: int
    #: How long an idle consumer is watched, after it has come to rest for a quarter of that.
    idle_seconds: float
    #: The same for a runner whose heart beats seldom: once at least.
    beat_seconds: float
    #: Jobs of 0.1 s that are run 50 at a time.
    naps: int
    #: Jobs of 2 ms that are run by one worker process, and by two.
    short_naps: int
    #: Jobs of 0.2 s in the queue when a consumer is killed, and no-op jobs behind them; 0: it is not.
    crash_naps: int
    crash_noops: int
    #: How long the jobs of a killed consumer are waited for.
    crash_seconds: float
    #: How long a long job is.
    long_seconds: float
    #: How often each import is timed.
    imports: int

    @property
    def crash_jobs(self) -> int:
        """All jobs that are in the queue when a consumer is killed."""
        return self.crash_naps + self.crash_noops

    @property
    def slots(self) -> int:
        """The most jobs that are looked at together, and some more."""
        singles = max(self.starts, self.tail_starts) + self.results
        return max(self.jobs, singles, self.naps, self.short_naps, self.crash_jobs) + 100

    @property
    def session_seconds(self) -> float:
        """When a session that has not ended is given up."""
        return (
            240
            + self.beat_seconds * 2
            + (self.starts + self.results) * 2
            + self.tail_starts
            + self.drain_seconds * 20
            + self.crash_seconds * 2
        )

    def without_crashes(self) -> Plan:
        """The same, and no consumer is killed."""
        return replace(self, crash_naps=0, crash_noops=0)


FULL = Plan(
    rounds=3,
    jobs=100_000,
    drain_seconds=2,
    enqueue_seconds=1.5,
    starts=60,
    tail_starts=200,
    results=25,
    idle_seconds=4,
    beat_seconds=12,
    naps=1_000,
    short_naps=1_000,
    crash_naps=20,
    crash_noops=200,
    crash_seconds=75,
    long_seconds=10,
    imports=15,
)
SHORT = Plan(
    rounds=1,
    jobs=20_000,
    drain_seconds=1,
    enqueue_seconds=0.5,
    starts=20,
    tail_starts=0,
    results=10,
    idle_seconds=2,
    beat_seconds=2,
    naps=1_000,
    short_naps=250,
    crash_naps=20,
    crash_noops=50,
    crash_seconds=10,
    long_seconds=10,
    imports=3,
)
TINY = Plan(
    rounds=1,
    jobs=300,
    drain_seconds=0.1,
    enqueue_seconds=0.1,
    starts=5,
    tail_starts=10,
    results=3,
    idle_seconds=0.5,
    beat_seconds=0.5,
    naps=50,
    short_naps=20,
    crash_naps=6,
    crash_noops=10,
    crash_seconds=3,
    long_seconds=0.5,
    imports=1,
)
