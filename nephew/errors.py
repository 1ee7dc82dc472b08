"""Every error that Nephew raises. The docstring says what is wrong and what happens next."""

from __future__ import annotations

from huey.exceptions import HueyException, TaskLockedException


class NephewError(HueyException):
    """Something that Nephew was asked for cannot be done; the message says what to do instead."""


class ConfigError(NephewError):
    """An option, a URL or an environment variable is unusable; nothing was started."""


class NameTaken(ConfigError, ValueError):
    """Two tasks, or two schedules, have one name; nothing was started."""


class EncodeError(NephewError):
    """A value cannot be stored as it is; nothing was written."""


class DecodeError(NephewError):
    """Stored bytes cannot be read back; they are kept where they are."""


class UnknownTask(NephewError):
    """A stored job names a task that this process has not registered; the job is parked."""


class UnfitArguments(NephewError):
    """A stored job has arguments that its task's function does not take here; the job is parked."""


class BackendError(NephewError):
    """The place where jobs are kept could not be reached or refused a write; the step may be repeated."""


class Refused(BackendError):
    """The store is there and does not take this value; doing it again will not help."""


class UnknownWorker(NephewError):
    """The store does not know this worker any more: it was taken for dead, and its jobs are others'."""


class Unanswered(BackendError):
    """The answer to a step that cannot be repeated was lost; it may have been done."""


class NotBegun(BackendError):
    """The store could not be asked for what the job needs before it begins (its lock); it goes back, uncounted."""


class SchemaError(NephewError):
    """The tables are missing or of another version than this Nephew; run `nephew migrate`."""


class JobNotFound(NephewError):
    """No job with that id is kept here."""


class JobEnded(NephewError):
    """The job has no value to return because it ended without one.

    :ivar state: the state it ended in (`cancelled`, `expired`, `parked`).
    """

    def __init__(self, job_id: str, state: str, reason: str | None = None) -> None:
        self.job_id, self.state, self.reason = job_id, state, reason
        because = f" ({reason})" if reason else ""
        super().__init__(f"job {job_id} has no result: it is {state}{because}")


class EventsLost(NephewError):
    """Events that somebody wanted to go on behind are not kept any longer.

    :ivar after: the id behind which they were.
    :ivar first: the id of the first event that is kept behind them; None: there is none yet.
    """

    def __init__(self, after: str, first: str | None) -> None:
        self.after, self.first = after, first
        kept = f"the first that is kept is {first}" if first else "none is kept"
        super().__init__(
            f"events after {after} are not kept any longer, {kept}; follow with lossy=True to go on without them, "
            "and set keep_events higher to have more of them kept"
        )


class LockNotAcquired(NephewError, TaskLockedException):
    """Somebody else holds the lock, and waiting for it took too long; nothing was changed."""


class LockLost(NephewError):
    """The lock expired or was broken while it was held; what it protected may run elsewhere."""


class WorkerCrashed(NephewError):
    """The job's worker died while it was running, as often as it may; the job is failed and not run again."""


class JobCancelled(BaseException):
    """Raised inside a running job that somebody has cancelled; let it through, the job ends as cancelled."""


class ShutDown(BaseException):
    """Raised inside a running job when its worker must end now; the job goes back to the queue."""


class RemoteError(Exception):
    """An exception of a class that is not rebuilt here; it looks like the original.

    :ivar class_name: qualified name of the original's class.
    :ivar traceback: the original's traceback as text, or None.
    """

    def __init__(self, class_name: str, text: str, representation: str, traceback: str | None = None) -> None:
        super().__init__(text)
        self.class_name, self.text = class_name, text
        self.representation, self.traceback = representation, traceback

    def __repr__(self) -> str:
        return self.representation

    def __str__(self) -> str:
        return self.text

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.class_name, self.text, self.representation, self.traceback)


class Undelivered(NephewError):
    """Nobody took an alert; unless that is `final`, it is tried again.

    :ivar final: the server refuses it: trying again would not help.
    """

    def __init__(self, message: str, final: bool = False) -> None:
        super().__init__(message)
        self.final = final
