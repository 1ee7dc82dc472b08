"""The measures: what is measured, in which unit. Each module takes some of them on one bench."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of the table."""

    key: str
    title: str
    unit: str
    decimals: int


MEASURES = (
    Measure("enqueue", "enqueue, single", "jobs/s", 0),
    Measure("enqueue_bulk", "enqueue, bulk", "jobs/s", 0),
    Measure("drain_one", "drain, 1 worker", "jobs/s", 0),
    Measure("drain_two", "drain, 2 worker processes", "jobs/s", 0),
    Measure("start_p50", "idle: enqueue→start, p50", "ms", 2),
    Measure("start_p99", "idle: enqueue→start, p99", "ms", 2),
    Measure("result_p50", "idle: enqueue→result, p50", "ms", 2),
    Measure("idle_cpu", "idle CPU, all processes", "% of a core", 2),
    Measure("memory_worker", "peak memory of one of 2 worker processes (PSS)", "MB", 1),
    Measure("memory_all", "the same, all processes of the consumer", "MB", 1),
)
