"""The page: what was found, as Markdown, between two marks in docs/benchmarks.md, and its charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import charts, targets
from benchmarks.environments import ROOT
from benchmarks.figures import with_range
from benchmarks.findings import QUICK_SECONDS, Findings
from benchmarks.measures import GROUPS, Group, Measure

PAGE = ROOT / "docs" / "benchmarks.md"

#: The lines around what is written: the comparison's figures, and those of long queues.
FIGURES = ("<!-- figures: written by python -m benchmarks -->", "<!-- end of figures -->")
GROWTH = ("<!-- growth: written by python -m benchmarks --growth -->", "<!-- end of growth -->")

_TARGET_HEADINGS = ("target", "wanted", "measured", "")

#: How much is told of a failure: what is said last is the reason.
_FAILURE_CHARACTERS = 300


def write(text: str, marks: tuple[str, str] = FIGURES, page: Path = PAGE) -> None:
    """Replace what is between two lines of the page; the text around them stays."""
    first, last = marks
    before, begin, rest = page.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"expected {page} to contain the lines {first} and {last}")
    page.write_text(f"{before}{first}\n\n{text}\n{last}{after}")


def illustrate(found: Findings, page: Path = PAGE) -> str:
    """Draw the charts beside the page; returns the Markdown that shows them."""
    drawn = charts.draw(found, page.parent / "images")
    return "\n\n".join(f"![{chart.title}](images/{chart.file})" for chart in drawn)


def render(found: Findings) -> str:
    """All that was found, with what is needed to judge and to repeat it."""
    parts = [_circumstances(found), "### Targets", markdown(_TARGET_HEADINGS, targets.rows(found))]
    for group in GROUPS:
        parts += [f"### {group.title}", table(found, group)]
    parts += ["### Imports", _imports(found), *_messages(found), "### Settings", _settings(found), *_failures(found)]
    return "\n\n".join(parts) + "\n"


def table(found: Findings, group: Group) -> str:
    """A row for each runner, a column for each measure."""
    sizes = asdict(found.plan)
    titles = [f"{measure.title.format(**sizes)}<br>{measure.unit}" for measure in group.measures]
    rows = [
        [f"**{found.title(name)}**", *(_cell(found, name, measure) for measure in group.measures)]
        for name in found.names
    ]
    return markdown(["", *titles], rows)


def _cell(found: Findings, name: str, measure: Measure) -> str:
    if figures := found.all(name, measure.key):
        return with_range(figures, measure.decimals).replace(" (", "<br>(")
    return "failed" if measure.has_all else "–"


def _imports(found: Findings) -> str:
    rows = []
    for title, times in found.imports.items():
        wall, cpu, all_wall, _ = ([time[column] for time in times] for column in range(4))
        rows.append([title, with_range(wall, 1), with_range(cpu, 1), with_range(all_wall, 1)])
    return markdown(["import, ms", "wall above", "CPU above", "wall in all"], rows)


def _messages(found: Findings) -> list[str]:
    """One line; none where that was not measured."""
    if not found.messages:
        return []
    ours, pickle = (with_range(micros, 1) for micros in zip(*found.messages, strict=True))
    return [
        f"A job with three arguments and its result turned into bytes and back: {ours} µs of a core with Nephew's "
        f"codec, and {pickle} µs with pickle, as Huey does it."
    ]


def _settings(found: Findings) -> str:
    headings = ["", "workers", "jobs at a time", "delivery", "keeps", "durability", "bulk enqueue", "versions"]
    rows = []
    for about in found.abouts.values():
        versions = ", ".join(f"{package} {version}" for package, version in about.versions.items())
        facts = [about.worker, about.concurrency, about.acknowledges, about.keeps, about.durability, about.bulk]
        rows.append([about.title, *facts, versions])
    return markdown(headings, rows)


def _failures(found: Findings) -> list[str]:
    """What went wrong, if anything did."""
    lines = [
        f"* **{found.title(name)}**: {_shortened(failure)}"
        for name, failures in found.failures.items()
        for failure in failures
    ]
    return ["### What failed", "\n".join(lines)] if lines else []


def _shortened(failure: str) -> str:
    """In one line, the end of it: what a program says last is why it ended."""
    first, *rest = failure.strip().splitlines()
    text = f"{first} … {' '.join(rest)[-_FAILURE_CHARACTERS:]}" if rest else first
    return f"`{text.replace('`', chr(39))}`"


def _circumstances(found: Findings) -> str:
    plan = found.plan
    loads = ", ".join(f"{load:.1f}" for load in found.loads)
    cell = f"the median of {plan.rounds} rounds, with the lowest and the highest" if plan.rounds > 1 else "of one round"
    lines = [
        f"* `{found.command}` on {found.date}, {found.minutes:.0f} minutes. A cell is {cell}.",
        f"* As many jobs per drain as one worker process does in {plan.drain_seconds:g} s, at most {plan.jobs:,}; "
        f"{plan.starts} + {plan.results} single jobs, {plan.tail_starts or plan.starts} where they start within 20 ms; "
        f"{plan.idle_seconds:g} s idle, {plan.beat_seconds:g} s for Nephew and Huey; "
        f"{plan.naps:,} jobs of 0.1 s, {plan.short_naps:,} of 2 ms; {plan.imports} imports.",
        f"* When a consumer is killed, {plan.crash_naps} jobs of 0.2 s and {plan.crash_noops} that do nothing are in "
        f"the queue, and are waited for {plan.crash_seconds:g} s: in the first round, and in the others where all was "
        f"done within {QUICK_SECONDS:g} s. The long job is one of {plan.long_seconds:g} s.",
        f"* Machine: {found.machine}.",
        f"* Load average before each round, the end of the round before it included: {loads}.",
    ]
    if found.postgres:
        lines.append(f"* PostgreSQL {found.postgres} on the same machine, configured as `initdb` leaves it.")
    if found.redis:
        lines.append(f"* Redis {found.redis} on the same machine, without persistence.")
    return "\n".join(lines)


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
