"""One thread's hand of jobs: claimed ahead and not begun, the one that runs, and the way of each to its end."""

from __future__ import annotations

import contextlib
import datetime as dt
import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from nephew import endings, execution, failpoints
from nephew.backends.records import Claimed
from nephew.backends.watcher import Doorbell
from nephew.current import Running
from nephew.endings import Finished
from nephew.errors import BackendError, NephewError, NotBegun, ShutDown
from nephew.job import State
from nephew.journal import Line
from nephew.lastwords import LastWords
from nephew.ledger import Entry
from nephew.message import decode, options_of
from nephew.prefetch import Prefetch
from nephew.request import Request
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
        #: The claim that its hand is from, and the one that is to bring the next, if it is known.
        self._hand, self._limit = 0, 0
        self._requests: deque[Request] = deque()
        #: Held while somebody gives back what is not begun, until that is in the ledger: nothing is claimed past it.
        self._handing = threading.Lock()
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
        if self.worker.ledger.is_due():
            self.worker.ledger.flush()  # what the store did not take earlier comes first
        self._tell()
        self.barred = self.worker.slots > 1 and self.worker.gate.closed
        if self.barred:
            self.give_back()
            return None  # a consumer that can begin them may have the jobs
        self.worker.count_held()
        jobs = self._expected()
        if jobs is None:
            jobs = self._found()
        if not jobs:
            return None
        self.waiting.extend(jobs)
        self._prefetch.weigh([len(claimed.payload) for claimed in jobs])
        if len(jobs) == self._limit:
            self._expect_more(len(jobs))
        following = self.taken()
        if self.keeper is not None and self.holds_more:
            self.keeper.look(within=self.worker.ledger.within)
        elif self.keeper is not None:
            self.keeper.look()
        return following

    def _expected(self) -> list[Claimed] | None:
        """The jobs of the claim that was sent; None: it was not, or there were none when others still ran."""
        with self._handing:
            request = self._requests.popleft() if self._requests else None
        jobs = None if request is None else self._taken_by(request)
        return jobs if jobs or (request is not None and request.waited) else None

    def _found(self) -> list[Claimed]:
        """The jobs that there are now, those included that ends of this worker have brought."""
        self.worker.ledger.flush()
        return self._taken_by(Request(self.worker, self._prefetch.size()))

    def _taken_by(self, request: Request) -> list[Claimed]:
        self._hand, self._limit = request.token, request.limit
        return self._answered(request)

    def _answered(self, request: Request) -> list[Claimed]:
        try:
            return request.jobs()
        except BackendError:
            self._requests.append(request)  # it may have taken some: the same is repeated
            raise

    def _expect_more(self, held: int) -> None:
        """There may be more jobs than were claimed: an idle sibling should look, and the next hand be on its way."""
        if self._bell is not None:
            self._bell.ring()
        size = self._prefetch.size(beside=held) if held > 1 else 0
        if size > 1:
            request = Request(self.worker, size)
            if request.send():
                self._requests.append(request)

    def ask(self, doorbell: Doorbell, seconds: float) -> int | None:
        """Have the store send a job once there is one, in `seconds` at the latest; what becomes readable then.

        Only one: whoever waits may be held up by others of its process when it comes.
        """
        request = Request(self.worker, 1)
        self._requests.append(request)
        try:
            return request.wait_at(doorbell, seconds)
        except BackendError:
            return None  # the next look says so

    @property
    def holds_more(self) -> bool:
        """Whether it holds jobs that are not begun."""
        return bool(self.waiting or self._requests)

    def tokens(self) -> set[int]:
        """The claims that it knows of."""
        return {self._hand, *(request.token for request in self._requests.copy())}

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
            self._begun_once = self.progress = None  # the next one may end without having begun
        self._settle(finished)

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

    def began(self, claimed: Claimed, job: Running, started_at: float, since: float) -> None:
        """A job's function is about to be called."""
        self.progress, self.progress_dirty, self.marked, self.deadline = None, False, False, None
        self.since = since
        self.worker.presence.began(self.slot, claimed.seq, claimed.claim, started_at)
        self.running, self.job = claimed, job

    def ended(self, seconds: float) -> None:
        """The function has returned or raised."""
        running, self.running, self.job = self.running, None, None
        self.worker.presence.ended(self.slot)
        if running is not None:
            self._prefetch.note(running.task, seconds)

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
        elif not self.waiting or ledger.is_due(entry.since):
            ledger.send()

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
        with self._handing:
            finished = [Finished(endings.given_back(claimed)) for claimed in self._taken_back()]
            running = self.running
            if running_too and running is not None:
                once = self._begun_once is not None
                finished.append(self._cut_off(running) if once else Finished(endings.given_back(running)))
            for each in finished:
                self.worker.ledger.add(each)
            return len(finished)

    def _taken_back(self) -> list[Claimed]:
        """All that is claimed and not begun, the last first."""
        found: list[Claimed] = []
        try:
            while self._requests:
                request = self._requests.pop()
                request.limit = 0  # if it has to be repeated, only to know what it took
                found += self._answered(request)[::-1]
        except BackendError as error:
            log.warning("Nobody can say which jobs were claimed last (%s); it is asked again.", error)
        with contextlib.suppress(IndexError):
            while True:
                found.append(self.waiting.pop())
        return found

    def close(self) -> None:
        """The thread ends: give back what it has not begun."""
        self.give_back()
        self.worker.lanes.remove(self)
        self.worker.return_slot(self.slot)
