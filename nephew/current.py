"""The job that is running in this context, for the functions of tasks and for log records."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from nephew.errors import NephewError


class Running:
    """The running job, as its own function sees it through `current_job()`.

    :ivar id: the job's id.
    :ivar task: the task's stable name.
    :ivar attempt: which run this is, counted from 1.
    :ivar queue: the queue it was taken from.
    """

    __slots__ = ("_report", "attempt", "entered", "id", "queue", "task")

    def __init__(
        self,
        id: str,
        task: str,
        attempt: int,
        queue: str,
        report: Callable[[float, str | None], None] | None = None,
    ) -> None:
        self.id, self.task, self.attempt, self.queue = id, task, attempt, queue
        self._report = report
        #: False while only what guards the function (its lock) is being run.
        self.entered = True

    def progress(self, fraction: float, message: str | None = None) -> None:
        """Say how far the job is: `fraction` from 0.0 to 1.0, and a short text for people.

        Cheap to call often: it is written at most a few times a second, and the last word always.

        :raises NephewError: when `fraction` is not a number from 0 to 1.
        """
        if not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
            raise NephewError(f"expected a progress from 0.0 to 1.0, got {fraction!r}")
        if self._report is not None:
            self._report(float(fraction), message)


running: ContextVar[Running | None] = ContextVar("nephew_running", default=None)


def current_job() -> Running:
    """The job whose function is running here.

    :raises NephewError: when called outside of a job.
    """
    job = running.get()
    if job is None:
        raise NephewError("current_job() was called outside of a running job; there is none here")
    return job
