"""The job that is running in this context, for the functions of tasks, for middleware and for log records."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from nephew.backends.records import Transaction
from nephew.errors import JobCancelled, NephewError
from nephew.journal import Journal, Line, said_by
from nephew.redaction import hidden


class Watch(Protocol):
    """Who looks after a running job."""

    def report(self, fraction: float, message: str | None) -> None:
        """The function says how far it is."""

    def noted(self, job: Running, line: Line) -> None:
        """The function of this job has logged a line."""

    def begin_once(self) -> bool:
        """Write down that the job is begun and must not be begun again; False when its claim was lost."""

    def end_at(self, deadline: float) -> None:
        """The function is to be stopped at this time (monotonic seconds)."""

    def asked_to_stop(self) -> str | None:
        """Why somebody wants the job to end; None: nobody does."""


class Running:
    """A running job, as its own function sees it through `current_job()`, and middleware by its first argument.

    :ivar id: the job's id.
    :ivar task: the task's stable name.
    :ivar attempt: which run this is, counted from 1.
    :ivar queue: the queue it was taken from.
    :ivar tags: its tags.
    """

    __slots__ = (
        "_watch",
        "attempt",
        "calling",
        "cancelling",
        "entered",
        "holds",
        "id",
        "log",
        "log_lines",
        "queue",
        "secrets",
        "stopped",
        "tags",
        "task",
        "told",
        "transaction",
    )

    def __init__(
        self,
        id: str,
        task: str,
        attempt: int,
        queue: str,
        watch: Watch | None = None,
        call: Any = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        self.id, self.task, self.attempt, self.queue, self.tags = id, task, attempt, queue, tags
        self._watch = watch
        #: Huey's task object.
        self.calling = call
        #: False while only what guards the function (its lock) is being run.
        self.entered = True
        #: Why somebody wants it to end.
        self.cancelling: str | None = None
        #: What its code was struck with, and when it was last told that it is cancelled (monotonic seconds).
        self.stopped: BaseException | None = None
        self.told = -math.inf
        #: The locks that its code has taken and not released yet.
        self.holds: list[Any] = []
        #: The transaction that it runs in, if it is transactional.
        self.transaction: Transaction | None = None
        #: What must not be seen of its arguments.
        self.secrets = hidden.get()
        #: What its function has logged, and the most lines that are kept of it.
        self.log: Journal | None = None
        self.log_lines = 0

    @property
    def args(self) -> tuple[Any, ...]:
        """The arguments given by place; middleware may set others."""
        return tuple(self.calling.args)

    @args.setter
    def args(self, values: tuple[Any, ...]) -> None:
        self.calling.args = tuple(values)

    @property
    def kwargs(self) -> dict[str, Any]:
        """The arguments given by name; middleware may change them."""
        found: dict[str, Any] = self.calling.kwargs
        return found

    @property
    def options(self) -> Mapping[str, Any]:
        """The task's options, those of middleware included."""
        found: Mapping[str, Any] = self.calling.nephew_options.all
        return found

    @property
    def connection(self) -> Any:
        """The driver's connection with the transaction of a transactional job, for what it writes.

        :raises NephewError: when the job is not transactional.
        """
        if self.transaction is None:
            raise NephewError(
                f"expected {self.task} to be transactional; decorate it with @huey.task(transactional=True)"
            )
        return self.transaction.connection

    @property
    def timeout(self) -> float | None:
        """Seconds that an attempt may take; None: as long as it likes."""
        found: float | None = self.calling.timeout
        return found

    def call(self) -> Any:
        """Run the function with the arguments as they are now; what a chain of middleware ends in."""
        return self.calling.execute()

    def begin_once(self) -> bool:
        """Write down that the job is begun and must not be begun again; False when its claim was lost."""
        return self._watch is None or self._watch.begin_once()

    def end_at(self, deadline: float) -> None:
        """Have the code stopped at this time, in monotonic seconds."""
        if self._watch is not None:
            self._watch.end_at(deadline)

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the job is: `fraction` from 0.0 to 1.0, and a short text for people.

        Cheap to call often: it is written at most a few times a second, and the last word always.

        :raises NephewError: when `fraction` is not a number from 0 to 1.
        """
        if not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
            raise NephewError(f"expected a progress from 0.0 to 1.0, got {fraction!r}")
        if self._watch is not None:
            shown = message if self.secrets is None or message is None else self.secrets.hide(message)
            self._watch.report(float(fraction), shown)

    def note(self, record: logging.LogRecord) -> None:
        """Keep what the function logs."""
        if not self.log_lines:
            return
        if self.log is None:
            self.log = Journal(self.attempt, self.log_lines)
        line = self.log.add(record.created, record.levelname, record.name, said_by(record))
        if self._watch is not None:
            self._watch.noted(self, line)

    def raise_if_cancelled(self) -> None:
        """End here if somebody has cancelled the job; for code that nothing else can interrupt. Cheap.

        :raises JobCancelled: to be let through.
        """
        if self.cancelling is None and self._watch is not None:
            self.cancelling = self._watch.asked_to_stop()
        if self.cancelling is not None:
            raise JobCancelled(self.cancelling)


running: ContextVar[Running | None] = ContextVar("nephew_running", default=None)


def current_job() -> Running:
    """The job whose function is running here.

    :raises NephewError: when called outside of a job.
    """
    job = running.get()
    if job is None:
        raise NephewError("current_job() was called outside of a running job; there is none here")
    return job
