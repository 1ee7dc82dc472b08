"""What a running job logged last, kept where it outlives the process: in the worker's presence file.

The store gets log lines a few times a second. What a job logs in the moment in which it takes its process down is
found here by whoever buries the worker.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from nephew.backends.records import LogLines
from nephew.journal import Line
from nephew.presence import ROOM

#: Lines are ended by this, and all of them by a zero.
_END = b"\n"


class LastWords:
    """The newest lines of the job that runs in one slot, as many as there is room for. Any thread may add to them.

    :param keep: writes into the slot.
    """

    def __init__(self, keep: Callable[[bytes], None]) -> None:
        self._keep, self._pid = keep, os.getpid()
        self._lock = threading.RLock()  # a signal handler that logs may come between
        self._speaker: tuple[int, ...] = ()
        self._head = b""
        self._lines: deque[bytes] = deque()
        self._size = 0

    def add(self, seq: int, claim: int, attempt: int, line: Line) -> None:
        """Keep a line that was logged by an attempt of the job of this claim."""
        if os.getpid() != self._pid:
            return  # a fork's child: the file is its parent's
        with self._lock:
            if line.number == 1 or self._speaker != (seq, claim, attempt):
                self._begin(seq, claim, attempt)
            self._append(line)
            self._keep(b"".join([self._head, *self._lines, b"\0"]))

    def _begin(self, *speaker: int) -> None:
        self._speaker, self._head = speaker, _written(*speaker)
        self._lines.clear()
        self._size = len(self._head) + 1

    def _append(self, line: Line) -> None:
        written = _shortened(line, ROOM - len(self._head) - 1)
        self._lines.append(written)
        self._size += len(written)
        while self._size > ROOM:
            self._size -= len(self._lines.popleft())


def _shortened(line: Line, room: int) -> bytes:
    """A line as it is written; one that is too long loses the beginning of its text."""
    written = _written(*line)
    while len(written) > room and line.text:
        line = line._replace(text=line.text[len(line.text) // 2 + 1 :])
        written = _written(*line)
    return written if len(written) <= room else b""


def _written(*values: object) -> bytes:
    return json.dumps(values).encode() + _END


class Words(NamedTuple):
    """What was found: the job's place and claim, the attempt, and its newest lines in order."""

    seq: int
    claim: int
    attempt: int
    lines: tuple[Line, ...]


def found_in(kept: bytes) -> Words | None:
    """What was written into a slot, as far as it is whole: its process may have died in the middle of it."""
    head, *rest = kept.partition(b"\0")[0].split(_END)
    try:
        seq, claim, attempt = map(int, json.loads(head))
    except (ValueError, TypeError):
        return None
    return Words(seq, claim, attempt, tuple(line for each in rest if (line := _read(each)) is not None))


def _read(written: bytes) -> Line | None:
    try:
        number, moment, level, logger, text = json.loads(written)
        return Line(int(number), float(moment), str(level), str(logger), str(text))
    except (ValueError, TypeError):
        return None


def completed(stored: LogLines | None, words: Words, most: int) -> LogLines:
    """The log of an attempt: what the store has of it, and the last words.

    :param most: how many lines are kept.
    """
    first, last = words.lines[0].number, words.lines[-1].number
    known = [] if stored is None else list(enumerate(json.loads(stored.lines), stored.dropped + 1))
    before = [line for number, line in known if number < first]
    kept = [*before, *(line[1:] for line in words.lines)][-most:]
    return LogLines(words.attempt, json.dumps(kept), max(0, last - len(kept)))
