"""The page: what was found, as Markdown, between two marks in docs/benchmarks.md."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.driver import ROOT, Findings
from benchmarks.figures import ratio, rounded, with_range
from benchmarks.growth import BATCHES, Queue
from benchmarks.measures import MEASURES
from benchmarks.runners import PAIRS

PAGE = ROOT / "docs" / "benchmarks.md"

#: The lines around what is written: the comparison's figures, and those of long queues.
FIGURES = ("<!-- figures: written by python -m benchmarks -->", "<!-- end of figures -->")
GROWTH = ("<!-- growth: written by python -m benchmarks --growth -->", "<!-- end of growth -->")


def write(text: str, marks: tuple[str, str] = FIGURES, page: Path = PAGE) -> None:
    """Replace what is between two lines of the page; the text around them stays."""
    first, last = marks
    before, begin, rest = page.read_text().partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        raise ValueError(f"expected {page} to contain the lines {first} and {last}")
    page.write_text(f"{before}{first}\n\n{text}\n{last}{after}")


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
    servers = []
    if found.postgres:
        servers.append(f"* PostgreSQL {found.postgres} on the same machine, configured as `initdb` leaves it.")
    if found.redis:
        servers.append(f"* Redis {found.redis} on the same machine, without persistence.")
    lines = [
        f"* `{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}. A cell is the median of {plan.rounds} rounds, with the "
        "lowest and the highest.",
        f"* {plan.jobs:,} jobs per drain, bulk enqueue by {plan.bulk:,}, {plan.starts} + {plan.results} single jobs, "
        f"{plan.idle_seconds:g} s idle, {plan.imports} imports.",
        f"* Machine: {found.machine}.",
        f"* Load average before each round, the end of the round before it included: {loads}.",
    ]
    return "\n".join([*lines, *servers])


def render_growth(queues: Sequence[Queue], command: str) -> str:
    """A row for each queue, then the longest beside the shortest."""
    titles = ["one at a time" if batch == 1 else f"{batch} at a time" for batch in BATCHES]
    headings = ["jobs waiting", "bytes per job", *(f"claimed {title}<br>jobs/s" for title in titles)]
    rows = [
        [f"{queue.jobs:,}", rounded(queue.bytes / queue.jobs, 0), *(with_range(queue.rates[b], 0) for b in BATCHES)]
        for queue in queues
    ]
    first, last = queues[0], queues[-1]
    rows.append([f"{last.jobs:,} ÷ {first.jobs:,}", "", *(ratio(last.rates[b], first.rates[b]) for b in BATCHES)])
    lines = f"* `{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}.\n* Machine: {machine.describe()}."
    return f"{lines}\n\n{_markdown(headings, rows)}\n"


def _markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
