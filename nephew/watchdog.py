"""One thread a process that stops running jobs: at the end of their time, and when somebody has asked for it.

It only reads, so that a long transaction on SQLite, which may be the very one to be stopped, cannot hold it up.
It is started when it is first needed, and parked while nothing runs that it has to look after.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from huey.exceptions import TaskTimeout

from nephew.errors import BackendError, JobCancelled
from nephew.lane import Lane

if TYPE_CHECKING:
    from nephew.worker import Worker

log = logging.getLogger("huey.nephew.watchdog")

#: The store is asked this often (seconds) which of the running jobs are to end.
ASKED_EVERY = 0.25
#: A job that has been told to stop and has not is told again after this (seconds).
AGAIN = 1.0


class Watchdog:
    """Looks after the lanes of a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._condition = threading.Condition()
        self._called = False
        self._closing = False
        self._thread: threading.Thread | None = None
        self._next_look = 0.0

    def wake(self) -> None:
        """A job runs that has a time limit, or has been running for a while."""
        with self._condition:
            self._called = True
            if self._thread is None and not self._closing:
                self._thread = threading.Thread(target=self._loop, name="Watchdog", daemon=True)
                self._thread.start()
            self._condition.notify()

    def stop(self) -> None:
        """End the thread and wait for it."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(5)

    def _loop(self) -> None:
        pause: float | None = 0.0
        while self._wait(pause):
            try:
                pause = self.watch(time.monotonic())
            except BackendError as error:
                log.info("Nobody can say which running jobs are to end (%s); asked again in a second.", error)
                self._next_look = time.monotonic() + AGAIN
                pause = ASKED_EVERY
            except Exception:
                log.exception("Unexpected error in the watchdog; it goes on in a second.")
                pause = AGAIN
        self._worker.backend.leave()

    def _wait(self, pause: float | None) -> bool:
        with self._condition:
            self._condition.wait_for(lambda: self._called or self._closing, pause)
            self._called = False
            return not self._closing

    def watch(self, now: float) -> float | None:
        """Stop what is to be stopped; seconds until the next look, or None: nothing runs."""
        busy = [lane for lane in self._worker.lanes if lane.job is not None]
        if not busy:
            return None
        pauses = [self._keep_time(lane, now) for lane in busy]
        if now >= self._next_look:
            self._next_look = now + ASKED_EVERY
            self._ask(busy)
        for lane in busy:
            self._press(lane, now)
        return max(0.0, min([self._next_look - now, *(pause for pause in pauses if pause is not None)]))

    def _keep_time(self, lane: Lane, now: float) -> float | None:
        job, deadline = lane.job, lane.deadline
        if job is None or deadline is None or job.stopped is not None:
            return None
        if now < deadline:
            return deadline - now
        job.stopped = TaskTimeout(f"timeout ({job.timeout}s)")
        lane.stop(job, job.stopped)
        return None

    def _ask(self, busy: list[Lane]) -> None:
        """Find out whose end somebody has asked for."""
        reasons = {(seq, claim): reason for seq, claim, reason in self._worker.asked_to_stop()}
        for lane in busy:
            claimed, job = lane.running, lane.job
            if job is not None and claimed is not None and (claimed.seq, claimed.claim) in reasons:
                job.cancelling = reasons[claimed.seq, claimed.claim]

    def _press(self, lane: Lane, now: float) -> None:
        """Tell a job to stop, again and again while its code does not let that through."""
        job = lane.job
        if job is None or job.cancelling is None or now - job.told < AGAIN:
            return
        if isinstance(job.stopped, JobCancelled):
            log.warning("Job %s was told to stop and goes on; it is told again.", job.id)
        job.stopped, job.told = JobCancelled(job.cancelling), now
        lane.stop(job, job.stopped)
