"""What an exception means for its job, and how the next attempt comes about. Huey's semantics."""

from __future__ import annotations

import datetime as dt
import logging
import random
from typing import TYPE_CHECKING, Any

from huey import signals as S
from huey.api import Task as HueyTask
from huey.exceptions import CancelExecution, RateLimitExceeded, RetryTask, TaskLockedException, TaskTimeout
from huey.utils import normalize_time

from nephew import clock
from nephew.backends.records import Claimed, Outcome
from nephew.followups import News
from nephew.job import State
from nephew.logs import claim_extra
from nephew.message import encode, options_of

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.retries")


def judge(
    huey: Nephew, claimed: Claimed, task: HueyTask, error: BaseException
) -> tuple[str, list[tuple[Any, ...]], dt.datetime | None]:
    """What an exception means: the attempt's word, the signals, and when to try again if it says so.

    Sets `task.retries` to what is left, as Huey does.
    """
    extra = claim_extra(claimed)
    retry_eta = None
    if isinstance(error, RateLimitExceeded):
        delay = task.retry_delay or error.delay
        if error.retry or task.retries:
            retry_eta = _in(huey, delay)
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
            retry_eta = normalize_time(error.eta, utc=huey.utc) if error.eta else _in(huey, error.delay)
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


def _in(huey: Nephew, delay: float | dt.timedelta) -> dt.datetime:
    """So long (seconds) from now, by the store's clock."""
    return huey._get_timestamp() + (delay if isinstance(delay, dt.timedelta) else dt.timedelta(seconds=delay))


def again(
    huey: Nephew, claimed: Claimed, task: HueyTask, outcome: Outcome, eta: dt.datetime | None
) -> tuple[Outcome, News]:
    """The next attempt: the same job, at the back of the queue or later."""
    options = options_of(task)
    task.retries -= 1
    if eta is None and task.retry_delay:
        most = None if options.retry_max_delay is None else options.retry_max_delay / (1 + options.retry_jitter)
        delay = _capped(float(task.retry_delay), most) * (1 + random.random() * options.retry_jitter)
        eta = _in(huey, delay)
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
