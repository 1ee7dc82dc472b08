"""Charts: bars by runner, as SVG, in colours that can be read on light and on dark pages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from benchmarks.figures import rounded
from benchmarks.findings import Findings

#: For each series, Nephew's bars and the others'; then all text.
_OURS = ("#1f7fc4", "#74b9ea")
_THEIRS = ("#79828d", "#b0b7bf")
_TEXT = "#7d8590"

_WIDTH, _LABELS, _BARS = 860, 170, 590
_TOP, _BAR, _ROW, _BOTTOM = 66, 13, 34, 6
_FONT_PIXELS = 12


@dataclass(frozen=True, slots=True)
class Chart:
    """One picture.

    :ivar file: its name, beside the others.
    :ivar series: what is shown of each runner: the title and the measure's key.
    """

    file: str
    title: str
    series: tuple[tuple[str, str], tuple[str, str]]
    decimals: int = 0
    highest_first: bool = True


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
        "Milliseconds from the enqueue with an idle worker, median",
        (("to the start", "start_p50"), ("to the result", "result_p50")),
        decimals=2,
        highest_first=False,
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
    highest = max(found.median(name, key) for name in names for _, key in chart.series if found.all(name, key))
    picture = _picture(_TOP + _ROW * len(names) + _BOTTOM)
    _text(picture, 0, 18, chart.title, "title")
    for place, (title, _) in enumerate(chart.series):
        _rectangle(picture, _LABELS + 200 * place, 34, 12, 12, _OURS[place])
        _text(picture, _LABELS + 200 * place + 18, 44, title)
    for row, name in enumerate(names):
        top = _TOP + _ROW * row
        _text(picture, _LABELS - 10, top + _BAR + 4, found.title(name), "label")
        colours = _OURS if name.startswith("nephew") else _THEIRS
        for place, (_, key) in enumerate(chart.series):
            if found.all(name, key):
                figure = found.median(name, key)
                width = max(1, _BARS * figure / highest)
                _rectangle(picture, _LABELS, top + place * _BAR, width, _BAR - 1, colours[place])
                _text(picture, _LABELS + width + 6, top + place * _BAR + 10, rounded(figure, chart.decimals))
    ElementTree.indent(picture)
    path.write_text(ElementTree.tostring(picture, encoding="unicode") + "\n")


def _picture(height: int) -> ElementTree.Element:
    picture = ElementTree.Element(
        "svg", xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {_WIDTH} {height}", width=str(_WIDTH)
    )
    style = ElementTree.SubElement(picture, "style")
    style.text = (
        f"text {{ font: {_FONT_PIXELS}px system-ui, sans-serif; fill: {_TEXT} }} "
        ".label { text-anchor: end } .title { font-size: 16px; font-weight: 600 }"
    )
    return picture


def _text(picture: ElementTree.Element, x: float, y: float, text: str, kind: str = "figure") -> None:
    element = ElementTree.SubElement(picture, "text", {"x": f"{x:.0f}", "y": f"{y:.0f}", "class": kind})
    element.text = text


def _rectangle(picture: ElementTree.Element, x: float, y: float, width: float, height: float, colour: str) -> None:
    place = {"x": f"{x:.0f}", "y": f"{y:.0f}", "width": f"{width:.1f}", "height": f"{height:.0f}"}
    ElementTree.SubElement(picture, "rect", place | {"fill": colour})
