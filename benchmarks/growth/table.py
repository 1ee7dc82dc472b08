"""What was found, as Markdown: a table for each comparison, with a row for each load on each store."""

from __future__ import annotations

import datetime as dt
import itertools
import statistics
from collections.abc import Callable, Iterable, Sequence

from benchmarks import machine
from benchmarks.figures import rounded, with_range
from benchmarks.growth.comparisons import BACKENDS, Comparison, Load
from benchmarks.growth.drain import Cost
from benchmarks.growth.run import Findings
from benchmarks.report import markdown

#: A cost up to so many times that of the smallest load is flat.
FLAT = 1.25

_HEADINGS = (
    "jobs/s",
    "µs per job",
    "÷ smallest",
    "CPU of consumers<br>µs per job",
    "of the server",
    "CPU ÷ smallest",
    "cores in use",
)
_BYTES = ("MB/s", "bytes alone<br>µs per job", "without them")
_MICRO = 1e6

#: What a cost does that is not flat, the worse first, and what is said where its reason is not written down.
GROWS, WAITS = "grows", "waits longer"
_UNKNOWN = {
    GROWS: "it should not; no reason is known.",
    WAITS: "the work is the same; it waits for the disk, or for a core that something else used.",
}


def render(found: Sequence[Findings], rounds: int, command: str) -> str:
    """All comparisons, with what is needed to judge and to repeat them.

    :param found: those of one comparison one after the other.
    """
    lines = [
        f"* `{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}. A cell is the median of {rounds} rounds, with the "
        "lowest and the highest; a ratio is the median of the ratios in each round.",
        f"* Machine: {machine.describe()}.",
    ]
    parts = ["\n".join(lines)]
    for comparison, of_it in itertools.groupby(found, lambda each: each.comparison):
        same = list(of_it)
        parts += [f"### {comparison.title}", _table(comparison, same), *_reasons(same)]
    return "\n\n".join(parts) + "\n"


def _table(comparison: Comparison, found: Sequence[Findings]) -> str:
    with_bytes = any(load.argument for load in comparison.loads)
    headings = ["", comparison.column, "bytes per job<br>in the store", *_HEADINGS, *(_BYTES if with_bytes else ()), ""]
    rows = []
    for each in found:
        for load, size, costs in zip(comparison.loads, each.sizes, each.costs, strict=True):
            cells = [BACKENDS[each.backend], load.title, rounded(size, 0) if size else "–"]
            if costs:
                cells += _figures(costs, each.costs[0])
                cells += _bytes(load, costs) if with_bytes else []
                cells.append(_verdict(costs, each.costs[0]))
            else:
                cells += ["failed"] + [""] * (len(headings) - len(cells) - 1)
            rows.append(cells)
    return markdown(headings, rows)


def _figures(costs: Sequence[Cost], smallest: Sequence[Cost]) -> list[str]:
    return [
        with_range([1 / cost.wall for cost in costs], 0).replace(" (", "<br>("),
        _micros(cost.wall for cost in costs),
        f"{_growth(costs, smallest, _ours):.2f} ×",
        _micros(cost.consumers for cost in costs),
        _micros(cost.server for cost in costs),
        f"{_growth(costs, smallest, _cpu):.2f} ×",
        f"{statistics.median(cost.cores for cost in costs):.1f}",
    ]


def _bytes(load: Load, costs: Sequence[Cost]) -> list[str]:
    return [
        rounded(statistics.median(load.argument / cost.wall for cost in costs) / 1e6, 0),
        _micros(cost.bare for cost in costs),
        _micros(cost.ours for cost in costs),
    ]


def _micros(seconds: Iterable[float]) -> str:
    return rounded(statistics.median(seconds) * _MICRO, 1)


def _ours(cost: Cost) -> float:
    return cost.ours


def _cpu(cost: Cost) -> float:
    return cost.cpu


def _growth(costs: Sequence[Cost], smallest: Sequence[Cost], part: Callable[[Cost], float]) -> float:
    """How many times the smallest load's cost, in the same rounds: what slows the machine slows both."""
    ratios = [part(cost) / part(least) for cost, least in zip(costs, smallest, strict=False) if part(least)]
    return statistics.median(ratios or [1.0])


def _verdict(costs: Sequence[Cost], smallest: Sequence[Cost]) -> str:
    growth = _growth(costs, smallest, _ours)
    if growth <= FLAT:
        return "flat" if growth >= 1 / FLAT else "falls"
    return GROWS if _growth(costs, smallest, _cpu) > FLAT else WAITS


def _reasons(found: Sequence[Findings]) -> list[str]:
    """Why a cost is not flat, where it is not; and what failed."""
    lines = []
    for each in found:
        title = BACKENDS[each.backend]
        verdicts = {_verdict(costs, each.costs[0]) for costs in each.costs if costs}
        if (worst := next((verdict for verdict in _UNKNOWN if verdict in verdicts), None)) is not None:
            lines.append(f"* **{title}** {worst}: {each.comparison.reasons.get(each.backend, _UNKNOWN[worst])}")
        if each.failure:
            lines.append(f"* **{title}** failed: `{each.failure.splitlines()[0]}`")
    return ["\n".join(lines)] if lines else []
