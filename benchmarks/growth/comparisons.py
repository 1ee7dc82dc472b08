"""What is compared with what, and how much of it; for what does not stay flat, the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SQLITE, POSTGRES, REDIS = "nephew_sqlite", "nephew_postgres", "nephew_redis"
BACKENDS = {SQLITE: "SQLite", POSTGRES: "PostgreSQL", REDIS: "Redis"}


@dataclass(frozen=True, slots=True)
class Load:
    """What one store holds when a consumer is started on it."""

    #: What is different here, for the table.
    title: str
    #: The jobs that are drained and timed.
    jobs: int
    #: Those that wait behind them.
    waiting: int = 0
    #: The rows of finished ones beside them.
    finished: int = 0
    #: Over how many queues the jobs are spread.
    queues: int = 1
    #: The size of an argument of each job, in bytes.
    argument: int = 0
    #: How many consumers drain, with one worker each.
    consumers: int = 1
    #: Whether they are there, idle, before the jobs come, all at once; else the jobs wait for them.
    surprised: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """Loads that differ in one thing, the smallest first; they take turns."""

    title: str
    #: The heading over what is different.
    column: str
    loads: tuple[Load, ...]
    backends: tuple[str, ...] = tuple(BACKENDS)
    #: Why the cost is not flat, by backend.
    reasons: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Plan:
    """The size of one run. Everything in it is bounded by these numbers."""

    #: How often each load is drained.
    rounds: int
    #: The jobs of one drain.
    jobs: int
    waiting: Sequence[int]
    finished: Sequence[int]
    queues: Sequence[int]
    #: Bytes, and how many jobs with as many are drained.
    arguments: Sequence[tuple[int, int]]
    consumers: Sequence[int]

    def comparisons(self) -> list[Comparison]:
        """In the order of the page; what has no loads is left out."""
        found = [self._waiting(), self._finished(), self._queues(), self._arguments(), self._consumers()]
        return [comparison for comparison in found if comparison.loads]

    def _waiting(self) -> Comparison:
        loads = tuple(Load(f"{count:,}", self.jobs, waiting=count) for count in self.waiting)
        return Comparison("Jobs that wait behind", "jobs waiting behind", loads)

    def _finished(self) -> Comparison:
        loads = tuple(Load(f"{count:,}", self.jobs, BEHIND, finished=count) for count in self.finished)
        return Comparison("Finished rows beside", "finished rows", loads, (SQLITE, POSTGRES))

    def _queues(self) -> Comparison:
        loads = tuple(Load(f"{count:,}", self.jobs, BEHIND, queues=count) for count in self.queues)
        return Comparison("Queues", "queues", loads, reasons=_MANY_QUEUES)

    def _arguments(self) -> Comparison:
        loads = tuple(Load(_size(size), jobs, argument=size) for size, jobs in self.arguments)
        return Comparison("Arguments", "bytes in an argument", loads, reasons=_LARGE_ARGUMENTS)

    def _consumers(self) -> Comparison:
        loads = tuple(Load(str(count), self.jobs, consumers=count, surprised=True) for count in self.consumers)
        return Comparison("Consumers", "consumers", loads, reasons=_MANY_CONSUMERS)


def _size(size: int) -> str:
    return f"{size // KIB:,} KiB" if size < MIB else f"{size // MIB:,} MiB"


KIB, MIB = 1024, 1024**2

#: Found with `INFO commandstats`, with bare statements, and by counting settles and switches between processes.
_MANY_QUEUES = {
    REDIS: "the jobs of all queues are taken in one order, by priority and age. A claim looks at the first jobs of "
    "every queue and takes them out of each: two commands in the script for each queue, not for each job.",
}
_LARGE_ARGUMENTS = {
    SQLITE: "SQLite writes a row anew, with all of its payload, when any of its columns changes: at the claim and at "
    "the settle, into the log and from there into the file.",
    POSTGRES: "the payload stays where it is at claim and settle, but a hand holds 4 MiB at most: two or three such "
    "jobs a round trip, and a commit that is synced for as many.",
    REDIS: "the payload is copied into the script, its reply and the parser's buffers, and a hand holds 4 MiB at "
    "most, two or three such jobs a round trip.",
}
_SHARED_CORES = (
    "there are more processes than cores. While the others run, a hand lasts longer than the 10 ms after which "
    "what has ended is settled: more and smaller settles are written, on caches that others have used meanwhile"
)
_MANY_CONSUMERS = {
    SQLITE: f"{_SHARED_CORES}. One process writes at a time, and each write wakes those that watch the file.",
    POSTGRES: f"{_SHARED_CORES}.",
    REDIS: f"{_SHARED_CORES}.",
}

#: Jobs behind those that are drained, where nothing depends on them: the consumer never finds the queue empty.
BEHIND = 1_000

FULL = Plan(
    rounds=5,
    jobs=20_000,
    waiting=(1_000, 100_000, 1_000_000),
    finished=(0, 1_000_000, 10_000_000),
    queues=(1, 10, 100),
    arguments=((KIB, 5_000), (100 * KIB, 500), (MIB, 100)),
    consumers=(1, 2, 4, 8),
)
SHORT = Plan(
    rounds=2,
    jobs=5_000,
    waiting=(1_000, 100_000),
    finished=(0, 1_000_000),
    queues=(1, 100),
    arguments=((KIB, 2_000), (MIB, 50)),
    consumers=(1, 2),
)
TINY = Plan(
    rounds=1,
    jobs=100,
    waiting=(10, 1_000),
    finished=(1_000,),
    queues=(3,),
    arguments=((KIB, 10),),
    consumers=(2,),
)
