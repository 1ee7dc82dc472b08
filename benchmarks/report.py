"""The page: what was found, as Markdown, between two marks in docs/benchmarks.md."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from benchmarks.driver import ROOT, Findings
from benchmarks.figures import ratio, with_range
from benchmarks.measures import MEASURES
from benchmarks.runners import PAIRS

PAGE = ROOT / "docs" / "benchmarks.md"

BEGIN = "<!-- figures: written by python -m benchmarks -->"
END = "<!-- end of figures -->"


def write(found: Findings, command: str, page: Path = PAGE) -> None:
    """Replace the figures of the page; the text around them stays."""
    before, begin, rest = page.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected {page} to contain the lines {BEGIN} and {END}")
    page.write_text(f"{before}{BEGIN}\n\n{render(found, command)}\n{END}{after}")


def render(found: Findings, command: str) -> str:
    """All that was found, with what is needed to judge and to repeat it."""
    parts = [_circumstances(found, command), table(found), _imports(found), "### Settings", _settings(found)]
    return "\n\n".join(parts) + "\n"


def table(found: Findings) -> str:
    """A row for each runner, a column for each measure; then the ratios of the pairs."""
    titles = [f"{measure.title}<br>{measure.unit}" for measure in MEASURES]
    rows = [_figures_row(found, name) for name in found.figures]
    rows += [_ratio_row(found, *pair) for pair in PAIRS if all(name in found.figures for name in pair)]
    return _markdown(["", *titles], rows)


def _figures_row(found: Findings, name: str) -> list[str]:
    figures = found.figures[name]
    cells = [with_range(figures[measure.key], measure.decimals) for measure in MEASURES]
    return [f"**{found.abouts[name].title}**", *(cell.replace(" (", "<br>(") for cell in cells)]


def _ratio_row(found: Findings, name: str, other: str) -> list[str]:
    ours, theirs = found.figures[name], found.figures[other]
    title = f"{found.abouts[name].title} ÷ {found.abouts[other].title}"
    return [title, *(ratio(ours[measure.key], theirs[measure.key]) for measure in MEASURES)]


def _imports(found: Findings) -> str:
    rows = []
    for title, times in found.imports.items():
        wall, cpu, all_wall, _ = ([time[column] for time in times] for column in range(4))
        rows.append([title, with_range(wall, 1), with_range(cpu, 1), with_range(all_wall, 1)])
    return _markdown(["import, ms", "wall above", "CPU above", "wall in all"], rows)


def _settings(found: Findings) -> str:
    headings = ["", "workers", "delivery", "keeps", "durability", "bulk enqueue", "versions"]
    rows = []
    for about in found.abouts.values():
        versions = ", ".join(f"{package} {version}" for package, version in about.versions.items())
        rows.append(
            [about.title, about.worker, about.acknowledges, about.keeps, about.durability, about.bulk, versions]
        )
    return _markdown(headings, rows)


def _circumstances(found: Findings, command: str) -> str:
    plan = found.plan
    loads = ", ".join(f"{load:.1f}" for load in found.loads)
    server = f"* PostgreSQL {found.postgres} on the same machine, configured as `initdb` leaves it."
    lines = [
        f"* `{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}. A cell is the median of {plan.rounds} rounds, with the "
        "lowest and the highest.",
        f"* {plan.jobs:,} jobs per drain, bulk enqueue by {plan.bulk:,}, {plan.starts} + {plan.results} single jobs, "
        f"{plan.idle_seconds:g} s idle, {plan.imports} imports.",
        f"* Machine: {found.machine}.",
        f"* Load average before each round, the end of the round before it included: {loads}.",
    ]
    return "\n".join([*lines, server] if found.postgres else lines)


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
