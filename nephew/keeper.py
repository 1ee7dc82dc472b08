"""One thread a process that keeps promises while jobs run: settle by age, give back, mark, pass progress on.

Parked while nothing is to be kept; it costs nothing then. To wake it costs the job that runs a hand-over of the
interpreter's lock: for a while after a job it looks by itself, often enough for a job that comes alone.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from typing import TYPE_CHECKING

from nephew.errors import BackendError
from nephew.lane import Lane
from nephew.watchdog import Watchdog

if TYPE_CHECKING:
    from nephew.bell import Lifeline
    from nephew.worker import Worker

log = logging.getLogger("huey.nephew.keeper")

#: A job that runs longer than this (seconds) is shown as running in the store.
SHOWN_AFTER = 0.05
#: Progress and log lines are written at most this often (seconds).
PROGRESS_EVERY = 0.25
#: After an error the keeper waits this long (seconds) before it tries again.
PAUSE = 1.0
#: A worker without a consumer has this long (seconds) after its drain to give back what it holds.
LAST_WORD = 1.0
#: A job is just beginning: it is looked at again after this (seconds).
MOMENT = 0.005
#: It settles at an age this many times as high as lanes do: where jobs are short, they have done so themselves.
LATER = 1.25
#: It is parked this long (seconds) after the last job had begun.
LINGER = 0.3


class Keeper:
    """Looks after the lanes of a worker."""

    def __init__(self, worker: Worker, lifeline: Lifeline | None = None) -> None:
        self.worker, self._lifeline = worker, lifeline
        self.watchdog = Watchdog(worker)
        self._condition = threading.Condition()
        self._parked = False
        self._called = False
        self._closing = False
        #: Until when it is not parked, when it looks next while it waits, and by when somebody wants it to look
        #: (monotonic seconds).
        self._awake_until = self._next_look = 0.0
        self._wanted = math.inf
        #: When jobs were last shown as running (monotonic seconds).
        self._shown_at = -math.inf
        self._thread: threading.Thread | None = None
        #: The consumer is gone: no more jobs are to be claimed.
        self.orphaned = False

    def start(self) -> None:
        """Start the thread, and one that sleeps until the consumer is gone."""
        self._thread = threading.Thread(target=self._loop, name="Keeper", daemon=True)
        self._thread.start()
        if self._lifeline is not None:
            threading.Thread(target=self._outlive, name="Lifeline", daemon=True).start()

    def _outlive(self) -> None:
        """The consumer is gone: give back, let the running job finish for as long as a drain, then end."""
        assert self._lifeline is not None
        self._lifeline.wait(None)
        drain = self.worker.huey.settings.drain
        # The store may keep us waiting for longer than that, at each step; the reaper finds what is not given back.
        end = threading.Timer(drain + LAST_WORD, self._end)
        end.daemon = True
        end.start()
        deadline = time.monotonic() + drain
        self.orphaned = True
        log.warning("The consumer is gone; the running job has %g s to finish.", drain)
        for lane in self.worker.lanes:
            if lane.running is not None:  # any other is about to end by itself, and to sign the worker off
                lane.give_back()
        time.sleep(max(0.0, deadline - time.monotonic()))
        self.worker.give_back_all()
        self._end()

    def _end(self) -> None:
        self.worker.acquit()
        os._exit(1)

    def stop(self) -> None:
        """End the thread and wait for it."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join(5)
        self.watchdog.stop()

    def look(self, within: float = SHOWN_AFTER) -> None:
        """There may be something to keep within so many seconds."""
        with self._condition:
            self._wanted = min(self._wanted, time.monotonic() + within)
            if self._wanted < self._next_look:
                self._condition.notify()

    def wake(self) -> None:
        """A job begins; cheap unless the keeper is parked."""
        self._called = True
        if self._parked:
            with self._condition:
                self._condition.notify()

    def _loop(self) -> None:
        pause: float | None = 0.0
        while not self._closing:
            self._wait(pause)
            try:
                pause = self.keep(time.monotonic())
            except BackendError as error:
                log.warning("The store cannot be reached (%s); trying again in %g s.", error, PAUSE)
                pause = PAUSE
            except Exception:
                log.exception("Unexpected error in the keeper; it goes on in %g s.", PAUSE)
                pause = PAUSE
        self.worker.backend.leave()

    def _wait(self, pause: float | None) -> None:
        """Until something is to be kept, or somebody says so.

        :param pause: in so many seconds; None: nothing is known of.
        """
        with self._condition:
            now = time.monotonic()
            if self._called:
                self._called, self._awake_until = False, now + LINGER
            if pause is None and now < self._awake_until:
                pause = SHOWN_AFTER
            self._next_look = min(math.inf if pause is None else now + max(pause, 0.001), self._wanted)
            self._parked = self._next_look == math.inf
            if not self._closing and not (self._parked and self._called) and self._next_look > now:
                self._condition.wait(None if self._parked else self._next_look - now)
            self._parked, self._next_look, self._wanted = False, 0.0, math.inf

    def keep(self, now: float) -> float | None:
        """Do what is due; seconds until the next thing will be, or None: nothing to keep."""
        # A claim wakes us, but its job may begin much later (slow hooks come first): that has to wake us again.
        presence = self.worker.presence if self.worker.registered else None
        if presence is not None:
            presence.listener = self.wake
        dues = [self._settle_by_age(), self._show(now)]  # what a job says is seen of one that is shown as running
        for lane in self.worker.lanes:
            if lane.running is not None:
                dues += [self._give_back(lane, now), self._pass_progress(lane, now), self._pass_log(lane, now)]
            elif presence is not None and presence.is_busy(lane.slot):
                dues.append(MOMENT)
        pending = [due for due in dues if due is not None]
        return min(pending) if pending else None

    def _settle_by_age(self) -> float | None:
        ledger, limit = self.worker.ledger, self.worker.ledger.within * LATER
        if not len(ledger):
            return limit if any(lane.waiting for lane in self.worker.lanes) else None
        age = ledger.age()
        if age < limit:
            return limit - age
        ledger.flush()
        return limit

    def _give_back(self, lane: Lane, now: float) -> float | None:
        """The running job turns out long: others may have what was claimed beside it."""
        if not lane.holds_more:
            return None
        left = self.worker.huey.settings.prefetch_seconds - (now - lane.since)
        if left > 0:
            return left
        lane.give_back()
        return PAUSE if lane.holds_more else None

    def _show(self, now: float) -> float | None:
        """Have jobs that take long shown as running, all of them at once: many threads have many."""
        unseen = [(lane, lane.running, lane.since) for lane in self.worker.lanes if not lane.marked]
        begun = [(lane, running, since) for lane, running, since in unseen if running is not None]
        if not begun:
            return None
        left = SHOWN_AFTER - (now - max(self._shown_at, min(since for _, _, since in begun)))
        if left > 0:
            return left
        self._shown_at = now
        self.watchdog.wake()
        long = [(lane, running, since) for lane, running, since in begun if now - since >= SHOWN_AFTER]
        ahead = self.worker.backend.now() - now
        shown = [(running.seq, running.claim, since + ahead) for lane, running, since in long if not lane.hushed]
        if shown:
            self.worker.backend.mark_running(self.worker.number, shown)
        for lane, running, _ in long:
            if lane.running is running:  # and not the next one already
                lane.marked = True
        return SHOWN_AFTER if len(long) < len(begun) else None

    def _pass_progress(self, lane: Lane, now: float) -> float | None:
        running, progress = lane.running, lane.progress
        if not lane.progress_dirty or running is None or progress is None or lane.hushed:
            return None
        left = PROGRESS_EVERY - (now - lane.progress_written)
        if left > 0:
            return left
        lane.progress_dirty, lane.progress_written = False, now
        backend = self.worker.backend
        backend.note_progress(self.worker.number, running.seq, running.claim, *progress)
        return None

    def _pass_log(self, lane: Lane, now: float) -> float | None:
        running, job = lane.running, lane.job
        if running is None or job is None or job.log is None or not job.log.dirty or lane.hushed:
            return None
        left = max(SHOWN_AFTER - (now - lane.since), PROGRESS_EVERY - (now - lane.log_written))
        if left > 0:
            return left
        lane.log_written = now
        self.worker.backend.note_log(self.worker.number, running.seq, running.claim, job.log.lines())
        return None
