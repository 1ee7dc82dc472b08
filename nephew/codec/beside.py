"""Long bytes beside the JSON of the value that they are in, as they are.

As base64 inside of it they would take a third more room, and many times as long.
"""

from __future__ import annotations

from typing import Any

#: Bytes as long as this stand beside the JSON; for shorter ones it would not pay.
LONG = 4096


class MetLong(Exception):
    """A value has bytes that should stand beside its JSON."""


def refuse(value: bytes) -> Any:
    """:raises MetLong: always; most values have none, and are written without looking for them first."""
    raise MetLong


class Beside:
    """Collects the long bytes of one value."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._end = 0

    def add(self, value: bytes) -> tuple[int, int]:
        """Where these bytes will stand: their place, and their size."""
        start, self._end = self._end, self._end + len(value)
        self._pieces.append(value)
        return start, len(value)

    def behind(self, *begin: bytes) -> bytes:
        """All of them behind how the value's bytes begin."""
        pieces, self._pieces = self._pieces, []  # what wrote them may be in memory for a while
        return b"".join((*begin, *pieces))


class Found:
    """The bytes that were found behind the JSON of one value, which begins `data` and ends at `end`."""

    def __init__(self, data: bytes, end: int) -> None:
        self._data, self._end, self._left = data, end, len(data) - end

    def piece(self, start: int, size: int) -> bytes:
        """The bytes of one place.

        :raises ValueError: when there are not so many, or more are asked for in all: few bytes would else become many.
        """
        if type(start) is not int or type(size) is not int or start < 0 or not 0 <= size <= self._left:
            raise ValueError(f"{size!r} bytes at {start!r}, with {self._left} left")
        self._left -= size
        found = self._data[self._end + start : self._end + start + size]
        if len(found) < size:
            raise ValueError(f"{size} bytes at {start} of {len(self._data) - self._end}")
        return found

    def refuse_more(self) -> None:
        """:raises ValueError: when there are bytes that no value has asked for."""
        if self._left:
            raise ValueError(f"{self._left} bytes more than the value has")

    def close(self) -> None:
        """Let go of them: what read them may be in memory for a while."""
        self._data, self._left = b"", 0
