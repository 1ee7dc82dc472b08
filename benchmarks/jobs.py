"""The jobs that are measured: one does nothing but note that it ran, one sleeps."""

from __future__ import annotations

import asyncio
import os
import time
from time import monotonic_ns

from benchmarks import place
from benchmarks.board import Board

_board = Board(place.board())
_moments = _board.moments


def noop(number: int) -> int:
    """Note the moment. The result is a number, since some runners do not keep a None."""
    _moments[number] = monotonic_ns()
    return number


async def anoop(number: int) -> int:
    """`noop` for runners that await their jobs."""
    _moments[number] = monotonic_ns()
    return number


def nap(number: int, seconds: float) -> int:
    """Note the begin, sleep, note the end: what waits for a disk or a network."""
    _board.begin(number, os.getpid())
    time.sleep(seconds)
    _moments[number] = monotonic_ns()
    return number


async def anap(number: int, seconds: float) -> int:
    """`nap` for runners that await their jobs."""
    _board.begin(number, os.getpid())
    await asyncio.sleep(seconds)
    _moments[number] = monotonic_ns()
    return number
