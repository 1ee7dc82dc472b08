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
    "CPU of consumers<br>µs per job",
    "of the server",
    "CPU ÷ smallest",
    "cores in use",
)
_BYTES = ("MB/s", "bytes alone<br>µs per job", "without them")
#: What is judged.
_RATIO, _RATIO_WITHOUT = "µs per job<br>÷ smallest", "without them<br>÷ smallest"
_MICRO = 1e6

#: What a cost does that is not flat: it is more work, or as much that takes longer. The worse first.
GROWS, WAITS = "grows", "waits longer"
#: What is said where its reason is not written down.
_UNKNOWN = "it should not; no reason is known."


def render(found: Sequence[Findings], rounds: int, command: str) -> str:
    """All comparisons, with what is needed to judge and to repeat them.

    :param found: those of one comparison one after the other.
    """
    lines = [
        f"* `{command}` on {dt.datetime.now(dt.UTC):%Y-%m-%d}. A cell is the median of {rounds} rounds, with the "
        "lowest and the highest; a ratio is the median of the ratios in each round.",
        f"* Machine: {machine.describe()}.",
        f"* {', '.join(dict.fromkeys(f'{BACKENDS[each.backend]} {each.version}' for each in found))}.",
    ]
    parts = ["\n".join(lines)]
    for comparison, of_it in itertools.groupby(found, lambda each: each.comparison):
        same = list(of_it)
        parts += [f"### {comparison.title}", _table(comparison, same), *_reasons(same)]
    return "\n\n".join(parts) + "\n"


def _table(comparison: Comparison, found: Sequence[Findings]) -> str:
    with_bytes = any(load.argument for load in comparison.loads)
    first = ["", comparison.column, "bytes per job<br>in the store", *_HEADINGS]
    headings = [*first, *(_BYTES if with_bytes else ()), _RATIO_WITHOUT if with_bytes else _RATIO, ""]
    rows = []
    for each in found:
        for load, size, costs in zip(comparison.loads, each.sizes, each.costs, strict=True):
            cells = [BACKENDS[each.backend], load.title, rounded(size, 0) if size else "–"]
            if costs:
                cells += _figures(costs, each.costs[0])
                cells += _bytes(load, costs) if with_bytes else []
                cells.append(f"{_growth(costs, each.costs[0], _ours):.2f} ×")
                cells.append(_verdict(costs, each.costs[0]))
            else:
                cells += ["failed"] + [""] * (len(headings) - len(cells) - 1)
            rows.append(cells)
    return markdown(headings, rows)


def _figures(costs: Sequence[Cost], smallest: Sequence[Cost]) -> list[str]:
    return [
        with_range([1 / cost.wall for cost in costs], 0).replace(" (", "<br>("),
        _micros(cost.wall for cost in costs),
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
        if (worst := next((verdict for verdict in (GROWS, WAITS) if verdict in verdicts), None)) is not None:
            lines.append(f"* **{title}** {worst}: {each.comparison.reasons.get(each.backend, _UNKNOWN)}")
        if each.failure:
            lines.append(f"* **{title}** failed: `{each.failure.splitlines()[0]}`")
    return ["\n".join(lines)] if lines else []
