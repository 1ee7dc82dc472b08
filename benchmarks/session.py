"""A session: one runner, one round, all measures, in a process of its own.

    python -m benchmarks.session RUNNER    with `benchmarks.place` in the environment

It reads its plan from the file `plan` in its folder, and leaves its figures and what it knows of the runner in the
file `figures`.
"""

from __future__ import annotations

import json
import sys

from benchmarks import place, runners
from benchmarks.bench import Bench
from benchmarks.board import Board
from benchmarks.measures import latency, throughput
from benchmarks.plan import Plan


def main(name: str) -> None:
    plan = Plan(**json.loads((place.folder() / "plan").read_text()))
    board = Board.create(place.board(), max(plan.jobs, plan.starts + plan.results + 1))
    bench = Bench(runners.load(name), board, plan, place.folder())
    figures = throughput.measure(bench) | latency.measure(bench)
    answer = {"figures": figures, "about": bench.runner.about.as_dict()}
    (place.folder() / "figures").write_text(json.dumps(answer))


if __name__ == "__main__":
    main(sys.argv[1])
