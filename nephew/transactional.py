"""Transactional jobs: what the function writes and the job's end are committed together, or neither is.

The claim is guarded at the end: if the job was taken over meanwhile, everything is undone.
"""

from __future__ import annotations

import itertools
import logging
import random
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from huey.api import Task as HueyTask

from nephew.backends.records import Claimed, Transaction
from nephew.endings import Finished, Ran, finish, given_back
from nephew.errors import BackendError, JobCancelled, NotBegun
from nephew.job import State
from nephew.message import decode

if TYPE_CHECKING:
    from nephew.instance import Nephew
    from nephew.worker import Worker

log = logging.getLogger("huey.nephew.transactional")

#: How often a job is run whose transaction was undone for the sake of another one.
MOST_RUNS = 6
#: A job that keeps all others from writing for longer than this (seconds) is told off.
TOLD_OFF_AFTER = 1.0

#: Runs the function once: the task, and the transaction that it runs in.
Attempt = Callable[[HueyTask, Transaction], Ran]


class Holder(Protocol):
    """Who holds the job's claim."""

    worker: Worker

    def give_back(self) -> None:
        """Give back what is claimed and not begun."""


class Scope:
    """A job's transaction, undone unless it was committed.

    :ivar unanswered: whether the connection was lost while it was being committed: nobody knows if it was.
    """

    def __init__(self, holder: Holder, claimed: Claimed) -> None:
        self._worker, self._backend, self._claimed = holder.worker, holder.worker.backend, claimed
        self._committing = self._committed = self.unanswered = False

    def __enter__(self) -> Scope:
        """:raises NotBegun: when no transaction can be begun now."""
        try:
            self.transaction = self._backend.begin()
        except BackendError as error:
            raise NotBegun(str(error)) from error
        self._since = time.monotonic()
        return self

    def settle(self, finished: Finished) -> Finished:
        """Commit the job's end with all that its function wrote; nothing, if its claim was lost.

        :raises BackendError: when it was not committed, or nobody knows.
        """
        reply = self._backend.conclude(self._worker.number, finished.outcome)
        if not reply.lost and not reply.stopped:
            self._committing = True
            self._backend.commit(self.transaction)
            self._committed = True
        return finished._replace(reply=reply)

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if not self._committed:
            lost = not self._backend.roll_back(self.transaction)
            self.unanswered = self._committing and lost
        held = time.monotonic() - self._since
        if self._backend.one_writer and held > TOLD_OFF_AFTER:
            log.warning(
                "Job %s (%s) is transactional and kept everybody else from writing to %s for %.1f s; "
                "do its slow work before, in a job that it follows.",
                self._claimed.id,
                self._claimed.task,
                self._backend.description,
                held,
            )


def perform(huey: Nephew, claimed: Claimed, task: HueyTask, holder: Holder, attempt: Attempt) -> Finished:
    """Run a job in a transaction and commit that with the job's end.

    A run that was undone for the sake of another transaction (a deadlock, say) is repeated, uncounted.

    :returns: the end; with `reply` when it stands already.
    :raises NotBegun: when no transaction could be begun.
    """
    for runs in itertools.count(1):
        _clear(holder)
        with Scope(holder, claimed) as scope:
            finished, ran = _settled(huey, claimed, task, scope, attempt(task, scope.transaction))
        if finished is not None:
            return finished
        assert ran.error is not None
        if scope.unanswered:
            log.warning("The answer to the commit of job %s was lost; it runs again if it was not.", claimed.id)
            return Finished(given_back(claimed), task)  # which will be lost if the job has ended
        task = decode(huey, claimed)  # the function may have changed its arguments
        conflict = ran.job.stopped is None and huey.backend.is_conflict(ran.error)
        if not conflict or runs == MOST_RUNS:
            break
        log.info("Job %s was undone for another transaction (%s); it runs again.", claimed.id, ran.error)
        time.sleep(random.random() * 0.01 * 2**runs)
    return finish(huey, claimed, task, ran)


def _clear(holder: Holder) -> None:
    """Settle what is finished and give back what is not begun: nothing is to wait for a transaction."""
    holder.give_back()
    try:
        holder.worker.ledger.flush()
    except BackendError as error:
        raise NotBegun(str(error)) from error


def _settled(huey: Nephew, claimed: Claimed, task: HueyTask, scope: Scope, ran: Ran) -> tuple[Finished | None, Ran]:
    """The end of a run that went well; else None, and the run with what went wrong."""
    if ran.error is None:
        ran = ran._replace(error=huey.backend.trouble(scope.transaction))
    if ran.error is not None:
        return None, ran
    finished = finish(huey, claimed, task, ran)
    if finished.outcome.state is not State.SUCCEEDED:  # its value cannot be stored
        return finished, ran
    try:
        settled = scope.settle(finished)
    except BackendError as error:
        return None, ran._replace(error=error)
    if settled.reply is not None and settled.reply.stopped:
        return None, ran._replace(error=JobCancelled(*settled.reply.stopped.values()))
    return settled, ran
