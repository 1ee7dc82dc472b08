"""The job that is measured: it does nothing but note that it ran."""

from __future__ import annotations

from time import monotonic_ns

from benchmarks import place
from benchmarks.board import Board

_moments = Board(place.board()).moments


def noop(number: int) -> int:
    """Note the moment. The result is a number, since some runners do not keep a None."""
    _moments[number] = monotonic_ns()
    return number
