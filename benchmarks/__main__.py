"""The command: `python -m benchmarks`, from the project's folder."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

from benchmarks import driver, report
from benchmarks.plan import FULL, SHORT
from benchmarks.runners import NAMES


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the figures and, unless it is a short or a partial run, write them down."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # by way of every `finally`
    plan = SHORT if options.short else FULL
    plan = replace(plan, rounds=options.rounds or plan.rounds, jobs=options.jobs or plan.jobs)
    names = options.runner or list(NAMES)
    command = " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    try:
        found = driver.run(plan, names, lambda text: print(text, file=sys.stderr, flush=True))
    except driver.SessionError as error:
        print(error, file=sys.stderr)
        return 1
    print(report.render(found, command))
    if options.write or (not options.short and not options.runner):
        report.write(found, command)
        print(f"Written to {report.PAGE}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measures Nephew beside its peers.")
    parser.add_argument("--short", action="store_true", help="shows only that everything works")
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
