"""The targets: what Nephew promises of its speed, each beside what was measured."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from benchmarks.figures import rounded
from benchmarks.findings import Findings
from benchmarks.runners import RUNNERS, is_ours

#: The backends, by what a reader calls them.
_BACKENDS = {"Redis": "redis", "SQLite": "sqlite", "PostgreSQL": "postgres"}

#: The share of all cores from which on they are called full, in percent.
_FULL = 95


@dataclass(frozen=True, slots=True)
class Measured:
    """What was measured of a target.

    :ivar figure: of the medians.
    :ivar rounds: the same of each round; none where something is missing in one.
    """

    figure: float
    rounds: Sequence[float] = ()

    def text(self) -> str:
        """`figure (lowest – highest round)`."""
        if len(self.rounds) < 2:
            return rounded(self.figure, 2)
        return f"{rounded(self.figure, 2)} ({rounded(min(self.rounds), 2)} – {rounded(max(self.rounds), 2)})"


@dataclass(frozen=True, slots=True)
class Target:
    """One line of the table.

    :ivar measured: asks the findings; a `KeyError` says that something is missing.
    :ivar bound: what it has to be at least; at most, when `at_most`.
    :ivar needs: what of the plan has to be how large, so that it can be judged.
    :ivar bound_by: what bounds it, as far as that is known; told when it does not hold.
    """

    what: str
    measured: Callable[[Findings], Measured]
    bound: float
    unit: str = "×"
    at_most: bool = False
    needs: Mapping[str, float] = field(default_factory=dict)
    bound_by: Callable[[Findings], str] = lambda _: ""

    @property
    def wanted(self) -> str:
        """The bound, for people."""
        return f"{'≤' if self.at_most else '≥'} {self.bound:g} {self.unit}"

    def row(self, found: Findings) -> list[str]:
        """What, wanted, measured, whether it holds."""
        try:
            measured = self.measured(found)
        except KeyError as missing:
            return [self.what, self.wanted, f"not measured: {missing.args[0]}", ""]
        return [self.what, self.wanted, f"{measured.text()} {self.unit}", self._verdict(found, measured.figure)]

    def _verdict(self, found: Findings, figure: float) -> str:
        for name, least in self.needs.items():
            if getattr(found.plan, name) < least:
                return f"not judged: {name} is {getattr(found.plan, name):g} in this form, and has to be {least:g}"
        if figure <= self.bound if self.at_most else figure >= self.bound:
            return "holds"
        reason = self.bound_by(found)
        return f"**does not hold**; {reason}" if reason else "**does not hold**"


def rows(found: Findings) -> list[list[str]]:
    """A row for each target."""
    return [target.row(found) for target in TARGETS]


def _over(key: str, name: str, *others: str) -> Callable[[Findings], Measured]:
    """How many times the fastest of the others', all of which have to be measured."""

    def quotient(found: Findings) -> Measured:
        fastest = max(others, key=lambda other: found.median(other, key))
        return _quotient(found, (name, key), (fastest, key))

    return quotient


def _quotient(found: Findings, over: tuple[str, str], under: tuple[str, str]) -> Measured:
    figure = found.median(*over) / found.median(*under)
    return Measured(figure, _each_round(operator.truediv, found.all(*over), found.all(*under)))


def _each_round(combine: Callable[[float, float], float], some: list[float], others: list[float]) -> list[float]:
    return list(map(combine, some, others)) if len(some) == len(others) else []


def _two_over_one(name: str, jobs: str) -> Callable[[Findings], Measured]:
    return lambda found: _quotient(found, (name, f"{jobs}_two"), (name, f"{jobs}_one"))


def _figure(name: str, key: str) -> Callable[[Findings], Measured]:
    return lambda found: Measured(found.median(name, key), found.all(name, key))


def _worst(key: str) -> Callable[[Findings], Measured]:
    def worst(found: Findings) -> Measured:
        return max((_figure(f"nephew_{backend}", key)(found) for backend in _BACKENDS.values()), key=_by_figure)

    return worst


def _memory_above_huey(found: Findings) -> Measured:
    def above(backend: str) -> Measured:
        ours, theirs = (f"nephew_{backend}", "memory_worker"), (f"{backend}_huey", "memory_worker")
        figure = found.median(*ours) - found.median(*theirs)
        return Measured(figure, _each_round(operator.sub, found.all(*ours), found.all(*theirs)))

    return max(map(above, _BACKENDS.values()), key=_by_figure)


def _by_figure(measured: Measured) -> float:
    return measured.figure


def _cores(name: str, key: str, otherwise: str) -> Callable[[Findings], str]:
    """What is said of a drain: the cores are full, or how full they are and what else is known."""

    def told(found: Findings) -> str:
        if not (figures := found.all(name, key)):
            return otherwise
        used = statistics.median(figures)
        if used >= _FULL:
            return f"bounded by the cores: consumers and server use {used:.0f} % of all"
        return f"consumers and server use {used:.0f} % of the cores; {otherwise}"

    return told


def _known(text: str) -> Callable[[Findings], str]:
    return lambda _: text


def _peers_on(server: str) -> list[str]:
    return [name for name, entry in RUNNERS.items() if entry.server == server and not is_ours(name)]


def _latencies(title: str, key: str, bounds: dict[str, float], bound_by: dict[str, str]) -> list[Target]:
    return [
        Target(
            f"{title}, median, {backend}",
            _figure(f"nephew_{_BACKENDS[backend]}", key),
            bound,
            "ms",
            at_most=True,
            bound_by=_known(bound_by[backend]),
        )
        for backend, bound in bounds.items()
    ]


#: What was told of the bounds: from how it works, from the settings, or from the tables of this page.
_ONE_JOB = "one process runs one job after the other, each with its record"
_SERVER = "the server writes the row of each job twice, and takes more of the cores than the workers"
_START = {
    "Redis": "an enqueue and the claim that waits for it are a script each; three processes share the cores",
    "PostgreSQL": "the enqueue, its notification and the claim follow each other, two of them commits",
    "SQLite": "between the enqueue and the claim the consumer's parent sees that the file was written",
}
_RESULT = {
    "Redis": "as the start, with the settle and the wake of the caller, who shares the cores with all of them",
    "PostgreSQL": "the enqueue, the claim and the settle are three commits, one after the other",
    "SQLite": "as the start, with the settle and the wake of the caller, who sees that the file was written",
}
_BULK = "it writes the whole record of each job, and looks whether its id is new"
_REDIS_ALONE = _cores("nephew_redis", "cores_one", _ONE_JOB)
_SQLITE_ALONE = _cores("nephew_sqlite", "cores_one", _ONE_JOB)
_POSTGRES_ALONE = _cores("nephew_postgres", "cores_one", _SERVER)

TARGETS = (
    Target("Redis, one process, over BullMQ", _over("drain_one", "nephew_redis", "bullmq"), 2, bound_by=_REDIS_ALONE),
    Target(
        "Redis, one process, over RedisHuey", _over("drain_one", "nephew_redis", "redis_huey"), 6, bound_by=_REDIS_ALONE
    ),
    Target(
        "Redis, one process, over Celery", _over("drain_one", "nephew_redis", "celery_redis"), 25, bound_by=_REDIS_ALONE
    ),
    Target(
        "SQLite, one process, over SqliteHuey",
        _over("drain_one", "nephew_sqlite", "sqlite_huey"),
        3.5,
        bound_by=_SQLITE_ALONE,
    ),
    Target(
        "PostgreSQL, one process, over pgqueuer (aim: 1.5 ×)",
        _over("drain_one", "nephew_postgres", "pgqueuer"),
        1,
        bound_by=_POSTGRES_ALONE,
    ),
    Target(
        "PostgreSQL, one process, over PostgresHuey",
        _over("drain_one", "nephew_postgres", "postgres_huey"),
        5,
        bound_by=_POSTGRES_ALONE,
    ),
    Target(
        "Redis, two processes over one",
        _two_over_one("nephew_redis", "drain"),
        1.7,
        bound_by=_cores("nephew_redis", "cores_two", "the server does all of its work on one of them"),
    ),
    Target(
        "PostgreSQL, two processes over one",
        _two_over_one("nephew_postgres", "drain"),
        1.2,
        bound_by=_cores("nephew_postgres", "cores_two", _SERVER),
    ),
    Target("the same with jobs of 2 ms", _two_over_one("nephew_postgres", "short_naps"), 1.8),
    Target(
        "Redis, bulk enqueue, over its fastest peer",
        _over("enqueue_bulk", "nephew_redis", *_peers_on("redis")),
        3,
        bound_by=_known(_BULK),
    ),
    Target(
        "SQLite, bulk enqueue, over SqliteHuey",
        _over("enqueue_bulk", "nephew_sqlite", "sqlite_huey"),
        3,
        bound_by=_known(_BULK),
    ),
    Target(
        "PostgreSQL, bulk enqueue, over pgqueuer",
        _over("enqueue_bulk", "nephew_postgres", "pgqueuer"),
        1.2,
        bound_by=_known(_BULK),
    ),
    *_latencies("idle, enqueue→start", "start_p50", {"Redis": 1, "PostgreSQL": 3, "SQLite": 3}, _START),
    Target("idle CPU, the highest of the three", _worst("idle_cpu"), 1, "%", at_most=True),
    *_latencies("enqueue→result", "result_p50", {"Redis": 1.5, "PostgreSQL": 5, "SQLite": 6}, _RESULT),
    Target(
        "jobs of 0.1 s at concurrency 50, the slowest",
        _worst("naps"),
        1.05,
        "× the ideal",
        at_most=True,
        needs={"naps": 1_000},
        bound_by=_known("50 threads that wake at the same moment share one interpreter, and the cores with the server"),
    ),
    Target("memory of a worker above Huey's (PSS), the highest", _memory_above_huey, 15, "MB", at_most=True),
    Target(
        "a short job behind a long one starts, the latest",
        _worst("behind_long"),
        100,
        "ms",
        at_most=True,
        needs={"long_seconds": 10},
    ),
    Target("jobs of a killed worker process run again, the latest", _worst("worker_again"), 1, "s", at_most=True),
    Target("jobs of a killed consumer, after its restart, the latest", _worst("again"), 1, "s", at_most=True),
    Target("jobs lost with it", _worst("lost"), 0, "%", at_most=True),
)
