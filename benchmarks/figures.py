"""Figures as text: a median with its range."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def rounded(figure: float, decimals: int) -> str:
    """A number for people: 12,300 and not 12345.6, since no more digits than three mean anything."""
    if decimals == 0 and figure >= 1000:
        digits = len(str(int(figure)))
        figure = round(figure, 3 - digits)
    return f"{figure:,.{decimals}f}"


def with_range(figures: Sequence[float], decimals: int) -> str:
    """`median (lowest – highest)`, or the only one."""
    median = rounded(statistics.median(figures), decimals)
    if len(figures) == 1:
        return median
    return f"{median} ({rounded(min(figures), decimals)} – {rounded(max(figures), decimals)})"
