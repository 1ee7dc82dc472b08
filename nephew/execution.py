"""Running one job: begin, run, finish. Pure of storage: what follows from a run is collected as its outcome.

The reading side of the pipeline is `message.decode`, the writing side the ledger's settle.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import sys
import time
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

from huey import signals as S
from huey.api import Task as HueyTask
from huey.exceptions import CancelExecution

from nephew import current, failpoints, transactional
from nephew.backends.records import Claimed, Transaction
from nephew.endings import Finished, Ran, broken, finish, given_back, not_run, with_log
from nephew.errors import JobCancelled, NephewError, NotBegun, ShutDown
from nephew.job import State
from nephew.logs import claim_extra
from nephew.message import options_of
from nephew.middleware import Run, Timeout, around_runs
from nephew.options import tags_from
from nephew.redaction import hiding
from nephew.shield import my_shield

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.execution")

#: Seconds until a job is tried again that the store did not let begin.
PAUSE = 1.0


class Watch(current.Watch, transactional.Holder, Protocol):
    """Who looks after a job while its function is being run here."""

    def began(self, claimed: Claimed, running: current.Running) -> None:
        """The function is about to be called."""

    def ended(self) -> None:
        """The function has returned or raised."""


def perform(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime | None, watch: Watch) -> Finished:
    """begin → run → finish: all that happens to a job between its claim and its settle.

    `timestamp` is the time by which it may have expired; None: the store's.

    Whatever else goes wrong on the way (a key function that raises, say) fails this job and not its worker.

    :raises ShutDown: when the worker must end now; the job is to be given back (`interrupted`).
    """
    with hiding(task):
        return _brought_to_an_end(huey, claimed, task, timestamp, watch)


def _brought_to_an_end(
    huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime | None, watch: Watch
) -> Finished:
    try:
        return _perform(huey, claimed, task, timestamp, watch)
    except ShutDown:
        raise
    except NotBegun as error:
        log.warning("Job %s could not begin (%s); it is tried again in %g s.", claimed.id, error, PAUSE)
        later = given_back(claimed)._replace(state=State.SCHEDULED, eta=huey.backend.now() + PAUSE)
        return Finished(later, task)
    except BaseException as error:  # sys.exit() in a hook as well
        _heed_interrupt(huey, error)
        log.exception("Job %s could not be brought to its end; it is failed.", claimed.id)
        return broken(huey, claimed, task, cast("Exception", error))


def tell(huey: Nephew, finished: Finished, enqueued: Sequence[str]) -> None:
    """Announce an end that stands, whatever its hooks and receivers raise."""
    try:
        with hiding(finished.task), ChildrenEnd():
            huey.announce(finished, enqueued)
    except ShutDown:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and huey.interrupts():
            raise
        log.exception("The end of job %s stands, but not everybody was told of it.", finished.outcome.id)


def _perform(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime | None, watch: Watch) -> Finished:
    with ChildrenEnd():
        ended = begin(huey, claimed, task, timestamp)
    if ended is not None:
        return ended
    if options_of(task).transactional:
        return transactional.perform(huey, claimed, task, watch, lambda *given: _attempt(huey, claimed, watch, *given))
    ran, running = _attempt(huey, claimed, watch, task)
    return with_log(finish(huey, claimed, task, ran), running.log)


def _attempt(
    huey: Nephew, claimed: Claimed, watch: Watch, task: HueyTask, transaction: Transaction | None = None
) -> tuple[Ran, current.Running]:
    running = running_job(claimed, task, watch)
    running.log_lines, running.transaction = huey.settings.log_lines, transaction
    watch.began(claimed, running)
    try:
        if failpoints.armed:
            failpoints.reach("before-run")
        ran = run(huey, task, running)
        if failpoints.armed:
            failpoints.reach("after-run")
        return ran, running
    finally:
        watch.ended()


def running_job(claimed: Claimed, task: HueyTask, watch: Watch) -> current.Running:
    """A claimed job as its function sees it."""
    tags = tags_from(claimed.tags)
    running = current.Running(claimed.id, claimed.task, claimed.attempts + 1, claimed.queue, watch, task, tags)
    running.entered = not getattr(getattr(type(task), "nephew_function", None), "nephew_guard", False)
    return running


def begin(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime | None) -> Finished | None:
    """Decide whether the function may be run at all; None: it may."""
    if claimed.revokes or task.expires_resolved:
        timestamp = timestamp or huey._get_timestamp()
    revoked, forget = _revoked(huey, claimed, timestamp) if claimed.revokes else (False, ())
    if revoked:
        log.warning("Task %s was revoked, not executing", task, extra=claim_extra(claimed))
        return not_run(huey, claimed, task, State.CANCELLED, "revoked", S.SIGNAL_REVOKED, forget)
    if claimed.cancelling is not None:
        log.info("Task %s was cancelled, not executing.", task, extra=claim_extra(claimed))
        return not_run(huey, claimed, task, State.CANCELLED, claimed.cancelling, S.SIGNAL_CANCELED, forget)
    if timestamp is not None and task.expires_resolved and task.expires_resolved < timestamp:
        log.info("Task %s expired, not executing.", task, extra=claim_extra(claimed))
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
    started_at = huey.backend.now()
    start = time.monotonic()
    if task.timeout:
        task._deadline = start + task.timeout
    value: Any = None
    caught: BaseException | None = None
    try:
        huey._tasks_in_flight.add(task)
        try:
            with ChildrenEnd():
                value = my_shield().expose(running, _chain_of(task))
        finally:
            huey._tasks_in_flight.discard(task)
    except (ShutDown, NotBegun):
        raise
    except BaseException as error:  # sys.exit() in a job ends the job, not the worker
        _heed_interrupt(huey, error)
        caught = error
    finally:
        if running.stopped is not None:
            _let_go(running)
        current.running.reset(token)
    return Ran(value, _meant(running, caught), started_at, started_at + (time.monotonic() - start))


def _let_go(running: current.Running) -> None:
    """Release what a job still holds: it may have been stopped before its code could see to that."""
    for lock in reversed(running.holds.copy()):
        try:
            lock.release()
        except NephewError as error:
            log.warning("Job %s was stopped and its lock %s not released: %s", running.id, lock.name, error)


def _chain_of(task: HueyTask) -> Run:
    """The task's function with the middleware around it; a task class of one's own has none but its timeout."""
    chain: Run | None = getattr(task, "nephew_run_in_time" if task.timeout else "nephew_run", None)
    return chain or around_runs([Timeout()], {"timeout": task.timeout}, current.Running.call)


def _meant(running: current.Running, caught: BaseException | None) -> BaseException | None:
    """What an attempt ended with: what it was struck with, though a thread is struck with no more than the class.

    A job that was told to stop is cancelled, also where its code did not let that through.
    """
    struck = running.stopped
    if isinstance(struck, JobCancelled) or (struck is not None and type(caught) is type(struck)):
        return struck.with_traceback(caught.__traceback__ if caught is not None else None)
    return caught


def _revoked(huey: Nephew, claimed: Claimed, timestamp: dt.datetime | None) -> tuple[bool, tuple[str, ...]]:
    """Whether a revocation holds, and which revocations have had their effect."""
    forget = []
    for key, data in claimed.revokes.items():
        revoked, restore = huey._check_revoked(data, timestamp, False)
        if restore:
            forget.append(key)
        if revoked:
            return True, tuple(forget)
    return False, tuple(forget)


def _heed_interrupt(huey: Nephew, error: BaseException) -> None:
    """:raises ShutDown: when a KeyboardInterrupt means that the worker must end."""
    if isinstance(error, KeyboardInterrupt) and huey.interrupts():
        raise ShutDown from error


class ChildrenEnd:
    """Around a user's function: a child that it forked, and that comes back from it, ends there and then.

    It would go on as a second worker with its parent's identity; the job is the parent's to end.
    """

    __slots__ = ("_pid",)

    def __enter__(self) -> None:
        self._pid = os.getpid()

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if os.getpid() != self._pid:
            _end_child(error)


def _end_child(error: BaseException | None) -> NoReturn:
    """As the interpreter ends, but past everything that is the parent's to tidy up."""
    code = 0 if error is None else 1
    try:
        if isinstance(error, SystemExit):
            code = error.code if isinstance(error.code, int) else int(error.code is not None)
            if error.code is not None and not isinstance(error.code, int):
                print(error.code, file=sys.stderr)
        elif error is not None:
            traceback.print_exception(error)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code & 0xFF)
