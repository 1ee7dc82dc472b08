"""A session: one runner, one round, all measures, in a process of its own.

    python -m benchmarks.session RUNNER    with `benchmarks.place` in the environment

It reads its plan from the file `plan` in its folder, and leaves its figures, what it knows of the runner, and which
measures failed in the file `answer`. A measure that fails does not keep the next one from being taken.
"""

from __future__ import annotations

import json
import signal
import sys
import traceback

from benchmarks import place, runners
from benchmarks.bench import Bench
from benchmarks.board import Board
from benchmarks.measures import crashes, latency, overtaking, sleeping, throughput
from benchmarks.plan import Plan

#: In this order: what is killed may leave jobs behind that are somebody's still.
_MEASURES = (throughput, latency, sleeping, crashes, overtaking)


def main(name: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # sent when the driver dies; a shell may have it ignored
    plan = Plan(**json.loads((place.folder() / "plan").read_text()))
    board = Board.create(place.board(), plan.slots)
    bench = Bench(runners.load(name), board, plan, place.folder())
    figures: dict[str, float] = {}
    failures: dict[str, str] = {}
    for taken in _MEASURES:
        try:
            for some in taken.measure(bench):
                figures |= some
        except Exception as error:
            traceback.print_exc()
            failures[taken.__name__.rpartition(".")[2]] = _reason(error)
        answer = {"about": bench.runner.about.as_dict(), "figures": figures, "failures": failures}
        (place.folder() / "answer").write_text(json.dumps(answer))  # each time: the next one may hang
    bench.runner.close()


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main(sys.argv[1])
