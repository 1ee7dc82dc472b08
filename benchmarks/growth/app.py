"""The application whose jobs are drained: imported by its consumers, which the environment tells where all is."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import nephew
from benchmarks.board import Board

_URL = "GROWTH_URL"
_BOARD = "GROWTH_BOARD"
_QUEUES = "GROWTH_QUEUES"


def environment(url: str, board: Path, queues: int) -> dict[str, str]:
    """The variables that tell a consumer where it is."""
    return {_URL: url, _BOARD: str(board), _QUEUES: str(queues)}


def declare(huey: nephew.Nephew, board: Board, queues: int) -> list[Any]:
    """The no-op task, once for each queue."""
    moments = board.moments

    def noop(number: int, data: bytes = b"") -> int:
        moments[number] = time.monotonic_ns()
        return number

    return [huey.task(name=f"noop_{queue}", queue=f"queue_{queue}")(noop) for queue in range(queues)]


if _URL in os.environ:
    huey = nephew.Nephew("growth", os.environ[_URL])
    declare(huey, Board(Path(os.environ[_BOARD])), int(os.environ[_QUEUES]))
