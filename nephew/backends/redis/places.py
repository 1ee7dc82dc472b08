"""Which jobs there are, in the order of their places: the indexes side by side, read a little at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, TypeVar

from nephew.backends.redis.connection import Connected
from nephew.job import ENDED, State

#: How many are read at once.
CHUNK = 500
#: Behind the last place.
END = 2**53
#: In these states a job may be held; those that are not are found in lines, or by their times.
UNFINISHED = frozenset(State) - ENDED
LATER = ("scheduled", "retrying")

Place = tuple[int, str]
T = TypeVar("T")


class Places(Connected):
    """The indexes of jobs. One that is moved meanwhile may be met twice, or where it is no longer."""

    def latest_first(self, states: Sequence[str], queue: str | None = None) -> Iterator[Place]:
        """Places and ids of jobs in these states (none: in any) and of this queue (if it waits there)."""
        return heapq.merge(*self._indexes(states, queue, None), reverse=True)

    def behind(self, place: int, states: Sequence[str], queue: str | None = None) -> Iterator[Place]:
        """The same behind a place, in ascending order."""
        return heapq.merge(*self._indexes(states, queue, place))

    def _indexes(self, states: Sequence[str], queue: str | None, after: int | None) -> Iterator[Iterator[Place]]:
        wanted = frozenset(states or State)
        for state in sorted(wanted & {*ENDED, "parked"}):
            yield self._filed(self.key("parked" if state == "parked" else "ended", _more(state)), after)
        if "queued" in wanted:
            for name, priority, _ in self.run("lines", queue or ""):
                yield self._line(name, priority, after)
        if wanted & UNFINISHED:
            yield self._elsewhere([state for state in LATER if state in wanted], after)

    def _filed(self, index: str, after: int | None) -> Iterator[Place]:
        """An index by place."""
        command, last, end = ("ZREVRANGEBYSCORE", END, "-inf") if after is None else ("ZRANGEBYSCORE", after, "+inf")
        while found := self.call(command, index, f"({last}", end, "WITHSCORES", "LIMIT", 0, CHUNK):
            for job_id, place in _pairs(found):
                last = int(place)
                yield last, job_id.decode()

    def _line(self, queue: bytes, priority: bytes, after: int | None) -> Iterator[Place]:
        """Those who wait in one queue at one priority."""
        down, place = after is None, END if after is None else after + 1
        while found := self.run("line", queue, priority, place, CHUNK, "down" if down else "up"):
            for ticket in reversed(found) if down else found:
                last, job_id = waiter(ticket)
                yield last, job_id
                place = last if down else last + 1

    def _elsewhere(self, later: Sequence[str], after: int | None) -> Iterator[Place]:
        """Those whose places no index knows: they are held, or wait for their time. All of them are looked at."""
        found: list[Place] = []
        for ids in steps(self._ids_elsewhere(later), CHUNK):
            found += zip(self.run("places", *ids), (job_id.decode() for job_id in ids), strict=True)
        if after is None:
            yield from sorted(found, reverse=True)
        else:
            yield from sorted(place for place in found if place[0] > after)

    def _ids_elsewhere(self, later: Sequence[str]) -> Iterator[bytes]:
        yield from self.run("held")
        for state in later:
            at = b"0"
            while True:
                at, found = self.call("ZSCAN", self.key(state), at, "COUNT", CHUNK)
                yield from found[::2]
                if at == b"0":
                    break

    def in_turn(self, queue: str | None = None) -> Iterator[Place]:
        """Those who wait for a worker, the next one first."""
        lines = sorted(self.run("lines", queue or ""), key=lambda line: float(line[1]))
        for _, equals in groupby(lines, key=lambda line: float(line[1])):
            yield from heapq.merge(*[self._line(name, priority, -1) for name, priority, _ in equals])

    def by_time(self, states: Iterable[str]) -> Iterator[tuple[float, str]]:
        """Times and ids of those who wait for their time, the soonest first."""
        return heapq.merge(*[self._due(state) for state in states])

    def _due(self, state: str) -> Iterator[tuple[float, str]]:
        last, same = b"-inf", 0
        while found := self.call(
            "ZRANGEBYSCORE", self.key(state), last, "+inf", "WITHSCORES", "LIMIT", same, CHUNK
        ):  # from the last time on, without those of it that were met
            for job_id, eta in _pairs(found):
                last, same = eta, same + 1 if eta == last else 1
                yield float(eta), job_id.decode()


def waiter(ticket: bytes) -> Place:
    """Who waits in a line; see `lua/lib/job.lua`."""
    return int.from_bytes(ticket[:8]), ticket[8:].decode()


def steps(values: Iterable[T], size: int) -> Iterator[list[T]]:
    """The values, a few at a time."""
    rest = iter(values)
    while some := list(islice(rest, size)):
        yield some


def _pairs(found: Sequence[Any]) -> Iterator[tuple[bytes, bytes]]:
    return zip(found[::2], found[1::2], strict=True)


def _more(state: str) -> str | None:
    return None if state == "parked" else state
