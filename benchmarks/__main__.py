"""The command: `python -m benchmarks`, from the project's folder."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import driver, growth, report
from benchmarks.plan import FULL, SHORT
from benchmarks.runners import NAMES


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the figures and, unless it is a short or a partial run, write them down."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every `finally`
    command = " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    if options.growth:
        return _measure_growth(options.short, options.write, command)
    plan = SHORT if options.short else FULL
    plan = replace(plan, rounds=options.rounds or plan.rounds, jobs=options.jobs or plan.jobs)
    names = options.runner or list(NAMES)
    try:
        found = driver.run(plan, names, _say)
    except driver.SessionError as error:
        print(error, file=sys.stderr)
        return 1
    _tell(report.render(found, command), report.FIGURES, options.write or not (options.short or options.runner))
    return 0


def _measure_growth(short: bool, write: bool, command: str) -> int:
    queues = growth.measure(growth.SHORT if short else growth.FULL, _say)
    _tell(report.render_growth(queues, command), report.GROWTH, write or not short)
    return 0


def _tell(text: str, marks: tuple[str, str], write: bool) -> None:
    print(text)
    if write:
        report.write(text, marks)
        _say(f"Written to {report.PAGE}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measures Nephew beside its peers.")
    parser.add_argument("--short", action="store_true", help="shows only that everything works")
    parser.add_argument("--growth", action="store_true", help="measures queues of 1,000 and 1,000,000 jobs on Redis")
    parser.add_argument("--rounds", type=_positive, help="how often each runner is measured")
    parser.add_argument("--jobs", type=_positive, help="jobs per drain")
    parser.add_argument("--runner", action="append", choices=NAMES, help="only this one; may be given more than once")
    parser.add_argument(
        "--write", action="store_true", help="write docs/benchmarks.md after a short or partial run, too"
    )
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 2:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
