"""Which jobs are meant: by state, task, queue, tag, error and age; how many they are, and their ids in small steps."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, TypedDict, Unpack

from nephew.backends.records import Filter
from nephew.errors import ConfigError
from nephew.fingerprint import LENGTH
from nephew.job import WAITING, State

if TYPE_CHECKING:
    from nephew.instance import Nephew

#: How many ids are read at once.
STEP = 200

_FINGERPRINT = re.compile(rf"[0-9a-f]{{{LENGTH}}}")
_FAILED = (str(State.FAILED), str(State.CANCELLED))

Age = float | dt.timedelta


class Wanted(TypedDict, total=False):
    """What jobs are chosen by; what is left out or None does not matter."""

    state: str | State | Sequence[str] | None
    task: str | None
    queue: str | None
    tag: str | None
    error: str | None
    older_than: Age | None
    newer_than: Age | None


class Selection:
    """The jobs that are meant.

    :param state: one state, or several.
    :param task: the task's stored name, or its last part if only one task is called so.
    :param queue: the queue's name.
    :param tag: a tag that they have.
    :param error: a fingerprint, or a text in their error, to the letter; without `state` among those that failed or
        were cancelled.
    :param older_than: enqueued longer ago than this (seconds).
    :param newer_than: enqueued less long ago than this (seconds).
    :raises ConfigError: for a state that there is none of, an empty text, and an age that is no number.
    """

    def __init__(self, huey: Nephew, **wanted: Unpack[Wanted]) -> None:
        self._history = huey.history
        states, error = _states(wanted.get("state")), wanted.get("error")
        if error == "":
            raise ConfigError("expected a fingerprint or a text of the error, got ''")
        is_fingerprint = error is not None and _FINGERPRINT.fullmatch(error) is not None
        self.filter = Filter(
            states=states or (_FAILED if error is not None else ()),
            task=_task_name(huey, wanted.get("task")),
            queue=wanted.get("queue"),
            tag=wanted.get("tag"),
            error=None if is_fingerprint else error,
            fingerprint=error if is_fingerprint else None,
            before=self._ago(wanted.get("older_than")),
            after=self._ago(wanted.get("newer_than")),
        )

    def _ago(self, age: Age | None) -> float | None:
        if age is None:
            return None
        seconds = age.total_seconds() if isinstance(age, dt.timedelta) else age
        if isinstance(seconds, bool) or not isinstance(seconds, int | float) or math.isnan(seconds):
            raise ConfigError(f"expected an age in seconds, got {age!r}")
        return self._history.now() - seconds

    def count(self) -> int:
        """How many there are."""
        return self._history.count(self.filter)

    def ids(self) -> Iterator[list[str]]:
        """Their ids, a small step at a time, the oldest first; each job once, whatever becomes of it meanwhile."""
        latest = self._history.rows(limit=1, longest=0)
        last, began = latest[0].seq if latest else 0, self._history.now()
        there = self._walk(self.filter, 0, last)
        if self.filter.states and WAITING.isdisjoint(self.filter.states):
            yield from there
            return
        # What is due or tried again meanwhile gets a place behind all that were there.
        moved = self.filter._replace(before=began if self.filter.before is None else min(began, self.filter.before))
        met: set[str] = set()
        for ids in chain(there, self._walk(moved, last)):
            found = [job_id for job_id in ids if job_id not in met]
            met.update(found)
            if found:
                yield found

    def _walk(self, wanted: Filter, place: int, last: float = math.inf) -> Iterator[list[str]]:
        """The ids of jobs behind one place, up to another."""
        while place < last and (found := self._history.ids(wanted, place, STEP)):
            ids = [job_id for seq, job_id in found if seq <= last]
            if ids:
                yield ids
            place = found[-1][0]


def _task_name(huey: Nephew, task: str | None) -> str | None:
    if task is None or task in huey._registry._registry:
        return task
    same = [name for name in huey._registry.tasks() if name.rpartition(".")[2] == task]
    return same[0] if len(same) == 1 else task


def _states(state: str | State | Sequence[str] | None) -> tuple[str, ...]:
    if state is None:
        return ()
    wanted = [state] if isinstance(state, str) else list(state)
    if not wanted:
        raise ConfigError("expected a state or several, got none of them; leave it out to mean all")
    for name in wanted:
        if name not in list(State):
            raise ConfigError(f"expected a state of {', '.join(State)}; got {name!r}")
    return tuple(str(name) for name in wanted)
