"""Transactional jobs: what the function writes and the job's end are committed together, or neither is.

The claim is guarded at the end: if the job was taken over meanwhile, everything is undone.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from huey.api import Task as HueyTask

from nephew.backends.records import Claimed, Transaction
from nephew.current import Running
from nephew.endings import Finished, Ran, finish, given_back, with_log
from nephew.errors import BackendError, NotBegun
from nephew.job import State
from nephew.message import decode

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.transactional")

#: How often a job is run whose transaction was undone for the sake of another one.
MOST_RUNS = 6
#: A job that keeps all others from writing for longer than this (seconds) is told off.
TOLD_OFF_AFTER = 1.0

#: Runs the function once: the task, and the transaction that it runs in.
Attempt = Callable[[HueyTask, Transaction], tuple[Ran, Running]]


class Watch(Protocol):
    """Who holds the job's claim."""

    def clear(self) -> None:
        """Settle what is finished and give back what is not begun: nothing is to wait for a transaction."""

    def complete(self, finished: Finished) -> Finished:
        """Add to an end what only the holder knows."""


class Undone(Exception):
    """The transaction was undone for the sake of another one; the job may be run again at once."""

    def __init__(self, ran: Ran, running: Running) -> None:
        self.ran, self.running = ran, running


def perform(huey: Nephew, claimed: Claimed, task: HueyTask, watch: Watch, attempt: Attempt) -> Finished:
    """Run a job in a transaction and commit that with the job's end.

    A run that was undone for the sake of another transaction (a deadlock, say) is repeated, uncounted.

    :returns: the end; with `reply` when it stands already.
    :raises NotBegun: when no transaction could be begun.
    """
    runs = 1
    while True:
        try:
            return _once(huey, claimed, task, watch, attempt)
        except Undone as undone:
            task = decode(huey, claimed)  # the function may have changed its arguments
            if runs == MOST_RUNS:
                return _failed(huey, claimed, task, undone.ran, undone.running)
            log.info("Job %s was undone for another transaction (%s); it runs again.", claimed.id, undone.ran.error)
        time.sleep(random.random() * 0.01 * 2**runs)
        runs += 1


def _once(huey: Nephew, claimed: Claimed, task: HueyTask, watch: Watch, attempt: Attempt) -> Finished:
    watch.clear()
    with _begun(huey, claimed) as transaction:
        ran, running = attempt(task, transaction)
        if ran.error is None:
            ran = ran._replace(error=huey.backend.trouble(transaction))
        if ran.error is None:
            finished = watch.complete(with_log(finish(huey, claimed, task, ran), running.log))
            if finished.outcome.state is not State.SUCCEEDED:  # its value cannot be stored
                return finished
            try:
                return _committed(huey, transaction, finished)
            except BackendError as error:
                ran = ran._replace(error=error)
    assert ran.error is not None
    ...


def _committed(huey: Nephew, transaction: Transaction, finished: Finished) -> Finished:
    reply = huey.backend.conclude(huey.worker.number, finished.outcome)
    if not reply.lost:
        huey.backend.commit(transaction)
    return finished._replace(reply=reply)
