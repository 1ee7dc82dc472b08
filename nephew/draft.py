"""A job that is about to be stored, as middleware sees it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from nephew.backends.records import NewJob
from nephew.options import as_tags, tags_from, tags_text


class Draft:
    """A call on its way into the store; what middleware changes of it is stored.

    :ivar id: the job's id.
    :ivar task: the task's stable name.
    :ivar queue: the queue it will wait in.
    :ivar tags: its tags.
    """

    __slots__ = ("call", "id", "queue", "tags", "task")

    def __init__(self, call: Any, job: NewJob) -> None:
        self.call = call
        self.id, self.task, self.queue = job.id, job.task, job.queue
        self.tags = tags_from(job.tags)

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments given by place."""
        return tuple(self.call.args)

    @args.setter
    def args(self, values: tuple[Any, ...]) -> None:
        self.call.args = tuple(values)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments given by name."""
        found: dict[str, Any] = self.call.kwargs
        return found

    @property
    def priority(self) -> float:
        """Higher goes first."""
        return float(self.call.priority or 0)

    @priority.setter
    def priority(self, value: float) -> None:
        self.call.priority = value

    @property
    def eta(self) -> dt.datetime | None:
        """When it is due, as Huey keeps it: naive, in UTC unless the instance says `utc=False`. None: at once."""
        found: dt.datetime | None = self.call.eta
        return found

    @eta.setter
    def eta(self, value: dt.datetime | None) -> None:
        self.call.eta = value

    @property
    def options(self) -> Mapping[str, Any]:
        """The task's options, those of middleware included."""
        found: Mapping[str, Any] = self.call.nephew_options.all
        return found

    def applied_to(self, job: NewJob) -> NewJob:
        """The job with what was changed of it here."""
        return job._replace(queue=self.queue, tags=tags_text(as_tags(self.task, self.tags)))
