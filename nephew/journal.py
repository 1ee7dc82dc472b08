"""What the function of a job logs, kept for the job's record: the last lines of one attempt."""

from __future__ import annotations

import json
import logging
from collections import deque
from typing import NamedTuple

from nephew.backends.records import LogLines
from nephew.codec.exceptions import text

#: A line of more characters loses its middle.
LONGEST = 2000

_formatter = logging.Formatter()


class Line(NamedTuple):
    """A line of an attempt: the how manyth it is, counted from 1, and when it was logged, in epoch seconds."""

    number: int
    moment: float
    level: str
    logger: str
    text: str


class Journal:
    """The lines of one attempt. Any thread may write and read it.

    :param attempt: the attempt's number.
    :param most: how many lines are kept, the last ones.
    :ivar dirty: whether there are lines that `lines` was not asked for yet.
    """

    __slots__ = ("_attempt", "_lines", "_noted", "dirty")

    def __init__(self, attempt: int, most: int) -> None:
        self._attempt = attempt
        self._lines: deque[tuple[float, str, str, str]] = deque(maxlen=most)
        self._noted = 0
        self.dirty = False

    def add(self, moment: float, level: str, logger: str, text: str) -> Line:
        """Write a line, which is returned as it is kept.

        :param moment: in epoch seconds.
        """
        text = _cut(text)
        self._lines.append((moment, level, logger, text))
        self._noted += 1
        self.dirty = True
        return Line(self._noted, moment, level, logger, text)

    def lines(self) -> LogLines:
        """What is kept by now, for the store."""
        self.dirty = False
        kept = self._lines.copy()  # one step for the interpreter, so that no other thread can disturb it
        return LogLines(self._attempt, json.dumps(list(kept)), max(0, self._noted - len(kept)))


def message_of(record: logging.LogRecord) -> str:
    """What a record says."""
    try:
        return record.getMessage()
    except Exception:  # arguments that do not fit; whoever prints the record complains of it
        return f"{text(str, record.msg)} {text(repr, record.args)}"


def trace_of(record: logging.LogRecord) -> str:
    """The traceback of a record that has one."""
    try:
        return _formatter.formatException(record.exc_info)  # type: ignore[arg-type]  # whatever was given
    except Exception:  # something else was given; whoever prints the record complains of it
        return text(repr, record.exc_info)


def said_by(record: logging.LogRecord) -> str:
    """What a record says, with its traceback."""
    parts = [message_of(record)]
    if record.exc_info and record.exc_info[0] is not None:
        parts.append(trace_of(record))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


def _cut(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]} … {text[-half:]}"
