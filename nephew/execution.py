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
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar, cast

from huey import signals as S
from huey.api import Task as HueyTask
from huey.exceptions import CancelExecution

from nephew import current, failpoints, transactional
from nephew.backends.records import Claimed, Transaction
from nephew.endings import Finished, Ran, broken, finish, given_back, not_run
from nephew.errors import JobCancelled, NephewError, NotBegun, ShutDown
from nephew.job import State
from nephew.logs import claim_extra
from nephew.message import options_of
from nephew.middleware import Run, Timeout, around_runs
from nephew.options import tags_from
from nephew.redaction import hiding
from nephew.shield import my_shield
from nephew.tuples import maker

if TYPE_CHECKING:
    from nephew.instance import Nephew

T = TypeVar("T")

log = logging.getLogger("huey.nephew.execution")

_ran = maker(Ran)

#: Seconds until a job is tried again that the store did not let begin.
PAUSE = 1.0


class Watch(current.Watch, transactional.Holder, Protocol):
    """Who looks after a job while its function is being run here.

    :ivar progress: how far the job has said it is.
    """

    progress: tuple[float, str | None] | None

    def began(self, claimed: Claimed, job: current.Running, started_at: float, since: float) -> None:
        """The function is about to be called, at this time of the store's; the same in monotonic seconds."""

    def ended(self, seconds: float) -> None:
        """The function has returned or raised, after so long."""

    def label(self) -> str:
        """Where its jobs are run, for their records."""


def perform(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime | None, watch: Watch) -> Finished:
    """begin → run → finish: all that happens to a job between its claim and its settle.

    `timestamp` is the time by which it may have expired; None: the store's.

    Whatever else goes wrong on the way (a key function that raises, say) fails this job and not its worker.

    :raises ShutDown: when the worker must end now; the job is to be given back (`interrupted`).
    """
    if not options_of(task).redact:
        return _brought_to_an_end(huey, claimed, task, timestamp, watch)
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
        return _seen_by(watch, broken(huey, claimed, task, cast("Exception", error)))


def _seen_by(watch: Watch, finished: Finished) -> Finished:
    """An end that did not come from a run, with where it came."""
    outcome = finished.outcome._replace(worker=watch.label(), progress=watch.progress)
    return finished._replace(outcome=outcome)


def tell(huey: Nephew, finished: Finished, enqueued: Sequence[str]) -> None:
    """Announce an end that stands, whatever its hooks and receivers raise."""
    try:
        with hiding(finished.task):
            ending_children(huey.announce, finished, enqueued)
    except ShutDown:
        raise
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and huey.interrupts():
            raise
        log.exception("The end of job %s stands, but not everybody was told of it.", finished.outcome.id)


def _perform(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime | None, watch: Watch) -> Finished:
    ended = begin(huey, claimed, task, timestamp)
    if ended is not None:
        return _seen_by(watch, ended)
    if options_of(task).transactional:
        return transactional.perform(huey, claimed, task, watch, lambda *given: _attempt(huey, claimed, watch, *given))
    return finish(huey, claimed, task, _attempt(huey, claimed, watch, task))


def begin(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime | None) -> Finished | None:
    """Decide whether the function may be run at all; None: it may."""
    if claimed.revokes or task.expires_resolved or claimed.cancelling is not None:
        unwanted = _unwanted(huey, claimed, task, timestamp or huey._get_timestamp())
        if unwanted is not None:
            return unwanted
    if not huey._pre_execute and not huey.listens(S.SIGNAL_EXECUTING):
        return None
    try:
        ending_children(_announce, huey, task)
    except CancelExecution:
        reason = "cancelled by a pre-execute hook"
        _, forget = _revoked(huey, claimed, timestamp or huey._get_timestamp())
        return not_run(huey, claimed, task, State.CANCELLED, reason, S.SIGNAL_CANCELED, forget)
    return None


def _announce(huey: Nephew, task: HueyTask) -> None:
    """Tell those who listen that a job begins, and those who may keep it from that."""
    huey._emit(S.SIGNAL_EXECUTING, task)
    if huey._pre_execute:
        huey._run_pre_execute(task)


def _unwanted(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime) -> Finished | None:
    """The end of a job that was revoked or cancelled, or has expired."""
    revoked, forget = _revoked(huey, claimed, timestamp)
    if revoked:
        log.warning("Task %s was revoked, not executing", task, extra=claim_extra(claimed))
        return not_run(huey, claimed, task, State.CANCELLED, "revoked", S.SIGNAL_REVOKED, forget)
    if claimed.cancelling is not None:
        log.info("Task %s was cancelled, not executing.", task, extra=claim_extra(claimed))
        return not_run(huey, claimed, task, State.CANCELLED, claimed.cancelling, S.SIGNAL_CANCELED, forget)
    if task.expires_resolved and task.expires_resolved < timestamp:
        log.info("Task %s expired, not executing.", task, extra=claim_extra(claimed))
        reason = f"expired at {task.expires_resolved}"
        return not_run(huey, claimed, task, State.EXPIRED, reason, S.SIGNAL_EXPIRED, forget)
    return None


def _attempt(
    huey: Nephew, claimed: Claimed, watch: Watch, task: HueyTask, transaction: Transaction | None = None
) -> Ran:
    job = running_job(claimed, task, watch)
    job.log_lines, job.transaction = huey.settings.log_lines, transaction
    started_at, since = watch.worker.backend.now(), time.monotonic()
    watch.began(claimed, job, started_at, since)
    try:
        if failpoints.armed:
            failpoints.reach("before-run")
        value, caught = run(huey, task, job)
        if failpoints.armed:
            failpoints.reach("after-run")
    finally:
        seconds = time.monotonic() - since
        watch.ended(seconds)
    return _ran((job, value, _meant(job, caught), started_at, started_at + seconds, watch.label(), watch.progress))


def running_job(claimed: Claimed, task: HueyTask, watch: Watch) -> current.Running:
    """A claimed job as its function sees it."""
    tags = () if claimed.tags is None else tags_from(claimed.tags)
    job = current.Running(claimed.id, claimed.task, claimed.attempts + 1, claimed.queue, watch, task, tags)
    job.entered = not getattr(task, "nephew_guarded", False)  # a task class of one's own does not say
    return job


def run(huey: Nephew, task: HueyTask, job: current.Running) -> tuple[Any, BaseException | None]:
    """Run the function, whatever it does: what it returned, or raised; the only place where that is caught.

    :raises ShutDown: when the worker has to end now and the job goes back.
    """
    token = current.running.set(job)
    if task.timeout:
        task._deadline = time.monotonic() + task.timeout
    huey._tasks_in_flight.add(task)
    try:
        return ending_children(my_shield().expose, job, _chain_of(task)), None
    except (ShutDown, NotBegun):
        raise
    except BaseException as error:  # sys.exit() in a job ends the job, not the worker
        _heed_interrupt(huey, error)
        return None, error
    finally:
        huey._tasks_in_flight.discard(task)
        if job.stopped is not None:
            _let_go(job)
        current.running.reset(token)


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


def ending_children(run: Callable[..., T], *arguments: Any) -> T:
    """Call code of the user's; a child that it forked, and that comes back from it, ends there and then.

    It would go on as a second worker with its parent's identity; the job is the parent's to end.
    """
    forks = _forks
    try:
        value = run(*arguments)
    except BaseException as error:
        if forks != _forks:
            _end_child(error)
        raise
    if forks != _forks:
        _end_child(None)
    return value


#: How many forks lie between this process and the first one: counted, since to ask for the process id is a system call.
_forks = 0


def _count_fork() -> None:
    global _forks
    _forks += 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_count_fork)


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
