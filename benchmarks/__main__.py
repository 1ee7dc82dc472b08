"""The command: `python -m benchmarks`, from the project's folder."""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import driver, environments, machine, report
from benchmarks.findings import Findings
from benchmarks.growth import comparisons, run, table
from benchmarks.growth.comparisons import BACKENDS
from benchmarks.plan import FULL, SHORT
from benchmarks.runners import RUNNERS

#: The findings of the newest run.
NEWEST = environments.FOLDER / "findings.json"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the figures and, where it is asked for, write them down."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every `finally`
    command = " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    if options.growth:
        _grow(options, command)
        return 0
    found = Findings.load(NEWEST) if options.again else _measure(options, command)
    write = options.write or (options.all and not options.runner)
    text = report.render(found)
    _tell(f"{report.illustrate(found)}\n\n{text}" if write else text, report.FIGURES, write)
    return 0


def _measure(options: argparse.Namespace, command: str) -> Findings:
    plan = FULL if options.all else SHORT
    plan = replace(plan, rounds=options.rounds or plan.rounds, jobs=options.jobs or plan.jobs)
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    found = Findings(plan, machine.describe(), today, command, options.runner or list(RUNNERS))
    try:
        driver.run(found, say=_say)
    finally:
        found.save(NEWEST)  # a run that is broken off shows what it has with --again
    return found


def _grow(options: argparse.Namespace, command: str) -> None:
    plan = comparisons.FULL if options.all else comparisons.SHORT
    plan = replace(plan, rounds=options.rounds or plan.rounds, jobs=options.jobs or plan.jobs)
    backends = [name for name in options.runner or BACKENDS if name in BACKENDS]
    text = table.render(run.measure(plan, _say, backends), plan.rounds, command)
    _tell(text, report.GROWTH, options.write or (options.all and not options.runner))


def _tell(text: str, marks: tuple[str, str], write: bool) -> None:
    print(text)
    if write:
        report.write(text, marks)
        _say(f"Written to {report.PAGE}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measures Nephew beside its peers.")
    parser.add_argument("--all", action="store_true", help="the whole, for three rounds; writes docs/benchmarks.md")
    parser.add_argument("--growth", action="store_true", help="measures what a job costs when something grows")
    parser.add_argument("--rounds", type=_positive, help="how often each runner is measured")
    parser.add_argument("--jobs", type=_positive, help="the most jobs of a drain")
    parser.add_argument("--runner", action="append", choices=RUNNERS, help="only this one; may be given more than once")
    parser.add_argument("--again", action="store_true", help="shows the newest run once more instead of measuring")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md after a short run, too")
    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


if __name__ == "__main__":
    sys.exit(main())
