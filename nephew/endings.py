"""How a job ends, as values: what each end settles, and whom to tell once it stands.

Huey's semantics (`huey.api.Huey._execute`), held to them by Huey's own tests.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NamedTuple

from huey import signals as S
from huey.api import PeriodicTask
from huey.api import Task as HueyTask
from huey.exceptions import (
    RETRYING_EXCEPTIONS,
)
from huey.utils import SKIPPED, Error

from nephew import fingerprint
from nephew.arguments import is_refusal, misfit
from nephew.backends.records import Claimed, LogLines, NewJob, Outcome, Settled
from nephew.current import Running
from nephew.errors import EncodeError, JobCancelled, NephewError, UnfitArguments, WorkerCrashed
from nephew.followups import (
    KEPT_OUT,
    News,
    abort_mark,
    chord_callback,
    chord_mark,
    described,
    encode_error,
    encode_result,
    error_handler,
    extended,
    follow_up,
    never_steps,
)
from nephew.job import Relation, State
from nephew.logs import claim_extra
from nephew.retries import again, judge
from nephew.tuples import maker

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.endings")

#: To find a member of an enumeration is a look-up of its own.
_SUCCEEDED = State.SUCCEEDED
_outcome = maker(Outcome)


class Finished(NamedTuple):
    """A job that has been dealt with: what to settle, and whom to tell once that is done.

    :ivar news: signals in order, each with its task and arguments.
    :ivar hook: value and exception for the post-execute hooks, or None when the function was not reached.
    :ivar reply: what the store answered, if it was settled in the job's own transaction.
    """

    outcome: Outcome
    task: HueyTask | None = None
    news: News = ()
    hook: tuple[Any, BaseException | None] | None = None
    chord_callback: HueyTask | None = None
    value: Any = None
    reply: Settled | None = None


class Ran(NamedTuple):
    """One run of the function, just ended.

    :ivar job: the job as the function saw it.
    :ivar worker: where it was run, for the record.
    :ivar progress: how far it said it was.
    """

    job: Running
    value: Any
    error: BaseException | None
    started_at: float
    finished_at: float
    worker: str
    progress: tuple[float, str | None] | None

    @property
    def log(self) -> LogLines | None:
        """What the function has logged, if it has."""
        return None if self.job.log is None else self.job.log.lines()


_finished = maker(Finished)


def finish(huey: Nephew, claimed: Claimed, task: HueyTask, ran: Ran) -> Finished:
    """What follows from a run."""
    if ran.error is None:
        try:
            return _succeeded(huey, claimed, task, ran)
        except EncodeError as error:
            task.retries = 0  # running it again would not make the value storable
            ran = ran._replace(error=error)
    assert ran.error is not None
    if not huey.immediate and is_refusal(task, ran.error) and (reason := misfit(task)):
        return _of(unrunnable(claimed, UnfitArguments(reason)), ran)  # in immediate mode there is no other consumer
    if isinstance(ran.error, JobCancelled):
        return _cancelled(huey, claimed, task, ran, ran.error)
    try:
        return _failed(huey, claimed, task, ran, ran.error)
    except EncodeError as error:  # the function has put something into its arguments that cannot be stored
        task.retries = 0
        error.__cause__ = ran.error
        return _failed(huey, claimed, task, ran, error)


def _of(finished: Finished, ran: Ran) -> Finished:
    """An end that knows where it was run, and what the function said meanwhile."""
    told = finished.outcome._replace(worker=ran.worker, progress=ran.progress, log=ran.log)
    return finished._replace(outcome=told)


def interrupted(claimed: Claimed, task: HueyTask) -> Finished:
    """The worker must end: the job goes back to its place, uncounted."""
    log.warning(
        "Task %s was interrupted by the shutdown; it goes back to the queue and will run again.",
        task,
        extra=claim_extra(claimed),
    )
    return Finished(given_back(claimed), task, ((S.SIGNAL_INTERRUPTED, task),))


def lost(huey: Nephew, claimed: Claimed, task: HueyTask | None, cause: str) -> Finished:
    """A job that may be begun only once, was begun, and whose end is not known: failed, and recorded as lost."""
    reason = f"it was begun, {cause}, and it may be begun only once: whether it was done is not known"
    log.error("Job %s (%s) is lost: %s.", claimed.id, claimed.task, reason)
    error = Error({"error": reason, "retries": 0, "traceback": reason, "task_id": claimed.id})
    outcome = ended_unrun(huey, claimed, task, State.FAILED, reason, error)
    outcome = outcome._replace(
        counted=True,
        attempt="lost",
        follow_ups=crash_handler(huey, task, reason, 1),
        fingerprint=fingerprint.of_crash(claimed.task, cause),
    )
    return Finished(outcome, task, ((S.SIGNAL_ERROR, task, WorkerCrashed(reason)),) if task else ())


def given_back(claimed: Claimed) -> Outcome:
    """A claim that is given up before its job was begun."""
    return Outcome(claimed.seq, claimed.id, claimed.claim, State.QUEUED, task=claimed.task)


def parked(claimed: Claimed, reason: str) -> Outcome:
    """A job that cannot be run here now; it is kept with its bytes."""
    return Outcome(claimed.seq, claimed.id, claimed.claim, State.PARKED, reason=reason, task=claimed.task)


def unrunnable(claimed: Claimed, error: NephewError) -> Finished:
    """A job that cannot be decoded here, or not be called; it is parked."""
    log.warning("Job %s is parked: %s", claimed.id, error, extra=claim_extra(claimed))
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
        never=() if task is None else never_steps(huey, task, result, reason),
        chord_mark=None if task is None else abort_mark(huey, task, SKIPPED if error is None else error),
        forget=(f"r:{claimed.id}",),
        task=claimed.task,
    )


def refused(finished: Finished, error: Exception) -> tuple[Finished, ...]:
    """What may stand for an end that the store does not take: failed, with less and less hanging on it."""
    outcome = finished.outcome._replace(
        state=State.FAILED,
        result=None,
        attempt="failed",
        error=ascii(error),
        traceback=None,
        reason="its end could not be stored",
        payload=None,
        eta=None,
        progress=None,
        follow_ups=(),
    )
    failed = finished._replace(outcome=outcome, news=(), hook=None)
    bare = outcome._replace(never=(), chord_mark=None, worker=None, started_at=None, finished_at=None)
    return failed, failed._replace(outcome=bare)


def overruled(huey: Nephew, finished: Finished, reason: str) -> Finished:
    """The end of a job that had come to another one when it was told to stop; nothing follows from it."""
    task = finished.task
    outcome = finished.outcome._replace(
        state=State.CANCELLED,
        result=None,
        attempt="cancelled",
        error=None,
        traceback=None,
        fingerprint=None,
        reason=reason,
        follow_ups=(),
        never=() if task is None else never_steps(huey, task, None, reason),
        chord_mark=None if task is None else abort_mark(huey, task, SKIPPED),
        chord_done=None,
    )
    news: News = () if task is None else ((S.SIGNAL_CANCELED, task),)
    callback = None if task is None else chord_callback(task)
    return Finished(outcome, task, news, (None, JobCancelled(reason)), callback)


def not_run(
    huey: Nephew,
    claimed: Claimed,
    task: HueyTask,
    state: State,
    reason: str,
    signal: str,
    forget: tuple[str, ...],
) -> Finished:
    """A job whose function was not reached."""
    outcome = ended_unrun(huey, claimed, task, state, reason)._replace(forget=forget)
    return Finished(outcome, task, ((signal, task),), chord_callback=chord_callback(task))


def broken(huey: Nephew, claimed: Claimed, task: HueyTask, error: Exception) -> Finished:
    """A job whose own end cannot be worked out: failed, and so is what waits for it, as far as that can be told."""
    failed = Error(described(huey, task, error))
    reason = f"its end could not be worked out: {failed.metadata['error']}"
    try:
        outcome = ended_unrun(huey, claimed, task, State.FAILED, reason, failed)
    except Exception as again:
        log.warning("Nor could what follows job %s be ended: %r", claimed.id, again)
        outcome = ended_unrun(huey, claimed, None, State.FAILED, reason, failed)
    now = huey.backend.now()
    outcome = outcome._replace(
        counted=True,
        started_at=now,
        finished_at=now,
        attempt="failed",
        traceback=failed.metadata["traceback"],
        fingerprint=fingerprint.of_error(claimed.task, error),
    )
    return Finished(outcome, task, ((S.SIGNAL_ERROR, task, error),), (None, error))


def crash_handler(huey: Nephew, task: HueyTask | None, reason: str, attempt: int) -> tuple[NewJob, ...]:
    """The error handler of a job that ended because it kept killing its worker."""
    if task is None or task.on_error is None:
        return ()
    return follow_up(huey, error_handler(task, WorkerCrashed(reason), attempt), task.id, Relation.ERROR)[0]


def _spent(claimed: Claimed, task: HueyTask) -> tuple[str, ...]:
    """The revocations that are over once a job has run: those it ran in spite of, and one that came too late."""
    own = () if isinstance(task, PeriodicTask) else (task.revoke_id,)
    return (*own, *claimed.revokes) if claimed.revokes else own


def _succeeded(huey: Nephew, claimed: Claimed, task: HueyTask, ran: Ran) -> Finished:
    value = ran.value
    news: News = ((S.SIGNAL_COMPLETE, task),)
    result, mark, callback = None, None, None
    follow_ups: tuple[NewJob, ...] = ()
    if huey.results and not isinstance(task, PeriodicTask) and (value is not None or huey.store_none):
        result = encode_result(huey, value)
    if task.on_complete is not None:
        follow_ups, told = follow_up(huey, extended(task.on_complete, value), claimed.id, Relation.CHAIN)
        news += told
    if task.chord_config is not None:
        mark, callback = chord_mark(huey, task.chord_config, value, result), task.chord_config.callback
    if log.isEnabledFor(logging.INFO):
        duration = ran.finished_at - ran.started_at
        log.info("%s executed in %0.3fs", task, duration, extra=claim_extra(claimed))
    outcome = _outcome(
        (claimed.seq, claimed.id, claimed.claim, _SUCCEEDED, True, ran.started_at, ran.finished_at, result, None, None,
         None, None, None, None, ran.progress, ran.worker, follow_ups, (), mark, claimed.chord, _spent(claimed, task),
         None, ran.log, claimed.task)
    )  # fmt: skip
    if task.on_complete is not None and not follow_ups:
        never, mark = never_steps(huey, task, None, KEPT_OUT), abort_mark(huey, task, SKIPPED)
        outcome = outcome._replace(never=never, chord_mark=mark)
    return _finished((outcome, task, news, (value, None), callback, value, None))


def _cancelled(huey: Nephew, claimed: Claimed, task: HueyTask, ran: Ran, error: JobCancelled) -> Finished:
    """A job that was told to stop while it was running; nothing follows from it."""
    log.warning("Task %s was cancelled while it was running (%s).", task, error, extra=claim_extra(claimed))
    outcome = ended_unrun(huey, claimed, task, State.CANCELLED, str(error))._replace(
        counted=True,
        started_at=ran.started_at,
        finished_at=ran.finished_at,
        attempt="cancelled",
        traceback=described(huey, task, error)["traceback"],
        forget=_spent(claimed, task),
    )
    finished = Finished(outcome, task, ((S.SIGNAL_CANCELED, task),), (None, error), chord_callback(task))
    return _of(finished, ran)


def _failed(huey: Nephew, claimed: Claimed, task: HueyTask, ran: Ran, error: BaseException) -> Finished:
    word, news, retry_eta = judge(huey, claimed, task, error)
    final = not task.retries or task.retries < 1  # what a message brings need not be a whole number
    surface = final or (huey.store_intermediate_errors and not isinstance(error, RETRYING_EXCEPTIONS))
    metadata = described(huey, task, error)
    stored = huey.results and not isinstance(task, PeriodicTask)
    result = encode_error(huey, metadata) if surface and stored else None
    follow_ups: tuple[NewJob, ...] = ()
    if surface and task.on_error:
        handler = error_handler(task, error, claimed.attempts + 1)
        follow_ups, told = follow_up(huey, handler, claimed.id, Relation.ERROR)
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
        progress=ran.progress,
        worker=ran.worker,
        fingerprint=fingerprint.of_error(claimed.task, error),
        follow_ups=follow_ups,
        forget=_spent(claimed, task),
        log=ran.log,
        task=claimed.task,
    )
    if final:
        reason = f"{claimed.id}, a step before it, {outcome.state}"
        outcome = outcome._replace(
            never=never_steps(huey, task, result, reason),
            chord_mark=abort_mark(huey, task, Error(metadata)),
        )
    else:
        outcome, told = again(huey, claimed, task, outcome, retry_eta)
        news += told
    return Finished(outcome, task, tuple(news), (None, error), chord_callback(task) if final else None)
