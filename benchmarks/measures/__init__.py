"""The measures: what is measured, in which unit.

Each module has a function `measure`, which takes some of them on one bench and yields figures as it gets them: when it
fails, what it had is not lost.
"""

from __future__ import annotations

from dataclasses import dataclass

#: By the key of the measure.
Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of a table.

    :ivar title: may name what the plan says, in braces.
    :ivar has_all: whether every runner has such a figure, unless something failed.
    """

    key: str
    title: str
    unit: str
    decimals: int
    has_all: bool = True


@dataclass(frozen=True, slots=True)
class Group:
    """One table: what is read side by side."""

    title: str
    measures: tuple[Measure, ...]


GROUPS = (
    Group(
        "Jobs that do nothing",
        (
            Measure("enqueue", "enqueue, single", "jobs/s", 0),
            Measure("enqueue_bulk", "enqueue, bulk", "jobs/s", 0),
            Measure("drain_one", "drain, one worker process", "jobs/s", 0),
            Measure("drain_two", "drain, two", "jobs/s", 0),
            Measure("cores_one", "cores used by consumer and server: one", "% of all", 0),
            Measure("cores_two", "the same: two", "% of all", 0),
        ),
    ),
    Group(
        "One job at a time, and none",
        (
            Measure("start_p50", "enqueue→start, p50", "ms", 2),
            Measure("start_p99", "enqueue→start, p99", "ms", 2, has_all=False),
            Measure("result_p50", "enqueue→result, p50", "ms", 2),
            Measure("idle_cpu", "idle CPU, all processes", "% of a core", 2),
            Measure("first_job", "from the start of a consumer to its first job", "ms", 0),
        ),
    ),
    Group(
        "Jobs that sleep, and memory",
        (
            Measure("naps", "0.1 s each, 50 at a time", "× the ideal", 2, has_all=False),
            Measure("short_naps_one", "2 ms each, one worker process", "jobs/s", 0),
            Measure("short_naps_two", "2 ms each, two", "jobs/s", 0),
            Measure("memory_worker", "peak memory of one of two worker processes (PSS)", "MB", 1),
            Measure("memory_all", "the same, all processes of the consumer", "MB", 1),
        ),
    ),
    Group(
        "When something goes wrong",
        (
            Measure("lost", "lost: not done {crash_seconds:g} s after SIGKILL of the consumer", "% of the jobs", 1),
            Measure("late", "late by design: due only after that by its settings", "% of the jobs", 1),
            Measure("recovered", "all of its jobs done", "s after the next start", 2, has_all=False),
            Measure("again", "its running jobs run again", "s after the next start", 2, has_all=False),
            Measure("worker_again", "those of a killed worker process", "s after its death", 2, has_all=False),
            Measure("behind_long", "a job behind a long one starts", "ms", 1),
        ),
    ),
)

MEASURES = tuple(measure for group in GROUPS for measure in group.measures)
