"""Running one job: begin, run, finish. Pure of storage: what follows from a run is collected as its outcome.

Huey's semantics (`huey.api.Huey._execute`), held to them by Huey's own tests; the reading side of the
pipeline is `message.decode`, the writing side the ledger's settle.
"""

from __future__ import annotations

import copy
import datetime as dt
import logging
import random
import time
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from huey import signals as S
from huey.api import PeriodicTask
from huey.api import Task as HueyTask
from huey.exceptions import (
    RETRYING_EXCEPTIONS,
    CancelExecution,
    RateLimitExceeded,
    RetryTask,
    TaskLockedException,
    TaskTimeout,
)
from huey.utils import SKIPPED, Error, normalize_time

from nephew import clock, current
from nephew.backends.contract import ChordMark, Claimed, Never, NewJob, Outcome
from nephew.errors import EncodeError, NephewError, NotBegun, ShutDown, WorkerCrashed
from nephew.job import State
from nephew.logs import job_extra
from nephew.message import check_size, encode, new_job, options_of, task_name

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.execution")

News = tuple[tuple[Any, ...], ...]


class Finished(NamedTuple):
    """A job that has been dealt with: what to settle, and whom to tell once that is done.

    :ivar news: signals in order, each with its task and arguments.
    :ivar hook: value and exception for the post-execute hooks, or None when the function was not reached.
    """

    outcome: Outcome
    task: HueyTask | None = None
    news: News = ()
    hook: tuple[Any, BaseException | None] | None = None
    chord_callback: HueyTask | None = None
    value: Any = None


class Ran(NamedTuple):
    """One run of the function, just ended."""

    value: Any
    error: BaseException | None
    started_at: float
    finished_at: float


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
        return _broken(huey, claimed, task, error)


def _perform(huey: Nephew, claimed: Claimed, task: HueyTask, timestamp: dt.datetime, watch: Watch) -> Finished:
    not_run = begin(huey, claimed, task, timestamp)
    if not_run is not None:
        return not_run
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
        return _not_run(huey, claimed, task, State.CANCELLED, "revoked", S.SIGNAL_REVOKED, forget)
    if task.expires_resolved and task.expires_resolved < timestamp:
        log.info("Task %s expired, not executing.", task, extra=job_extra(claimed_job(claimed)))
        reason = f"expired at {task.expires_resolved}"
        return _not_run(huey, claimed, task, State.EXPIRED, reason, S.SIGNAL_EXPIRED, forget)
    huey._emit(S.SIGNAL_EXECUTING, task)
    if huey._pre_execute:
        try:
            huey._run_pre_execute(task)
        except CancelExecution:
            reason = "cancelled by a pre-execute hook"
            return _not_run(huey, claimed, task, State.CANCELLED, reason, S.SIGNAL_CANCELED, forget)
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


def finish(huey: Nephew, claimed: Claimed, task: HueyTask, ran: Ran) -> Finished:
    """What follows from a run."""
    if ran.error is None:
        try:
            return _succeeded(huey, claimed, task, ran)
        except EncodeError as error:
            task.retries = 0  # running it again would not make the value storable
            ran = ran._replace(error=error)
    assert ran.error is not None
    try:
        return _failed(huey, claimed, task, ran, ran.error)
    except EncodeError as error:  # the function has put something into its arguments that cannot be stored
        task.retries = 0
        error.__cause__ = ran.error
        return _failed(huey, claimed, task, ran, error)


def interrupted(claimed: Claimed, task: HueyTask) -> Finished:
    """The worker must end: the job goes back to its place, uncounted."""
    log.warning(
        "Task %s was interrupted by the shutdown; it goes back to the queue and will run again.",
        task,
        extra=job_extra(claimed_job(claimed)),
    )
    return Finished(given_back(claimed), task, ((S.SIGNAL_INTERRUPTED, task),))


def given_back(claimed: Claimed) -> Outcome:
    """A claim that is given up before its job was begun."""
    return Outcome(claimed.seq, claimed.id, claimed.claim, State.QUEUED)


def parked(claimed: Claimed, reason: str) -> Outcome:
    """A job that cannot be run here now; it is kept with its bytes."""
    return Outcome(claimed.seq, claimed.id, claimed.claim, State.PARKED, reason=reason)


def unreadable(claimed: Claimed, error: NephewError) -> Finished:
    """A job that could not be decoded here; it is parked."""
    log.warning("Job %s is parked: %s", claimed.id, error, extra=job_extra(claimed_job(claimed)))
    return Finished(parked(claimed, f"{type(error).__name__}: {error}"))


def ended_unrun(
    huey: Nephew, claimed: Claimed, task: HueyTask | None, state: State, reason: str, error: Error | None = None
) -> Outcome:
    """A job that ends without having been run (cancelled, expired, stopped by the reaper).

    Its chord member, its pipeline and its unique key end with it.
    """
    result = None if error is None else huey.serializer.serialize(error)
    return Outcome(
        claimed.seq,
        claimed.id,
        claimed.claim,
        state,
        result=result if huey.results else None,
        error=None if error is None else error.metadata["error"],
        reason=reason,
        never=() if task is None else _never(huey, task, result, reason),
        chord_mark=None if task is None else _abort_mark(huey, task, SKIPPED if error is None else error),
        forget=(f"r:{claimed.id}",),
    )


def claimed_job(claimed: Claimed) -> current.Running:
    """A claim as log records name it."""
    return current.Running(claimed.id, claimed.task, claimed.attempts + 1, claimed.queue)


# -- how it ends ------------------------------------------------------------------------------------


def _not_run(
    huey: Nephew,
    claimed: Claimed,
    task: HueyTask,
    state: State,
    reason: str,
    signal: str,
    forget: tuple[str, ...],
) -> Finished:
    outcome = ended_unrun(huey, claimed, task, state, reason)._replace(forget=forget)
    return Finished(outcome, task, ((signal, task),), chord_callback=_chord_callback(task))


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


def _spent(claimed: Claimed, task: HueyTask) -> tuple[str, ...]:
    """The revocations that are over once a job has run: those it ran in spite of, and one that came too late."""
    keys = tuple(claimed.revokes)
    return keys if isinstance(task, PeriodicTask) else (task.revoke_id, *keys)


def _succeeded(huey: Nephew, claimed: Claimed, task: HueyTask, ran: Ran) -> Finished:
    value = ran.value
    news: list[tuple[Any, ...]] = [(S.SIGNAL_COMPLETE, task)]
    result, mark = None, None
    follow_ups: tuple[NewJob, ...] = ()
    if huey.results and not isinstance(task, PeriodicTask) and (value is not None or huey.store_none):
        result = _encode_result(huey, value)
    if task.on_complete is not None:
        follow_ups, told = _follow_up(huey, _extended(task.on_complete, value))
        news += told
    if task.chord_config is not None:
        mark = _mark(huey, task.chord_config, value, result)
    if log.isEnabledFor(logging.INFO):
        duration = ran.finished_at - ran.started_at
        log.info("%s executed in %0.3fs", task, duration, extra=job_extra(claimed_job(claimed)))
    outcome = Outcome(
        claimed.seq,
        claimed.id,
        claimed.claim,
        State.SUCCEEDED,
        True,
        ran.started_at,
        ran.finished_at,
        result,
        follow_ups=follow_ups,
        chord_mark=mark,
        chord_done=claimed.chord,
        forget=_spent(claimed, task),
    )
    callback = None if task.chord_config is None else task.chord_config.callback
    return Finished(outcome, task, tuple(news), (value, None), callback, value)


def _failed(huey: Nephew, claimed: Claimed, task: HueyTask, ran: Ran, error: BaseException) -> Finished:
    word, news, retry_eta = _judge(huey, claimed, task, error)
    final = not task.retries or task.retries < 1  # what a message brings need not be a whole number
    surface = final or (huey.store_intermediate_errors and not isinstance(error, RETRYING_EXCEPTIONS))
    metadata = _described(huey, task, error)
    stored = huey.results and not isinstance(task, PeriodicTask)
    result = _encode_error(huey, metadata) if surface and stored else None
    follow_ups: tuple[NewJob, ...] = ()
    if surface and task.on_error:
        follow_ups, told = _follow_up(huey, _handler(task, error, claimed.attempts + 1))
        news += told
    outcome = Outcome(
        claimed.seq,
        claimed.id,
        claimed.claim,
        State.CANCELLED if final and word == "cancelled" else State.FAILED,
        True,
        ran.started_at,
        ran.finished_at,
        result,
        attempt=word,
        error=metadata["error"],
        traceback=metadata["traceback"],
        follow_ups=follow_ups,
        forget=_spent(claimed, task),
    )
    if final:
        reason = f"{claimed.id}, a step before it, {outcome.state}"
        outcome = outcome._replace(
            never=_never(huey, task, result, reason),
            chord_mark=_abort_mark(huey, task, Error(metadata)),
        )
    else:
        outcome, told = _again(huey, claimed, task, outcome, retry_eta)
        news += told
    return Finished(outcome, task, tuple(news), (None, error), _chord_callback(task) if final else None)


def _broken(huey: Nephew, claimed: Claimed, task: HueyTask, error: Exception) -> Finished:
    """A job whose own end cannot be worked out: failed, and so is what waits for it, as far as that can be told."""
    failed = Error(_described(huey, task, error))
    reason = f"its end could not be worked out: {failed.metadata['error']}"
    try:
        outcome = ended_unrun(huey, claimed, task, State.FAILED, reason, failed)
    except Exception as again:
        log.warning("Nor could what follows job %s be ended: %r", claimed.id, again)
        outcome = ended_unrun(huey, claimed, None, State.FAILED, reason, failed)
    now = time.time()
    outcome = outcome._replace(
        counted=True, started_at=now, finished_at=now, attempt="failed", traceback=failed.metadata["traceback"]
    )
    return Finished(outcome, task, ((S.SIGNAL_ERROR, task, error),), (None, error))


def _judge(
    huey: Nephew, claimed: Claimed, task: HueyTask, error: BaseException
) -> tuple[str, list[tuple[Any, ...]], dt.datetime | None]:
    """What an exception means: the attempt's word, the signals, and when to try again if it says so.

    Sets `task.retries` to what is left, as Huey does.
    """
    extra = job_extra(claimed_job(claimed))
    retry_eta = None
    if isinstance(error, RateLimitExceeded):
        delay = task.retry_delay or error.delay
        if error.retry or task.retries:
            retry_eta = normalize_time(None, delay, huey.utc)
            if error.retry:
                task.retries += 1
        then = f"runs again in {delay:0.1f} s" if retry_eta else "will not run again"
        log.info('Task %s rate-limited on "%s", %s.', task.id, error.key, then, extra=extra)
        return "rate limited", [(S.SIGNAL_RATE_LIMITED, task)], retry_eta
    if isinstance(error, TaskLockedException):
        log.warning("Task %s not run, %s; %s.", task.id, error, _then(task), extra=extra)
        return "locked", [(S.SIGNAL_LOCKED, task)], None
    if isinstance(error, RetryTask):
        task.retries += 1
        if error.eta or error.delay is not None:
            retry_eta = normalize_time(error.eta, error.delay, huey.utc)
        log.info("Task %s raised RetryTask, retrying.", task.id, extra=extra)
        return "retried", [], retry_eta
    if isinstance(error, CancelExecution):
        again = error.retry or (error.retry is None and task.retries)
        task.retries = max(task.retries, 1) if again else 0
        log.warning("Task %s raised CancelExecution; %s.", task.id, _then(task), extra=extra)
        return "cancelled", [(S.SIGNAL_CANCELED, task)], None
    if not options_of(task).retries_after(error):
        task.retries = 0
    if isinstance(error, TaskTimeout):
        log.warning("Task %s timed out after %ss; %s.", task.id, task.timeout, _then(task), extra=extra)
        return "timed out", [(S.SIGNAL_TIMEOUT, task)], None
    log.error(
        "Unhandled exception in task %s (attempt %d); %s.",
        task.id,
        claimed.attempts + 1,
        _then(task),
        exc_info=error,
        extra=extra,
    )
    return "failed", [(S.SIGNAL_ERROR, task, error)], None


def _then(task: HueyTask) -> str:
    if not task.retries or task.retries < 1:
        return "no retry is left"
    delay = f" in about {task.retry_delay:g} s" if task.retry_delay else " at once"
    return f"runs again{delay}, {task.retries} retries left"


def _again(
    huey: Nephew, claimed: Claimed, task: HueyTask, outcome: Outcome, eta: dt.datetime | None
) -> tuple[Outcome, News]:
    """The next attempt: the same job, at the back of the queue or later."""
    options = options_of(task)
    task.retries -= 1
    if eta is None and task.retry_delay:
        most = None if options.retry_max_delay is None else options.retry_max_delay / (1 + options.retry_jitter)
        delay = _capped(float(task.retry_delay), most) * (1 + random.random() * options.retry_jitter)
        eta = huey._get_timestamp() + dt.timedelta(seconds=delay)
        if task.retry_backoff:
            task.retry_delay = _capped(task.retry_delay * task.retry_backoff, options.retry_max_delay)
    if eta is not None:
        task.eta = eta
    told = S.SIGNAL_ENQUEUED if eta is None else S.SIGNAL_SCHEDULED
    outcome = outcome._replace(
        state=State.QUEUED if eta is None else State.RETRYING,
        payload=encode(huey, task),
        eta=None if eta is None else clock.to_epoch(eta, huey.utc),
        chord_done=claimed.chord,  # its values are part of the new message
    )
    return outcome, ((S.SIGNAL_RETRYING, task), (told, task))


def _capped(delay: float, longest: float | None) -> float:
    return delay if longest is None else min(delay, longest)


# -- what follows -----------------------------------------------------------------------------------


def _encode_result(huey: Nephew, value: Any) -> bytes:
    result = bytes(huey.serializer.serialize(value))
    check_size(huey, result, "the result")
    return result


def _described(huey: Nephew, task: HueyTask, error: BaseException) -> dict[str, Any]:
    try:
        return dict(huey.build_error_result(task, error))
    except Exception as trouble:  # the user's class cannot be shown
        shown = f"<{type(error).__qualname__}, whose repr() raised {type(trouble).__name__}>"
        trace = "".join(traceback.format_exception(trouble))
        return {"error": shown, "retries": task.retries, "traceback": trace, "task_id": task.id}


def _encode_error(huey: Nephew, metadata: dict[str, Any]) -> bytes:
    try:
        return bytes(huey.serializer.serialize(Error(metadata)))
    except EncodeError:  # a subclass of the user's put something else into it
        plain = {key: value if isinstance(value, int) else str(value) for key, value in metadata.items()}
        return bytes(huey.serializer.serialize(Error(plain)))


def _follow_up(huey: Nephew, task: HueyTask) -> tuple[tuple[NewJob, ...], News]:
    if task.expires:
        task.resolve_expires(huey.utc)
    return (new_job(huey, task),), ((S.SIGNAL_ENQUEUED, task),)


def _handler(task: HueyTask, error: BaseException, attempt: int) -> HueyTask:
    """The error handler of one attempt; each attempt's is a job of its own."""
    handler = _extended(task.on_error, error)
    if attempt > 1:
        handler.id = f"{handler.id}-{attempt}"
        handler.revoke_id = f"r:{handler.id}"
    return handler


def _extended(task: HueyTask, data: Any) -> HueyTask:
    """A call with what went before it; the original stays as it was, should the job end otherwise after all."""
    following = copy.copy(task)
    following.kwargs = dict(task.kwargs)
    following.extend_data(data)
    return following


def _mark(huey: Nephew, config: Any, value: Any, encoded: bytes | None = None) -> ChordMark:
    data = encoded if encoded is not None else _encode_result(huey, value)
    callback = new_job(huey, config.callback, chord=config.cid)
    return ChordMark(config.cid, config.idx, config.size, data, callback)


def _abort_mark(huey: Nephew, task: HueyTask, value: Any) -> ChordMark | None:
    """The rest of a pipeline will not run, so its chord is told here."""
    config = _chord_config(task)
    if config is None:
        return None
    encoded = _encode_error(huey, value.metadata) if isinstance(value, Error) else None
    return _mark(huey, config, value, encoded)


def _chord_config(task: HueyTask) -> Any:
    """The chord that the last step of this pipeline counts for."""
    step: HueyTask | None = task
    while step is not None:
        if step.chord_config is not None:
            return step.chord_config
        step = step.on_complete
    return None


def _chord_callback(task: HueyTask) -> HueyTask | None:
    config = _chord_config(task)
    return None if config is None else config.callback


def _never(huey: Nephew, task: HueyTask, result: bytes | None, reason: str) -> tuple[Never, ...]:
    """The steps after this one, which will not run."""
    steps = []
    step = task.on_complete
    while step is not None:
        name, queue = task_name(huey, step), options_of(step).queue
        steps.append(Never(step.id, name, queue, encode(huey, step), result, reason))
        step = step.on_complete
    return tuple(steps)


def crash_handler(huey: Nephew, task: HueyTask | None, reason: str, attempt: int) -> tuple[NewJob, ...]:
    """The error handler of a job that ended because it kept killing its worker."""
    if task is None or task.on_error is None:
        return ()
    return _follow_up(huey, _handler(task, WorkerCrashed(reason), attempt))[0]
