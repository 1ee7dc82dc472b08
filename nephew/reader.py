"""Stored rows as records for people and programs: decoded as far as they can be, and without what is hidden."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from huey.utils import Error

from nephew import clock, death
from nephew.backends.records import AttemptRow, LogLines, Row
from nephew.job import Attempt, AttemptLog, Job, LogLine, Progress, Relation, State
from nephew.options import tags_from
from nephew.redaction import concealed, places_of

if TYPE_CHECKING:
    from nephew.instance import Nephew


#: The outcomes of attempts whose worker ended.
_ENDED_BY_DEATH = ("crashed", "lost")


class Family(NamedTuple):
    """What a job follows from, and what follows from it."""

    parents: Sequence[str] = ()
    children: Sequence[str] = ()


ALONE = Family()


class Reader:
    """Reads the rows of one instance."""

    def __init__(self, huey: Nephew) -> None:
        self._huey = huey

    def job(self, row: Row, stored: Sequence[AttemptRow] = (), family: Family = ALONE) -> Job:
        """A job's record."""
        args, kwargs, expires = self._call(row)
        attempts = tuple(_attempt(entry) for entry in stored) + _last(row)
        result = self.value(row.result)
        failed = isinstance(result, Error)
        traceback = next((a.traceback for a in reversed(attempts) if a.traceback), None)
        return Job(
            id=row.id,
            task=row.task,
            queue=row.queue,
            state=State(row.state),
            priority=row.priority,
            args=args,
            kwargs=kwargs,
            attempts=attempts,
            crashes=row.crashes,
            enqueued_at=clock.aware(row.enqueued_at),
            eta=clock.aware(row.eta),
            expires=clock.aware(expires),
            started_at=clock.aware(row.started_at),
            finished_at=clock.aware(row.finished_at),
            worker=row.worker_label,
            result=None if failed else result,
            error=row.error or (result.metadata.get("error") if failed else None),
            traceback=traceback,
            progress=None if row.progress is None else Progress(row.progress, row.progress_message),
            reason=row.reason,
            unique_key=row.unique_key,
            tags=tags_from(row.tags),
            fingerprint=row.fingerprint,
            relation=None if row.relation is None else Relation(row.relation),
            parents=tuple(family.parents),
            children=tuple(family.children),
        )

    def _call(self, row: Row) -> tuple[tuple[Any, ...] | None, dict[str, Any] | None, float | None]:
        """A call's arguments as they may be shown, and when it expires."""
        expires = None if row.expires_at == math.inf else row.expires_at
        try:
            message = self._huey.serializer.deserialize(row.payload)
            args, kwargs = concealed(self._places(row, message), tuple(message.args), dict(message.kwargs))
            resolved = clock.to_epoch(message.expires_resolved, self._huey.utc)
        except Exception:  # not a job: it is parked, and shown without arguments; or left out of a list
            return None, None, expires
        return args, kwargs, resolved if row.expires_at is None else expires

    def _places(self, row: Row, message: Any) -> str | None:
        """Which arguments are hidden: as it was stored, else as the task says by now."""
        known = self._huey._registry._registry.get(row.task)
        if row.redacted is not None or known is None:
            return row.redacted
        return places_of(known, message.args, message.kwargs)

    def value(self, stored: bytes | None) -> Any:
        """A stored result: a value, or Huey's `Error`."""
        if not stored:  # there is none, or it was left out of a list
            return None
        try:
            return self._huey.serializer.deserialize(stored)
        except Exception as error:  # another serializer's
            return f"<unreadable result: {error}>"


def attempt_log(log: LogLines) -> AttemptLog:
    """What one attempt logged."""
    lines = [LogLine(clock.at(moment), *words) for moment, *words in json.loads(log.lines)]
    return AttemptLog(log.attempt, tuple(lines), log.dropped)


def _attempt(row: AttemptRow) -> Attempt:
    return Attempt(
        row.number,
        clock.aware(row.started_at),
        clock.aware(row.finished_at),
        row.worker,
        row.outcome,
        row.error,
        row.traceback,
        death.told_in(row.error) if row.outcome in _ENDED_BY_DEATH else None,
    )


def _last(row: Row) -> tuple[Attempt, ...]:
    """The attempt that the job's own row tells: the one that succeeded, or that is running."""
    if row.started_at is None or row.state not in (State.SUCCEEDED, State.RUNNING):
        return ()
    running = row.state == State.RUNNING
    return (
        Attempt(
            row.attempts + int(running),
            clock.aware(row.started_at),
            clock.aware(row.finished_at),
            row.worker_label,
            str(State.RUNNING) if running else str(State.SUCCEEDED),
        ),
    )
