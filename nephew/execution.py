"""Running one job: begin, run, finish. Pure of storage: what follows from a run is collected as its outcome.

The reading side of the pipeline is `message.decode`, the writing side the ledger's settle.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import TYPE_CHECKING, Any, Protocol

from huey import signals as S
from huey.api import Task as HueyTask
from huey.exceptions import CancelExecution

from nephew import current
from nephew.backends.contract import Claimed
from nephew.endings import Finished, Ran, broken, claimed_job, finish, given_back, not_run
from nephew.errors import NotBegun, ShutDown
from nephew.job import State
from nephew.logs import job_extra

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.execution")


class Watch(Protocol):
    """Who wants to know that a job's function is being run here."""

    def began(self, claimed: Claimed) -> None:
        """The function is about to be called."""

    def ended(self) -> None:
        """The function has returned or raised."""

    def report(self, fraction: float, message: str | None) -> None:
        """The function says how far it is."""


def perform(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime, watch: Watch) -> Finished:
    """begin → run → finish: all that happens to a job between its claim and its settle.

    Whatever else goes wrong on the way (a key function that raises, say) fails this job and not its worker.

    :raises ShutDown: when the worker must end now; the job is to be given back (`interrupted`).
    """
    try:
        return _perform(huey, claimed, task, timestamp, watch)
    except NotBegun as error:
        log.warning("Job %s could not begin (%s); it goes back to the queue.", claimed.id, error)
        return Finished(given_back(claimed), task)
    except Exception as error:
        log.exception("Job %s could not be brought to its end; it is failed.", claimed.id)
        return broken(huey, claimed, task, error)


def _perform(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime, watch: Watch) -> Finished:
    ended = begin(huey, claimed, task, timestamp)
    if ended is not None:
        return ended
    running = current.Running(claimed.id, claimed.task, claimed.attempts + 1, claimed.queue, watch.report)
    running.entered = not getattr(getattr(type(task), "nephew_function", None), "nephew_guard", False)
    watch.began(claimed)
    try:
        ran = run(huey, task, running)
    finally:
        watch.ended()
    return finish(huey, claimed, task, ran)


def begin(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime) -> Finished | None:
    """Decide whether the function may be run at all; None: it may."""
    revoked, forget = _revoked(huey, claimed, timestamp) if claimed.revokes else (False, ())
    if revoked:
        log.warning("Task %s was revoked, not executing", task, extra=job_extra(claimed_job(claimed)))
        return not_run(huey, claimed, task, State.CANCELLED, "revoked", S.SIGNAL_REVOKED, forget)
    if task.expires_resolved and task.expires_resolved < timestamp:
        log.info("Task %s expired, not executing.", task, extra=job_extra(claimed_job(claimed)))
        reason = f"expired at {task.expires_resolved}"
        return not_run(huey, claimed, task, State.EXPIRED, reason, S.SIGNAL_EXPIRED, forget)
    huey._emit(S.SIGNAL_EXECUTING, task)
    if huey._pre_execute:
        try:
            huey._run_pre_execute(task)
        except CancelExecution:
            reason = "cancelled by a pre-execute hook"
            return not_run(huey, claimed, task, State.CANCELLED, reason, S.SIGNAL_CANCELED, forget)
    return None


def run(huey: Nephew, task: HueyTask, running: current.Running) -> Ran:
    """Run the function, whatever it does; the only place where its exceptions are caught.

    :raises ShutDown: when the worker has to end now and the job goes back.
    """
    token = current.running.set(running)
    started_at = time.time()
    start = time.monotonic()
    if task.timeout:
        task._deadline = start + task.timeout
    value: Any = None
    caught: BaseException | None = None
    try:
        huey._tasks_in_flight.add(task)
        try:
            if task.timeout:
                with huey._timeout_context(task):
                    value = task.execute()
            else:
                value = task.execute()
        finally:
            huey._tasks_in_flight.discard(task)
    except (ShutDown, NotBegun):
        raise
    except KeyboardInterrupt as error:
        if huey.interrupts():
            raise ShutDown from error
        caught = error
    except BaseException as error:  # sys.exit() in a job ends the job, not the worker
        caught = error
    finally:
        current.running.reset(token)
    return Ran(value, caught, started_at, started_at + (time.monotonic() - start))


def _revoked(huey: Nephew, claimed: Claimed, timestamp: dt.datetime) -> tuple[bool, tuple[str, ...]]:
    """Whether a revocation holds, and which revocations have had their effect."""
    forget = []
    for key, data in claimed.revokes.items():
        revoked, restore = huey._check_revoked(data, timestamp, False)
        if restore:
            forget.append(key)
        if revoked:
            return True, tuple(forget)
    return False, tuple(forget)
