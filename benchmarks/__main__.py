"""The command: `python -m benchmarks`, from the project's folder."""

from __future__ import annotations

import argparse
import datetime as dt
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from benchmarks import driver, environments, machine, report
from benchmarks.findings import Findings
from benchmarks.growth import comparisons, run, table
from benchmarks.growth.comparisons import BACKENDS
from benchmarks.plan import FULL, SHORT
from benchmarks.runners import RUNNERS, is_ours

#: The files with the findings of the newest run of all runners with --all, and of the newest other one.
WHOLE, NEWEST = "findings-all.json", "findings.json"


def main(arguments: Sequence[str] | None = None, folder: Path = environments.FOLDER) -> int:
    """Measure, print the figures and, where it is asked for, write them down.

    :param folder: where the findings are kept.
    :returns: 0, or 1 when something failed or Nephew's own figures are missing.
    :raises SystemExit: with code 2, when the arguments ask for what cannot be done.
    """
    options = _options(arguments, folder)
    command = " ".join(["python -m benchmarks", *(sys.argv[1:] if arguments is None else arguments)])
    return _grow(options, command) if options.growth else _compare(options, command, folder)


def end_by_signals() -> None:
    """Let this process end by way of every `finally` when it is told to, or its terminal is closed."""
    for signum in signal.SIGTERM, signal.SIGHUP:
        if signal.getsignal(signum) is not signal.SIG_IGN:  # as nohup leaves it
            signal.signal(signum, lambda number, _: sys.exit(128 + number))


def _compare(options: argparse.Namespace, command: str, folder: Path) -> int:
    found = options.again or _measure(options, command, folder)
    write = options.write or (_is_whole(options) and not options.again)
    if write and not (found.has_ours() and set(filter(is_ours, RUNNERS)) <= set(found.names)):
        _say("The page stays as it is: figures of Nephew's own are missing.")
        write = False
    text = report.render(found)
    _tell(f"{report.illustrate(found)}\n\n{text}" if write else text, report.FIGURES, write)
    return 1 if found.failures or not found.has_ours() or (options.write and not write) else 0


def _measure(options: argparse.Namespace, command: str, folder: Path) -> Findings:
    plan = FULL if options.all else SHORT
    plan = replace(plan, rounds=options.rounds or plan.rounds, jobs=options.jobs or plan.jobs)
    today = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}"
    found = Findings(plan, machine.describe(), today, command, options.runner or list(RUNNERS))
    try:
        driver.run(found, say=_say)
    finally:
        found.save(_kept(options, folder))  # a run that is broken off shows what it has with --again
    return found


def _grow(options: argparse.Namespace, command: str) -> int:
    plan = comparisons.FULL if options.all else comparisons.SHORT
    plan = replace(plan, rounds=options.rounds or plan.rounds, jobs=options.jobs or plan.jobs)
    found = run.measure(plan, _say, options.runner or list(BACKENDS))
    failed = any(each.failure for each in found)
    write = options.write or _is_whole(options)
    if write and failed:
        _say("The page stays as it is: not everything was measured.")
    _tell(table.render(found, plan.rounds, command), report.GROWTH, write and not failed)
    return 1 if failed else 0


def _is_whole(options: argparse.Namespace) -> bool:
    return options.all and not options.runner


def _kept(options: argparse.Namespace, folder: Path) -> Path:
    return folder / (WHOLE if _is_whole(options) else NEWEST)


def _tell(text: str, marks: tuple[str, str], write: bool) -> None:
    print(text)
    if write:
        report.write(text, marks)
        _say(f"Written to {report.PAGE}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _options(arguments: Sequence[str] | None, folder: Path) -> argparse.Namespace:
    """What is asked for; `again` becomes the findings of the newest run."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.growth and options.again:
        parser.error("--again shows a comparison; a run of --growth is not kept")
    if options.again and (options.runner or options.rounds or options.jobs):
        parser.error("--again measures nothing: it goes with --all and --write only")
    if options.growth and (others := set(options.runner or BACKENDS) - set(BACKENDS)):
        parser.error(f"--growth measures {', '.join(BACKENDS)}, not {', '.join(sorted(others))}")
    if options.growth and options.write and options.runner:
        parser.error("--write needs all of --growth, without --runner")
    if options.again:
        try:
            options.again = Findings.load(_kept(options, folder))
        except (OSError, ValueError, TypeError, KeyError) as error:
            parser.error(f"there is no run of this kind and version to show again: {error}")
    return options


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m benchmarks", description="Measures Nephew beside its peers.")
    parser.add_argument("--all", action="store_true", help="the whole, for three rounds; writes docs/benchmarks.md")
    parser.add_argument("--growth", action="store_true", help="measures what a job costs when something grows")
    parser.add_argument("--rounds", type=_positive, help="how often each runner is measured")
    parser.add_argument("--jobs", type=_positive, help="the most jobs of a drain")
    parser.add_argument("--runner", action="append", choices=RUNNERS, help="only this one; may be given more than once")
    parser.add_argument(
        "--again",
        action="store_true",
        help="shows the newest run once more instead of measuring, with --all the newest whole one",
    )
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md after a short run, too")
    return parser


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"expected a whole number from 1 on, got {text}")
    return int(text)


if __name__ == "__main__":
    end_by_signals()
    sys.exit(main())
