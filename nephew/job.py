"""What is known of a job: its states and their allowed transitions, its record, its id."""

from __future__ import annotations

import datetime as dt
import os
import re
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from nephew.death import Death


class State(StrEnum):
    """Where a job is in its life; `docs/lifecycle.md` says who moves it on."""

    SCHEDULED = "scheduled"  #: waits for its time
    QUEUED = "queued"  #: waits for a worker, or is claimed by one and not begun
    RUNNING = "running"  #: its function is being run
    RETRYING = "retrying"  #: failed, waits to be run again
    SUCCEEDED = "succeeded"  #: its function returned
    FAILED = "failed"  #: its function raised and no retry is left, or it killed its worker too often
    CANCELLED = "cancelled"  #: revoked or cancelled before its end, or its predecessor failed
    EXPIRED = "expired"  #: not begun before its `expires`
    PARKED = "parked"  #: kept, not runnable now: an unknown task, unfit arguments or undecodable bytes


WAITING = frozenset({State.SCHEDULED, State.QUEUED, State.RETRYING})
ENDED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED})

#: How a job that was taken may end at once, without having been shown as running.
_SETTLED = frozenset({State.RETRYING, State.SUCCEEDED, State.FAILED, State.CANCELLED, State.EXPIRED})

#: From each state, those that one write of the store may bring next; `docs/lifecycle.md` says by whom. A worker
#: takes only queued jobs, `execute` by hand whatever waits. An ended job lives again when somebody retries it.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.SCHEDULED: _SETTLED | {State.QUEUED, State.PARKED},
    State.QUEUED: _SETTLED | {State.SCHEDULED, State.RUNNING, State.PARKED},
    State.RUNNING: _SETTLED - {State.EXPIRED} | {State.QUEUED, State.PARKED},
    State.RETRYING: _SETTLED - {State.RETRYING} | {State.QUEUED, State.SCHEDULED, State.PARKED},
    State.SUCCEEDED: frozenset({State.QUEUED, State.SCHEDULED}),
    State.FAILED: frozenset({State.QUEUED, State.SCHEDULED}),
    State.CANCELLED: frozenset({State.QUEUED, State.SCHEDULED}),
    State.EXPIRED: frozenset({State.QUEUED, State.SCHEDULED}),
    State.PARKED: _SETTLED | {State.QUEUED, State.SCHEDULED},
}


class Relation(StrEnum):
    """How a job follows from its parent."""

    CALL = "call"  #: the function of a running job has called it
    CHAIN = "chain"  #: the step after that job in a pipeline
    CHORD = "chord"  #: called with what the members of a chord returned, which are its parents
    ERROR = "error"  #: the error handler of a job that failed
    SCHEDULE = "schedule"  #: a tick of the periodic task of that name
    RETRY = "retry"  #: the same call once more, by `huey.rerun`


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a running job is: a fraction from 0.0 to 1.0 and the text it gave."""

    fraction: float
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run that reached the function, or a crash of the worker in the middle of one.

    :ivar outcome: `succeeded`, `failed`, `timed out`, `cancelled`, `crashed`, `lost` or `running`.
    :ivar worker: where it ran: host, process id and thread.
    :ivar death: how its worker ended, if that is what ended it.
    """

    number: int
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    worker: str | None
    outcome: str
    error: str | None = None
    traceback: str | None = None
    death: Death | None = None

    @property
    def duration(self) -> float | None:
        """Seconds from start to end, or None while it runs."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line that the function of a job logged."""

    time: dt.datetime
    level: str
    logger: str
    text: str


@dataclass(frozen=True, slots=True)
class AttemptLog:
    """The last lines that one attempt logged.

    :ivar attempt: the attempt's number.
    :ivar dropped: how many lines came before them and were not kept.
    """

    attempt: int
    lines: tuple[LogLine, ...]
    dropped: int


@dataclass(frozen=True, slots=True)
class Job:
    """The record of one call of a task, as it was when it was read. Times are aware, in UTC.

    A list leaves out what would make it slow: attempts, parents and children are empty there, and arguments or a
    result that take more bytes than the setting `result_shown` are None.

    :ivar args: its arguments, those that its task hides replaced; None: they cannot be read.
    :ivar attempts: every run that reached the function, oldest first.
    :ivar crashes: how often its worker died while it was running.
    :ivar reason: why it is parked, cancelled or expired.
    :ivar result: what the function returned, once it has; None before.
    :ivar tags: the words by which it can be found.
    :ivar fingerprint: what failures of the same kind have in common; None: it has not failed.
    :ivar relation: how it follows from its parents: one of `Relation`; None: from nothing.
    :ivar parents: what it follows from: the ids of jobs, or the name of a schedule.
    :ivar children: the ids of the jobs that follow from it.
    """

    id: str
    task: str
    queue: str
    state: State
    priority: float
    args: tuple[Any, ...] | None
    kwargs: dict[str, Any] | None
    attempts: tuple[Attempt, ...]
    crashes: int
    enqueued_at: dt.datetime | None
    eta: dt.datetime | None
    expires: dt.datetime | None
    started_at: dt.datetime | None
    finished_at: dt.datetime | None
    worker: str | None
    result: Any
    error: str | None
    traceback: str | None
    progress: Progress | None
    reason: str | None
    unique_key: str | None
    tags: tuple[str, ...] = ()
    fingerprint: str | None = None
    relation: Relation | None = None
    parents: tuple[str, ...] = ()
    children: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether it has reached an end; a parked job has not."""
        return self.state in ENDED


def new_id() -> str:
    """A new job id: a version 7 UUID (RFC 9562), so that ids made later sort later and indexes stay dense."""
    try:
        random = _randoms.pop()
    except IndexError:
        random, *others = _random_parts(AT_ONCE)
        _randoms.extend(others)
    return f"{_now()}-{random}"


def new_ids(count: int) -> list[str]:
    """As many new job ids, in the order in which they sort: an index takes them one behind the other."""
    now = _now()
    return [f"{now}-{random}" for random in sorted(_random_parts(count))]


#: The random parts of ids to come. The system is asked for many at once.
_randoms: list[str] = []
#: How many that are.
AT_ONCE = 64
#: The parts of a UUID that are random, and the digit before the third, of whose bits two say which variant it is.
_parts = re.compile("(...)(.)(...)(.{12}).").findall
_VARIANTS = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))


def _now() -> str:
    """The milliseconds that an id begins with."""
    moment = f"{time.time_ns() // 1_000_000:012x}"
    return f"{moment[:8]}-{moment[8:]}"


def _random_parts(count: int) -> list[str]:
    digits = os.urandom(10 * count).hex()
    return [f"7{a}-{_VARIANTS[digit]}{b}-{c}" for a, digit, b, c in _parts(digits)]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_randoms.clear)  # they are the parent's, who will use them
