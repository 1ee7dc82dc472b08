"""Charts: bars by runner, as SVG, in colours for light pages, and others for dark ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.figures import rounded
from benchmarks.findings import Findings
from benchmarks.runners import is_ours

#: For each series, Nephew's bars and the others', as classes of the style.
_OURS = ("ours", "ours second")
_THEIRS = ("theirs", "theirs second")
_STYLE = """
text { font: 12px system-ui, sans-serif; fill: #424a53 }
.label { text-anchor: end } .title { font-size: 16px; font-weight: 600 }
.ours { fill: #0a5ea8 } .ours.second { fill: #5aa9e6 } .theirs { fill: #656d76 } .theirs.second { fill: #a3abb4 }
@media (prefers-color-scheme: dark) {
text { fill: #d1d7e0 }
.ours { fill: #4ea1ea } .ours.second { fill: #2a6aa5 } .theirs { fill: #9aa4af } .theirs.second { fill: #626c77 }
}
"""

_WIDTH, _LABELS, _BARS = 860, 170, 590
_TOP, _BAR, _ROW, _BOTTOM = 66, 13, 34, 6
_LEGEND = 220


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture.

    :ivar file: its name, beside the others.
    :ivar series: what is shown of each runner: the title and the measure's key.
    :ivar by_decades: whether ten times as much is as much longer everywhere: for figures that are far apart.
    """

    file: str
    title: str
    series: tuple[tuple[str, str], tuple[str, str]]
    decimals: int = 0
    highest_first: bool = True
    by_decades: bool = False


CHARTS = (
    Chart(
        "benchmark.svg",
        "No-op jobs per second",
        (("one worker process", "drain_one"), ("two", "drain_two")),
    ),
    Chart(
        "benchmark-enqueue.svg",
        "Jobs enqueued per second",
        (("in bulk", "enqueue_bulk"), ("one by one", "enqueue")),
    ),
    Chart(
        "benchmark-latency.svg",
        "Milliseconds from the enqueue with an idle worker, median; logarithmic",
        (("to the start", "start_p50"), ("to the result", "result_p50")),
        decimals=2,
        highest_first=False,
        by_decades=True,
    ),
    Chart(
        "benchmark-memory.svg",
        "Memory in MB (PSS) with two worker processes at work",
        (("the larger one", "memory_worker"), ("all processes of the consumer", "memory_all")),
        decimals=1,
        highest_first=False,
    ),
)


def draw(found: Findings, folder: Path) -> list[Chart]:
    """Write every chart of which there are figures; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = [chart for chart in CHARTS if _runners(found, chart)]
    for chart in drawn:
        _draw(found, chart, folder / chart.file)
    return drawn


def _runners(found: Findings, chart: Chart) -> list[str]:
    """Those with a figure for the first series, the best one first."""
    key = chart.series[0][1]
    names = [name for name in found.names if found.all(name, key)]
    return sorted(names, key=lambda name: found.median(name, key), reverse=chart.highest_first)


def _draw(found: Findings, chart: Chart, path: Path) -> None:
    names = _runners(found, chart)
    shown = [found.median(name, key) for name in names for _, key in chart.series if found.all(name, key)]
    picture = _picture(_TOP + _ROW * len(names) + _BOTTOM)
    _text(picture, 0, 18, chart.title, "title")
    for place, (title, _) in enumerate(chart.series):
        left = _LABELS + _LEGEND * place
        _rectangle(picture, left, 34, 12, 12, _OURS[place])
        _rectangle(picture, left + 14, 34, 12, 12, _THEIRS[place])
        _text(picture, left + 32, 44, title)
    _text(picture, _LABELS + _LEGEND * len(chart.series), 44, "blue: Nephew, grey: others")
    for row, name in enumerate(names):
        top = _TOP + _ROW * row
        _text(picture, _LABELS - 10, top + _BAR + 4, found.title(name), "label")
        kinds = _OURS if is_ours(name) else _THEIRS
        for place, (_, key) in enumerate(chart.series):
            if found.all(name, key):
                figure = found.median(name, key)
                width = max(1, _BARS * _share(chart, figure, shown))
                _rectangle(picture, _LABELS, top + place * _BAR, width, _BAR - 1, kinds[place])
                _text(picture, _LABELS + width + 6, top + place * _BAR + 10, rounded(figure, chart.decimals))
    ElementTree.indent(picture)
    path.write_text(ElementTree.tostring(picture, encoding="unicode") + "\n")


def _share(chart: Chart, figure: float, shown: Sequence[float]) -> float:
    """How long the bar of a figure is, as a part of the longest one."""
    if not chart.by_decades:
        return figure / max(shown)
    left = 10 ** math.floor(math.log10(min(shown)) - 0.1)  # where a bar would have no length
    return math.log(figure / left) / math.log(max(shown) / left)


def _picture(height: int) -> ElementTree.Element:
    picture = ElementTree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}", width=str(_WIDTH)
    )
    ElementTree.SubElement(picture, "style").text = _STYLE
    return picture


def _text(picture: ElementTree.Element, x: float, y: float, text: str, kind: str = "figure") -> None:
    element = ElementTree.SubElement(picture, "text", {"x": f"{x:.0f}", "y": f"{y:.0f}", "class": kind})
    element.text = text


def _rectangle(picture: ElementTree.Element, x: float, y: float, width: float, height: float, kind: str) -> None:
    place = {"x": f"{x:.0f}", "y": f"{y:.0f}", "width": f"{width:.1f}", "height": f"{height:.0f}"}
    ElementTree.SubElement(picture, "rect", place | {"class": kind})
