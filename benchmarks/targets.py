"""The targets: what Nephew promises of its speed, each beside what was measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.figures import rounded
from benchmarks.findings import Findings
from benchmarks.runners import RUNNERS

#: The backends, by what a reader calls them.
_BACKENDS = {"Redis": "redis", "SQLite": "sqlite", "PostgreSQL": "postgres"}


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table.

    :ivar measured: asks the findings; a `KeyError` says that something is missing.
    :ivar bound: what it has to be at least; at most, when `at_most`.
    :ivar excuse: what bounds it, when it does not hold and the findings tell why.
    """

    what: str
    measured: Callable[[Findings], float]
    bound: float
    unit: str = "×"
    at_most: bool = False
    excuse: Callable[[Findings], str] = lambda _: ""

    @property
    def wanted(self) -> str:
        """The bound, for people."""
        return f"{'≤' if self.at_most else '≥'} {self.bound:g} {self.unit}"

    def row(self, found: Findings) -> list[str]:
        """What, wanted, measured, whether it holds."""
        try:
            figure = self.measured(found)
        except KeyError as missing:
            return [self.what, self.wanted, f"not measured: {missing.args[0]}", ""]
        holds = figure <= self.bound if self.at_most else figure >= self.bound
        verdict = "holds" if holds else self.excuse(found) or "**does not hold**"
        return [self.what, self.wanted, f"{rounded(figure, 2)} {self.unit}", verdict]


def rows(found: Findings) -> list[list[str]]:
    """A row for each target."""
    return [target.row(found) for target in TARGETS]


def _over(key: str, name: str, *others: str) -> Callable[[Findings], float]:
    """How many times the fastest of the others'."""

    def quotient(found: Findings) -> float:
        known = [found.median(other, key) for other in others if found.all(other, key)]
        if not known:
            raise KeyError(f"{key} of {', '.join(others)}")
        return found.median(name, key) / max(known)

    return quotient


def _two_over_one(name: str, jobs: str) -> Callable[[Findings], float]:
    return lambda found: found.median(name, f"{jobs}_two") / found.median(name, f"{jobs}_one")


def _figure(name: str, key: str) -> Callable[[Findings], float]:
    return lambda found: found.median(name, key)


def _worst(key: str) -> Callable[[Findings], float]:
    return lambda found: max(found.median(f"nephew_{backend}", key) for backend in _BACKENDS.values())


def _memory_above_huey(found: Findings) -> float:
    def above(backend: str) -> float:
        return found.median(f"nephew_{backend}", "memory_worker") - found.median(f"{backend}_huey", "memory_worker")

    return max(map(above, _BACKENDS.values()))


def _full_cores(found: Findings) -> str:
    used = found.median("nephew_redis", "cores_two")
    return f"bounded by the cores: {used:.0f} % of all are in use" if used >= 95 else ""


def _peers_on(server: str) -> list[str]:
    return [name for name, entry in RUNNERS.items() if entry.server == server and not name.startswith("nephew")]


def _latencies(title: str, key: str, bounds: dict[str, float]) -> list[Target]:
    return [
        Target(f"{title}, median, {backend}", _figure(f"nephew_{_BACKENDS[backend]}", key), bound, "ms", at_most=True)
        for backend, bound in bounds.items()
    ]


TARGETS = (
    Target("Redis, one process, over BullMQ", _over("drain_one", "nephew_redis", "bullmq"), 2),
    Target("Redis, one process, over RedisHuey", _over("drain_one", "nephew_redis", "redis_huey"), 6),
    Target("Redis, one process, over Celery", _over("drain_one", "nephew_redis", "celery_redis"), 25),
    Target("SQLite, one process, over SqliteHuey", _over("drain_one", "nephew_sqlite", "sqlite_huey"), 3.5),
    Target("PostgreSQL, one process, over pgqueuer (aim: 1.5 ×)", _over("drain_one", "nephew_postgres", "pgqueuer"), 1),
    Target("PostgreSQL, one process, over PostgresHuey", _over("drain_one", "nephew_postgres", "postgres_huey"), 5),
    Target("Redis, two processes over one", _two_over_one("nephew_redis", "drain"), 1.7, excuse=_full_cores),
    Target("PostgreSQL, two processes over one", _two_over_one("nephew_postgres", "drain"), 1.2),
    Target("the same with jobs of 2 ms", _two_over_one("nephew_postgres", "short_naps"), 1.8),
    Target("Redis, bulk enqueue, over its fastest peer", _over("enqueue_bulk", "nephew_redis", *_peers_on("redis")), 3),
    Target("SQLite, bulk enqueue, over SqliteHuey", _over("enqueue_bulk", "nephew_sqlite", "sqlite_huey"), 3),
    Target("PostgreSQL, bulk enqueue, over pgqueuer", _over("enqueue_bulk", "nephew_postgres", "pgqueuer"), 1.2),
    *_latencies("idle, enqueue→start", "start_p50", {"Redis": 1, "PostgreSQL": 3, "SQLite": 3}),
    Target("idle CPU, the highest of the three", _worst("idle_cpu"), 1, "%", at_most=True),
    *_latencies("enqueue→result", "result_p50", {"Redis": 1.5, "PostgreSQL": 5, "SQLite": 6}),
    Target("jobs of 0.1 s at concurrency 50, the slowest", _worst("naps"), 1.05, "× the ideal", at_most=True),
    Target("memory of a worker above Huey's (PSS), the highest", _memory_above_huey, 15, "MB", at_most=True),
    Target("a short job behind a long one starts, the latest", _worst("behind_long"), 100, "ms", at_most=True),
    Target("jobs of a killed worker process run again, the latest", _worst("worker_again"), 1, "s", at_most=True),
    Target("jobs of a killed consumer, after its restart, the latest", _worst("again"), 1, "s", at_most=True),
    Target("jobs lost with it", _worst("lost"), 0, "%", at_most=True),
)
