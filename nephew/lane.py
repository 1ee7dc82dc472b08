"""One thread's hand of jobs: claimed ahead and not begun, the one that runs, and the way of each to its end."""

from __future__ import annotations

import datetime as dt
import logging
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from nephew import endings, execution, failpoints
from nephew.backends.records import Claimed
from nephew.current import Running
from nephew.endings import Finished
from nephew.errors import BackendError, NephewError, NotBegun, ShutDown
from nephew.job import State
from nephew.journal import Line
from nephew.lastwords import LastWords
from nephew.ledger import Entry
from nephew.message import decode, options_of
from nephew.prefetch import Prefetch
from nephew.shield import my_shield
from nephew.stops import Stop, by_exception

if TYPE_CHECKING:
    from nephew.bell import ForkBell, ThreadBell
    from nephew.keeper import Keeper
    from nephew.worker import Worker

log = logging.getLogger("huey.nephew.lane")

#: Seconds that a suspect waits for its process to be otherwise idle before it is given back: nothing else is begun
#: there meanwhile. Each time it waited in vain it waits four times as long, up to the last: jobs beside it that take no
#: longer than that cannot keep it out for ever.
PATIENCE, LONGEST_PATIENCE = 0.5, 60.0


class Lane:
    """Claims, runs and settles jobs, one after the other.

    :ivar waiting: claimed, not begun. The lane takes from the left, the keeper gives back from the right.
    :ivar barred: it did not claim, since a suspect runs alone in this process or waits to.
    :ivar running: the claim whose function is being run, and `since` when (monotonic seconds).
    :ivar job: the same as its function sees it, and `deadline` when it is to be stopped (monotonic seconds).
    :ivar stop: stops the code of the job that this thread runs.
    """

    def __init__(
        self,
        worker: Worker,
        keeper: Keeper | None = None,
        bell: ForkBell | ThreadBell | None = None,
        stop: Stop | None = None,
    ) -> None:
        """:param stop: how code of this thread is stopped; None: by an exception in the thread."""
        self.worker, self.keeper, self._bell = worker, keeper, bell
        self.stop = stop or by_exception()
        self.slot = worker.take_slot()
        self.huey = worker.huey
        settings = self.huey.settings
        self.waiting: deque[Claimed] = deque()
        self.barred = False
        self.running: Claimed | None = None
        self.job: Running | None = None
        self.since = 0.0
        self.deadline: float | None = None
        self.marked = False
        self._begun_once: Any = None
        self.progress: tuple[float, str | None] | None = None
        self.progress_written = 0.0
        self.log_written = 0.0
        self._last_words = LastWords(lambda words: worker.presence.keep(self.slot, words))
        self.progress_dirty = False
        self._token: int | None = None
        #: The claim that its hand is from.
        self.hand = 0
        self._untold: deque[Entry] = deque()
        self._prefetch = Prefetch(settings.prefetch, settings.prefetch_seconds)
        self._label = ""
        worker.lanes.append(self)

    def next(self) -> Claimed | None:
        """The next job to run; claims when the hand is empty. None: there is no work.

        :raises BackendError: when the store cannot be reached; nothing is lost, call again.
        """
        return self.taken() or self._claim()

    def taken(self) -> Claimed | None:
        """The next job of those already claimed."""
        try:
            return self.waiting.popleft()
        except IndexError:
            return None

    def _claim(self) -> Claimed | None:
        if len(self.worker.ledger):
            self.worker.ledger.flush()  # what the store did not take earlier comes first
        self._tell()
        self.barred = self.worker.slots > 1 and self.worker.gate.closed
        if self.barred:
            return None  # a consumer that can begin them may have the jobs
        self.worker.count_held()
        if self._token is None:
            self._token = self.hand = self.worker.next_claim()
        limit = self._prefetch.size()
        jobs = self.worker.claim(self._token, limit)
        self._token = None
        if not jobs:
            return None
        self.waiting.extend(jobs)
        if self.keeper is not None:
            self.keeper.wake()
        if len(jobs) == limit and self._bell is not None:
            self._bell.ring()  # there may be more: an idle sibling should look
        return self.taken()

    def run(self, claimed: Claimed, timestamp: dt.datetime | None = None) -> None:
        """Run a claimed job to its settled end.

        :raises ShutDown: when the worker must end now; the job has been given back.
        """
        if claimed.alone:
            self._run_alone(claimed, timestamp)
        elif self.worker.slots > 1:
            with self.worker.gate.together(wait=False) as granted:
                if granted:
                    self._run(claimed, timestamp)
                    return
            self.waiting.appendleft(claimed)
            self.give_back()
        else:
            self._run(claimed, timestamp)

    def _run_alone(self, claimed: Claimed, timestamp: dt.datetime | None) -> None:
        self.give_back()
        gate = self.worker.gate
        with gate.alone(min(PATIENCE * 4.0 ** min(gate.refused, 9), LONGEST_PATIENCE)) as granted:
            if granted:
                self._run(claimed, timestamp)
                return
        log.info("Job %s must run alone and this process is busy; it is tried again in 1 s.", claimed.id)
        later = endings.given_back(claimed)._replace(state=State.SCHEDULED, eta=self.huey.backend.now() + 1.0)
        self._settle(Finished(later))

    def _run(self, claimed: Claimed, timestamp: dt.datetime | None) -> None:
        try:
            task = decode(self.huey, claimed)
        except NephewError as error:
            self._settle(endings.unrunnable(claimed, error))
            return
        try:
            finished = execution.perform(self.huey, claimed, task, timestamp, self)
        except ShutDown:
            once = self._begun_once is not None
            self._settle(self._cut_off(claimed) if once else endings.interrupted(claimed, task))
            self.worker.ledger.flush()
            raise
        finally:
            self._begun_once = None
        self._settle(self.complete(finished))

    def complete(self, finished: Finished) -> Finished:
        """An end with where the job was run, and how far it said it was."""
        outcome = finished.outcome._replace(worker=self.label(), progress=self.progress)
        return finished._replace(outcome=outcome)

    @property
    def hushed(self) -> bool:
        """Whether nothing may be written of its job while it runs: it would wait for its transaction, or undo it."""
        backend, job = self.huey.backend, self.job
        return (backend.one_writer or backend.snapshots) and job is not None and options_of(job.calling).transactional

    def break_off(self) -> None:
        """Stop the code of the running job, which then goes back."""
        job = self.job
        if job is not None:
            self.stop(job, ShutDown())

    def began(self, claimed: Claimed, running: Running) -> None:
        """A job's function is about to be called."""
        self.progress, self.progress_dirty, self.marked, self.deadline = None, False, False, None
        self.since = time.monotonic()
        self.worker.presence.began(self.slot, claimed.seq, claimed.claim, self.worker.backend.now())
        self.running, self.job = claimed, running

    def ended(self) -> None:
        """The function has returned or raised."""
        running, self.running, self.job = self.running, None, None
        self.worker.presence.ended(self.slot)
        if running is not None:
            self._prefetch.note(running.task, time.monotonic() - self.since)

    def end_at(self, deadline: float) -> None:
        """The function is to be stopped at this time."""
        self.deadline = deadline
        if self.keeper is not None:
            with my_shield():
                self.keeper.watchdog.wake()

    def begin_once(self) -> bool:
        """Write down that the job is begun, before its function is called."""
        claimed, job = self.running, self.job
        if claimed is None or job is None:
            return False
        since = self.huey.backend.now()
        try:
            begun = self.huey.backend.begin_once(self.worker.number, claimed.seq, claimed.claim, since)
            if failpoints.armed:
                failpoints.reach("begun-once")
        except BackendError as error:
            raise NotBegun(str(error)) from error
        self._begun_once = job.calling if begun else None
        return begun

    def asked_to_stop(self) -> str | None:
        """The watchdog looks after that."""
        return None

    def _cut_off(self, claimed: Claimed) -> Finished:
        """The end of a running job that may not be begun again, though its end will not be known."""
        return endings.lost(self.huey, claimed, self._begun_once, "its worker was shut down")

    def label(self) -> str:
        """Where jobs of this lane run, for their records."""
        if not self._label:
            self._label = f"{self.worker.host}:{self.worker.pid}:{threading.current_thread().name}"
        return self._label

    def _settle(self, finished: Finished) -> None:
        ledger = self.worker.ledger
        entry = ledger.add(finished)
        if self.huey.has_listeners():
            # Hooks and receivers hear of an end once it stands, on the thread that ran the job.
            self._untold.append(entry)
            ledger.flush()
            self._tell()
        elif not self.waiting or ledger.is_full() or ledger.is_due():
            ledger.flush()

    def _tell(self) -> None:
        """Announce the ends that stand by now."""
        while self._untold and self._untold[0].settled:
            entry = self._untold.popleft()
            if not entry.lost:
                execution.tell(self.huey, entry.finished, entry.enqueued)

    def report(self, fraction: float, message: str | None) -> None:
        """Progress from inside the function; written by the keeper."""
        self.progress, self.progress_dirty = (fraction, message), True
        self._call_keeper()

    def noted(self, job: Running, line: Line) -> None:
        """A line from inside the function; written by the keeper, and at once to where it outlives this process."""
        claimed = self.running
        if claimed is not None and job is self.job:
            with my_shield():
                self._last_words.add(claimed.seq, claimed.claim, job.attempt, line)
        self._call_keeper()

    def _call_keeper(self) -> None:
        """There is something to pass on."""
        if self.keeper is not None:
            with my_shield():  # what stops the function must not leave the keeper's lock taken
                self.keeper.wake()

    def give_back(self) -> None:
        """Give back what is not begun, in order and uncounted."""
        if self.hand_over():
            try:
                self.worker.ledger.flush()
            except BackendError as error:
                log.warning("Jobs could not be given back yet (%s); it is tried again.", error)

    def hand_over(self, running_too: bool = False) -> int:
        """Let the next settle give back what is not begun, in order and uncounted; how many jobs.

        :param running_too: the running one as well; its end will not be settled.
        """
        returned = []
        while True:
            try:
                returned.append(self.waiting.pop())
            except IndexError:
                break
        finished = [Finished(endings.given_back(claimed)) for claimed in returned]
        running = self.running
        if running_too and running is not None:
            once = self._begun_once is not None
            finished.append(self._cut_off(running) if once else Finished(endings.given_back(running)))
        for each in finished:
            self.worker.ledger.add(each)
        return len(finished)

    def close(self) -> None:
        """The thread ends: give back what it has not begun."""
        self.give_back()
        self.worker.lanes.remove(self)
        self.worker.return_slot(self.slot)
