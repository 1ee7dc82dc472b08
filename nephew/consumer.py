"""The consumer: starts worker loops and a scheduler, sees them die, wakes them, and drains them at the end.

Huey's consumer with the loop bodies replaced: the stock `huey_consumer` command builds it through
`huey.create_consumer()`.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import select
import signal
import threading
import time
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from huey.consumer import Consumer as HueyConsumer
from huey.consumer import ConsumerStopped

from nephew import death, failpoints, logs, presence
from nephew.bell import ForkBell, ThreadBell
from nephew.deadline import Deadline
from nephew.environments import ENVIRONMENTS
from nephew.errors import BackendError, ConfigError, SchemaError
from nephew.keeper import Keeper
from nephew.loop import WorkerLoop
from nephew.recovery import Reaper
from nephew.scheduler import Scheduler
from nephew.stops import spare_children
from nephew.version import __version__
from nephew.worker import Worker

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.consumer")

#: A thread that has run its number of jobs is replaced within this (seconds).
RECYCLED_WITHIN = 0.01


class Consumer(HueyConsumer):
    """Runs an instance's jobs until it is told to stop."""

    huey: Nephew
    scheduler: Any
    _signum: int | None

    def __init__(self, huey: Nephew, **options: Any) -> None:
        self.incarnation = uuid.uuid4().hex
        self.worker: Worker | None = None
        self.keeper: Keeper | None = None
        self._sharing = threading.Lock()
        self._loops_in_process = 0
        self._next_heartbeat = 0.0
        self._watcher: Any = None
        self._running = self._stopping = self._drained = self._hurry = False
        #: The scheduler has let everything end, since a newer Nephew has migrated the tables.
        self._outdated = False
        self._deadline = Deadline(self)
        logs.install(huey.settings)
        huey.start_consuming()
        super().__init__(huey, **options)

    # -- what Huey's constructor asks for -----------------------------------------------------------
    def get_environment(self, worker_type: str) -> Any:
        """The environment for a worker type, and the bells that go with it."""
        if worker_type not in ENVIRONMENTS:
            raise ValueError(f"worker_type must be one of {', '.join(ENVIRONMENTS)}, got {worker_type!r}")
        environment = ENVIRONMENTS[worker_type](self._graceful_sig, self._interrupt_sig)
        if environment.forks:
            if not self.huey.backend.shared:
                raise ConfigError("expected a store that processes can share, got memory://; use -k thread with it")
            self.bell: Any = ForkBell(environment.lifeline)
            self.scheduler_bell: Any = ForkBell(environment.lifeline)
        else:
            answers = self.huey.backend.doorbell() is not None
            self.bell, self.scheduler_bell = ForkBell() if answers else ThreadBell(), ThreadBell()
        self._bell_read, self._bell_write = os.pipe()
        os.set_blocking(self._bell_read, False)
        os.set_blocking(self._bell_write, False)
        return environment

    def _create_worker(self) -> WorkerLoop:
        return WorkerLoop(
            self,
            huey=self.huey,
            stop_flag=self.stop_flag,
            default_delay=self.default_delay,
            max_delay=self.max_delay,
            backoff=self.backoff,
            max_tasks=self.max_tasks,
        )

    def _create_scheduler(self) -> Scheduler:
        scheduler = self.scheduler_class if self.scheduler_class is not HueyConsumer.scheduler_class else Scheduler
        return scheduler(
            huey=self.huey,
            stop_flag=self.stop_flag,
            interval=self.scheduler_interval,
            periodic=self.periodic,
            bell=self.scheduler_bell,
            signs_off=bool(self.environment.forks),
        )

    # -- what the loops ask for ---------------------------------------------------------------------
    def worker_for(self, loop: WorkerLoop) -> Worker:
        """The worker that `loop` claims for: its own process, or the one that all threads share."""
        with self._sharing:
            if self.worker is None:
                slots = 1 if self.environment.forks else max(self.workers, 1)
                names = {"incarnation": loop.incarnation, "parent": self.incarnation, "kind": self.worker_type}
                self.worker = Worker(self.huey, **names, slots=slots)
                self.huey.adopt_worker(self.worker)
            return self.worker

    def keep(self, loop: WorkerLoop) -> None:
        """A loop starts in this process."""
        worker = self.worker_for(loop)
        with self._sharing:
            self._loops_in_process += 1
            if self.keeper is None:
                self.keeper = Keeper(worker, self.environment.lifeline if self.environment.forks else None)
                self.keeper.start()

    def release(self, loop: WorkerLoop) -> None:
        """A loop ends; the last one of a process signs the worker off."""
        if self.worker is None:
            return
        try:
            self.worker.ledger.flush()
            with self._sharing:
                self._loops_in_process -= 1
                if self._loops_in_process <= 0:
                    if self.keeper is not None:
                        self.keeper.stop()
                        self.keeper = None  # a loop that comes later starts another
                    self.worker.retire()
            self.huey.backend.close()
        except BackendError as error:
            log.warning("The store cannot be told of this worker's end (%s); the reaper will find it.", error)

    # -- life ---------------------------------------------------------------------------------------
    def run(self) -> None:
        """Run jobs until a signal comes.

        A signal ends this whole process if the store keeps the consumer from ending: see `nephew.deadline`.
        A program that calls `start()` and `stop()` instead sees to its end itself.

        :raises SchemaError: when the tables are a newer Nephew's, at the start or later.
        """
        self._running = True
        super().run()
        if self._outdated:
            raise SchemaError("a newer Nephew has migrated the tables; this consumer has ended; upgrade it")

    def start(self) -> None:
        """Prepare the store, give back what dead workers left, then start everything."""
        self._prepare()
        gc.collect()
        gc.freeze()  # a collection looks at none of what is there by now, and so does not copy it in forked workers
        self._set_signal_handlers()  # from the first worker on, a signal must not cut off a job
        if not self.environment.forks:
            spare_children()
        super().start()
        self._watcher = self.huey.backend.watcher()

    def _prepare(self) -> None:
        log.info(
            logs.start_line(
                version=__version__,
                backend=self.huey.backend.description,
                workers=self.workers,
                worker_type=self.worker_type,
                queues=self.huey.settings.queues,
                schedules={plan.name: plan.schedule for plan in self.huey.schedules.of_code()},
            )
        )
        while True:
            try:
                self.huey.prepare_store()
                self.huey.schedules.check()
                Reaper(self.huey).reap()
                break
            except BackendError as error:
                log.warning("The store cannot be reached (%s); trying again in 1 s.", error)
                time.sleep(1)
        for warning in self.huey.backend.warnings():
            log.warning("%s", warning)
        if failpoints.armed:
            log.warning("NEPHEW_FAILPOINTS is set: files in %s make this consumer wait or fail.", failpoints.armed)
        if self.environment.forks:
            self.huey.close_before_fork()

    def loop(self, health_check_ts: float | None = None) -> float | None:
        """Wait for a signal, a child's death or a write in the store; pass each on."""
        try:
            self._wait()
        except KeyboardInterrupt:
            self._signum, self._restart = signal.SIGINT, False
        if self._signum is not None:
            log.info("Received %s", signal.Signals(self._signum).name)
            self.stop(graceful=True)
            raise ConsumerStopped
        if self.stop_flag.is_set():
            if not self._stopping:
                self._outdated = True
                self.stop(graceful=True)
            raise ConsumerStopped
        self._heartbeat()
        return self._check_health(health_check_ts)

    def _wait(self) -> None:
        """Until a signal came, a child died, or a tenth of a second is over; wakes workers on every write."""
        poller = select.poll()
        poller.register(self._bell_read, select.POLLIN)
        watcher = self._watcher
        watched = None if watcher is None else watcher.fileno()
        for descriptor in (watched, *self._sentinels()):
            if descriptor is not None:
                poller.register(descriptor, select.POLLIN)
        interval = self._stop_flag_timeout if watcher is None or watcher.interval is None else watcher.interval
        recycles = self.max_tasks and self._health_check and not self.environment.forks  # a process has a sentinel
        if recycles:
            interval = min(interval, RECYCLED_WITHIN)
        until = time.monotonic() + self._stop_flag_timeout
        while True:  # this is what an idle consumer does, some hundred times a second: keep it lean
            ready = poller.poll(interval * 1000)
            if watcher is not None and watcher.changed():
                self.bell.ring()
                self.scheduler_bell.ring()
            if any(descriptor != watched for descriptor, _ in ready) or time.monotonic() >= until:
                return
            if recycles and self._has_dead_worker():
                return

    def _sentinels(self) -> list[int]:
        if not self.environment.forks:
            return []
        processes = [process for _, process in self.worker_threads] + [self.scheduler]
        return [process.sentinel for process in processes if process.pid is not None]

    def _heartbeat(self) -> None:
        if not self.huey.backend.heartbeats or time.monotonic() < self._next_heartbeat:
            return
        self._next_heartbeat = time.monotonic() + self.huey.settings.heartbeat
        names = [loop.incarnation for loop, _ in self.worker_threads] if self.environment.forks else []
        names += [worker.incarnation for worker in (self.worker, self.huey.worker) if worker is not None]
        try:
            self.huey.backend.heartbeat(names)
        except BackendError as error:
            log.warning("The store did not take a heartbeat (%s); the next is tried in 1 s.", error)
            self._next_heartbeat = time.monotonic() + 1.0

    def _check_health(self, health_check_ts: float | None) -> float | None:
        """Look after dead workers, and a dead scheduler, at once, not only at Huey's pace."""
        if self._health_check and (self._has_dead_worker() or not self.environment.is_alive(self.scheduler)):
            if not self.stop_flag.is_set():  # at the end they die one after the other, and are to
                self.check_worker_health()
            return time.monotonic()
        return health_check_ts

    def _has_dead_worker(self) -> bool:
        return any(not self.environment.is_alive(process) for _, process in self.worker_threads)

    def check_worker_health(self) -> bool:
        """Give back what dead worker processes held, and replace them; whether all were alive."""
        processes = [process for _, process in self.worker_threads]
        dead = [index for index, process in enumerate(processes) if not self.environment.is_alive(process)]
        timekeeper_died = not self.environment.is_alive(self.scheduler)
        if not dead and not timekeeper_died:
            return True
        if self.environment.forks:
            self._bury([self.worker_threads[index] for index in dead])
            self._before_fork()
        for index in dead:
            self._replace(index)
        if timekeeper_died:
            self._logger.warning("Scheduler died, restarting.")
            self.scheduler = self._create_process(self._create_scheduler(), "Scheduler")
            self.scheduler.start()
        if self.environment.forks:
            self._watcher = self.huey.backend.watcher()
        return False

    def _replace(self, index: int) -> None:
        self._logger.warning("Worker %d died, restarting.", index + 1)
        loop = self._create_worker()
        process = self._create_process(loop, f"Worker-{index + 1}")
        process.start()
        self.worker_threads[index] = (loop, process)

    def _bury(self, dead: Sequence[tuple[WorkerLoop, Any]]) -> None:
        """Give back what these worker processes held."""
        causes = {loop.incarnation: death.of_child(process.exitcode, process.peak_memory) for loop, process in dead}
        reaper = Reaper(self.huey)
        try:
            for worker in self.huey.backend.workers() if dead else ():
                if worker.incarnation in causes:
                    reaper.bury(worker, causes[worker.incarnation])
                    self._deadline.prolong()
        except BackendError as error:
            log.warning("The store cannot be told that a worker died (%s); the scheduler will see it.", error)

    def _before_fork(self) -> None:
        """A forked child must share no open database with its parent."""
        if self._watcher is not None:
            self._watcher.close()
        self.huey.close_before_fork()

    # -- the end ------------------------------------------------------------------------------------
    def _handle_signal(self, signum: int, frame: Any) -> None:
        """Instead of Huey's, by which a second signal is a KeyboardInterrupt wherever it strikes."""
        restart, graceful = self._signal_actions[signum]
        if self._running and self._signum is not None and not restart:
            # At once. By a flag, since gevent does not survive an exception while greenlets are joined.
            self._hurry, self._restart = True, False
            self._deadline.set(0.0)
        elif not (self._stopping and restart):  # who was told to end does not start anew
            self._signum, self._restart, self._graceful = signum, restart, graceful
            if self._running:
                self._deadline.set(self._drain_seconds())
            elif not restart:
                signal.signal(signum, signal.default_int_handler)
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # it is awake
            os.write(self._bell_write, b"!")

    def stop(self, graceful: bool = False) -> None:
        """Stop: running jobs may finish for a while, the others go back to the queue.

        :param graceful: False: interrupt the running jobs at once; they go back as well.
        """
        self._stopping = True
        self.stop_flag.set()
        self._wake()
        if graceful:
            log.info("Shutting down: running jobs have %s s to finish.", self._drain_seconds())
            try:
                self._drained = self._join_workers()
            except KeyboardInterrupt:
                log.info("Received request to shut down now.")
                self._restart = False
        if not self._drained:
            self._logger.warning("Shutdown timeout is over, interrupting workers; their jobs go back to the queue.")
            self._interrupt_workers()
        self._take_back()
        if self._watcher is not None:
            self._watcher.close()
        self.huey.stop_consuming()
        gc.unfreeze()
        self._deadline.call_off()

    def _drain_seconds(self) -> float:
        return float(self.huey.settings.drain if self.shutdown_timeout is None else self.shutdown_timeout)

    def _join_workers(self) -> bool:
        """Wait for the loops to end; whether they all did in time."""
        deadline = time.monotonic() + self._drain_seconds()
        started = [p for _, p in self.worker_threads] + [self.scheduler]
        while True:
            alive = [process for process in started if self.environment.is_alive(process)]
            if not alive:
                return True
            if self._hurry:
                raise KeyboardInterrupt
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self.bell.ring()
            self.scheduler_bell.ring()
            alive[0].join(min(left, 0.02))

    def _take_back(self) -> None:
        """Give back what workers still hold that were killed or interrupted."""
        if self.environment.forks:
            self._bury([each for each in self.worker_threads if each[1].exitcode or not self._drained])
        elif self.worker is not None and not self._drained:
            self.worker.give_back_all()
            self._deadline.prolong()

    def _interrupt_workers(self) -> None:
        """Interrupt all code of jobs; nobody is to blame for the end of a process that has to be killed."""
        self.huey.interrupting = True
        alive = [(loop, process) for loop, process in self.worker_threads if self.environment.is_alive(process)]
        self.environment.interrupt_workers([process for _, process in alive])
        if self.environment.forks:
            for loop, _ in alive:
                presence.acquit(self.huey.inspection.run_dir(), loop.incarnation)
            self.scheduler.kill()
            self.scheduler.join()
        elif self.worker is not None:
            self.worker.break_off(list(self.worker.lanes))
