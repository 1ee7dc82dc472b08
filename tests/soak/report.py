"""What a soak has found: in a table for people, and as a list of what must not be."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.soak.books import Books, Runs
from tests.soak.gauges import Gauge, MemoryMeter, differences

REPORTS = Path(__file__).resolve().parents[2] / "docs" / "reports"

#: What the design promises: a kill repeats at most what had finished in the last 10 ms, and what the settle itself
#: takes while both cores are busy.
REPEATED, BUSY = 0.010, 0.5
#: How much memory (bytes) may grow per 10,000 jobs.
GROWTH = 1 << 20
#: What the allocator of each process may add beside that, since it takes whole pages and keeps some: in a soak of so
#: many seconds …
LONG, NOISE = 300, 1 << 20
#: … and in a shorter one, which has no time to come to rest: half as much again as was ever measured in 15 s, without
#: a leak, with each kind of workers.
SHORT_NOISE = {"process": 5 << 19, "thread": 1 << 20, "greenlet": 5 << 18}
#: SQLite's connections each keep up to 2,000 KiB of pages (its default `cache_size`); in a short soak they are still
#: being filled.
PAGES = 2000 << 10


@dataclass(frozen=True)
class Found:
    """All that was measured."""

    place: str
    seed: int
    seconds: float
    books: Books
    runs: Runs
    calls: Counter[str]
    faults: Counter[str]
    memory: MemoryMeter
    pids: Mapping[str, set[int]]
    before: Gauge
    after: Gauge
    size: int

    @property
    def jobs(self) -> int:
        """How many jobs have ended."""
        return self.books.ends.total()

    def problems(self) -> list[str]:
        """What must not be."""
        lost, doubled = self.books.lost(), self.books.doubled()
        unexplained = [repeat.job for repeat in self.runs.repeats if repeat.age is None]
        late = [repeat for repeat in self.runs.repeats if repeat.age and repeat.age > REPEATED + BUSY]
        found = {
            "lost": lost[:20],
            "settled twice": doubled[:20],
            "repeated without a kill": unexplained[:20],
            "repeated though finished long before the kill": late[:20],
            "run twice though at most once was asked for": self.runs.twice[:20],
            "held by two at once": self.runs.clashes,
            "more or less than before": differences(self.before, self.after),
            "grown by bytes per 10,000 jobs": {kind: size for kind in self.pids if (size := self.excess(kind)) > 0},
        }
        return [f"{what}: {which}" for what, which in found.items() if which]

    def growth(self, kind: str) -> tuple[int, int]:
        """By how many bytes a consumer grew while it was measured, and how many attempts it had finished meanwhile.

        That begins after the first fifth of the soak.
        """
        (first, before), *_, (last, after) = self.memory.fifths(kind)
        return int(after - before), self.runs.between(self.pids[kind], first, last)

    def excess(self, kind: str) -> float:
        """By how many bytes it grew more than it may."""
        grown, jobs = self.growth(kind)
        return grown - GROWTH * jobs / 10_000 - self._noise(kind)

    def _noise(self, kind: str) -> int:
        if self.seconds >= LONG:
            return NOISE * len(self.pids[kind])
        return SHORT_NOISE[kind] + (PAGES if self.place == "sqlite" else 0)

    def write(self) -> None:
        """Keep it with the other reports."""
        ages = sorted(repeat.age for repeat in self.runs.repeats if repeat.age is not None)
        rows = {
            "seconds": f"{self.seconds:.0f}",
            "jobs that ended": f"{self.jobs:,}",
            "throughput": f"{self.jobs / self.seconds:,.0f} jobs/s",
            "ends": _listed(self.books.ends),
            "calls": _listed(self.calls),
            "calls that got an error and may have been stored": str(self.books.unsure),
            "faults": _listed(self.faults),
            "lost": str(len(self.books.lost())),
            "settled twice": str(len(self.books.doubled())),
            "finished runs that were repeated after a kill": str(len(ages)),
            "how long before the kill they had finished": _spread(ages),
            "run twice though at most once was asked for": str(len(self.runs.twice)),
            "locks and unique keys held by two at once": str(self.runs.clashes),
        }
        for kind in self.pids:
            grown, jobs = self.growth(kind)
            sizes = ", ".join(f"{size / 2**20:.1f}" for _, size in self.memory.fifths(kind))
            rows[f"memory of the consumer with {kind} workers, by fifths of the time"] = f"{sizes} MiB"
            rows[f"its growth per 10,000 jobs, measured in {jobs:,}"] = (
                f"{grown / 2**20 / max(jobs, 1) * 10_000:.2f} MiB"
            )
        rows["size of the store at the end"] = f"{self.size / 2**20:.1f} MiB"
        text = [
            f"# Soak: {self.place}",
            "",
            "Written by `tests/soak` (`./run_tests.sh --soak MINUTES`): consumers that survive, one that is killed,",
            "stopped and replaced all the time, and a mixed load. What is counted before and after is counted idle,",
            f"after all jobs had ended and were pruned. Seed {self.seed}.",
            "",
            "| | |",
            "|---|---|",
            *(f"| {what} | {value} |" for what, value in rows.items()),
            "",
            "| | before | after |",
            "|---|---|---|",
            *(
                f"| {what} | {self.before.get(what, 0)} | {self.after.get(what, 0)} |"
                for what in sorted({*self.before, *self.after})
            ),
        ]
        REPORTS.mkdir(parents=True, exist_ok=True)
        (REPORTS / f"soak-{self.place}.md").write_text("\n".join(text) + "\n")


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{what}: {count:,}" for what, count in sorted(counts.items()))


def _spread(ages: list[float]) -> str:
    return f"{statistics.median(ages) * 1000:.0f} ms, at most {ages[-1] * 1000:.0f} ms" if ages else "–"
