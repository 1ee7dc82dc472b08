"""A job's call once more, as a new job with ids of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from huey.api import Task as HueyTask
from huey.exceptions import HueyException

from nephew.backends.records import Row
from nephew.errors import DecodeError, JobNotFound, NephewError, UnknownTask

if TYPE_CHECKING:
    from nephew.instance import Nephew


def copy_of(huey: Nephew, job_id: str) -> HueyTask:
    """A new call with the arguments of a job, its pipeline and its error handlers.

    All else is as if it were called now: the task's own retries and expiry, at once, and for no chord.

    :raises JobNotFound: when there is no such job.
    :raises UnknownTask: when its task is not registered here.
    :raises DecodeError: when its bytes are not a call.
    :raises NephewError: when it is called with a chord's values, which are no part of the call.
    """
    row = huey.history.row(job_id)
    if row is None:
        raise JobNotFound(f"there is no job {job_id} here")
    if row.chord is not None:
        raise NephewError(
            f"job {job_id} is the callback of a chord, whose values are no part of its own call; "
            "huey.retry puts it back into the queue"
        )
    copied = _anew(_call_of(huey, row))
    copied.priority = row.priority or copied.priority
    return copied


def _call_of(huey: Nephew, row: Row) -> HueyTask:
    try:
        return huey.deserialize_task(row.payload)
    except NephewError:
        raise
    except HueyException as error:
        raise UnknownTask(str(error)) from error
    except Exception as error:
        raise DecodeError(f"the bytes of job {row.id} are not a call: {error!r}") from error


def _anew(task: HueyTask | None) -> Any:
    if task is None:
        return None
    return type(task)(
        task.args,
        task.kwargs,
        priority=task.priority,
        timeout=task.timeout,
        on_complete=_anew(task.on_complete),
        on_error=_anew(task.on_error),
    )
