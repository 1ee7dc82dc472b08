"""The bench: what every measure is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.board import Board
from benchmarks.consumers import Consumers
from benchmarks.plan import Plan
from benchmarks.runner import Runner

#: How long a consumer may take to run its first job.
START_SECONDS = 30.0


def warm_up(jobs: int) -> int:
    """How many of so many jobs are left out when a rate is taken: the first fifth, until all workers are there."""
    return jobs // 5


@dataclass(frozen=True, slots=True)
class Bench:
    """One runner with its board, in a folder of its own."""

    runner: Runner
    board: Board
    plan: Plan
    folder: Path

    def consumers(self, workers: int) -> Consumers:
        """Consumers with so many worker processes in all; use them in a `with` block."""
        return Consumers(self.runner.commands(workers), self.folder / "consumers.log")

    def nappers(self) -> Consumers:
        """The consumer for many jobs that sleep; use it in a `with` block."""
        return Consumers(self.runner.nap_commands(), self.folder / "consumers.log")
