"""What a worker does all its life: take a job and run it, or wait until there may be one."""

from __future__ import annotations

import datetime as dt
import logging
import time
import uuid
from typing import TYPE_CHECKING, Any

from huey.consumer import Worker as HueyWorker
from huey.consumer import WorkerRecycle

from nephew.backends.records import Claimed
from nephew.backends.watcher import Doorbell
from nephew.errors import BackendError, ShutDown
from nephew.lane import Lane

if TYPE_CHECKING:
    from nephew.consumer import Consumer
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.loop")

#: An idle worker looks at the queue this often (seconds) even when nobody woke it.
IDLE = 1.0
#: So much later (seconds) the store's answer to that may come.
LATE = 0.5
#: The same while a suspect keeps it from claiming; no bell tells it of the shutdown then.
BARRED = 0.1
#: Seconds between the tries of a step while the store cannot be reached: from, to.
BACKOFF = (0.1, 5.0)


class WorkerLoop(HueyWorker):
    """What one worker thread, process or greenlet does, over and over: take a job, run it."""

    huey: Nephew

    def __init__(self, consumer: Consumer, **options: Any) -> None:
        super().__init__(**options)
        self.consumer = consumer
        self.incarnation = uuid.uuid4().hex
        self._lane: Lane | None = None
        #: What wakes this loop when it is idle, where the store can wake one worker.
        self._doorbell: Doorbell | None = None
        self._pause = BACKOFF[0]

    @property
    def lane(self) -> Lane:
        """This loop's hand of jobs, in the process that runs the loop."""
        if self._lane is None:
            worker = self.consumer.worker_for(self)
            stop = self.consumer.environment.stopper()
            bell = self.consumer.bell if self._doorbell is None else None  # the store rings by itself
            self._lane = Lane(worker, self.consumer.keeper, bell, stop)
        return self._lane

    def initialize(self) -> None:
        """Start what the loop needs in its process, then Huey's start-up hooks."""
        self.consumer.keep(self)
        self._doorbell = self.huey.backend.doorbell()
        super().initialize()

    def loop(self, now: dt.datetime | None = None) -> None:
        """Take and run one job, or wait until there may be one."""
        self._leave_if_orphaned()
        try:
            claimed = self.lane.next()
            if claimed is not None:
                self._run_hand(claimed, now)
        except BackendError as error:
            self._wait_for_store(error)
            return
        except ShutDown:
            raise KeyboardInterrupt from None  # how Huey's loop is ended
        self._pause = BACKOFF[0]
        if claimed is None:
            self._rest(now)

    def _run_hand(self, claimed: Claimed, now: dt.datetime | None) -> None:
        """Run a job and those that were claimed with it."""
        lane = self.lane
        while True:
            lane.run(claimed, now)
            self._count()
            if not lane.waiting:
                return
            following = lane.taken()
            if following is None:
                return
            claimed = following

    def _rest(self, now: dt.datetime | None) -> None:
        if now is not None or self.stop_flag.is_set():
            return
        if self.lane.barred:
            self.lane.worker.gate.await_open(BARRED)
        elif self._doorbell is None:
            self.consumer.bell.wait(IDLE)
        else:
            self._await_call(self._doorbell)

    def _await_call(self, doorbell: Doorbell) -> None:
        """Wait at the store's own bell; what ours rings for is the end, while that one can be heard."""
        bell, called = self.consumer.bell, self.lane.ask(doorbell, IDLE)
        until = time.monotonic() + IDLE + (0.0 if called is None else LATE)
        while bell.wait(max(0.0, until - time.monotonic()), also=called) and called is not None:
            if self.stop_flag.is_set():
                return

    def _leave_if_orphaned(self) -> None:
        keeper = self.consumer.keeper
        if keeper is not None and keeper.orphaned:
            log.warning("The consumer is gone; this worker ends.")
            raise KeyboardInterrupt

    def _count(self) -> None:
        self.task_count += 1
        if self.max_tasks and self.task_count >= self.max_tasks:
            log.info("Worker reached max tasks (%d), exiting.", self.max_tasks)
            raise WorkerRecycle

    def _wait_for_store(self, error: BackendError) -> None:
        """Nothing is lost meanwhile: claims and finished jobs are kept and the same step is repeated."""
        log.warning("The store cannot be reached (%s); trying again in %0.1f s.", error, self._pause)
        self.stop_flag.wait(self._pause)
        self._pause = min(self._pause * 2, BACKOFF[1])

    def shutdown(self) -> None:
        """Give back what was not begun, settle what is finished, then Huey's shutdown hooks."""
        if self._doorbell is not None:
            self._doorbell.close()
        if self._lane is not None:
            self._lane.close()
        self.consumer.release(self)
        super().shutdown()
