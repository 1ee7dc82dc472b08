"""Finds dead workers and gives back what they held; fails the jobs that have killed too many."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from huey.api import Task as HueyTask
from huey.utils import Error

from nephew import death, endings, failpoints, fingerprint, lastwords, presence
from nephew.backends.records import Claimed, Died, WorkerRecord
from nephew.endings import Finished
from nephew.errors import NephewError
from nephew.job import State
from nephew.message import decode

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.recovery")


#: The claims that a worker was running when it died, and since when.
Evidence = dict[tuple[int, int], float]

#: A process is no younger than its registration, but for as much (seconds) as two clocks differ.
TOLERANCE = 2.0


class Reaper:
    """Looks after the workers of an instance, its own host's and others'."""

    def __init__(self, huey: Nephew) -> None:
        self.huey = huey
        self._boot, self._pid_namespace = presence.boot_id(), presence.pid_namespace()
        self._stopped_since: dict[str, float] = {}

    def reap(self) -> int:
        """Give back the claims of all dead workers; how many workers were dead."""
        workers = self.huey.backend.workers()
        verdicts = [self._verdict(worker, workers) for worker in workers]
        dead = [verdict for verdict in verdicts if verdict is not None]
        for worker, died in dead:
            self._bury(worker, died)
        orphans = self.huey.backend.release_orphans()
        if orphans:
            log.warning("%d jobs were held by workers that are not registered; they are back in the queue.", orphans)
        if self.huey.backend.has_lost():
            heir = self.huey.worker
            for claimed in self.huey.backend.take_over(heir.number, heir.next_claim()):
                self._end(claimed, "it is gone")
        presence.sweep(self.huey.settings.run_dir or self.huey.backend.run_dir())
        return len(dead)

    def bury(self, worker: WorkerRecord, cause: str) -> None:
        """Give back at once what a child of ours held that has just died."""
        found = presence.look(worker.path, worker.incarnation)
        self._bury(worker, _died(worker, found.running, cause))

    def _verdict(self, worker: WorkerRecord, workers: Sequence[WorkerRecord]) -> tuple[WorkerRecord, Died] | None:
        if worker.boot == self._boot:
            found = presence.look(worker.path, worker.incarnation)
            if found.alive is True or self._outlived_its_file(worker, workers):
                return self._stalled(worker)
            if found.alive is False:
                return worker, _died(worker, found.running, self._unseen("its process is gone", worker, found.running))
            if not self.huey.backend.heartbeats and not worker.path:
                return None  # a system without file locks: nothing tells
            if not self.huey.backend.heartbeats:
                return worker, _died(worker, None, self._unseen("its process is gone and has left no trace", worker))
        elif not self.huey.backend.heartbeats:
            return worker, Died(worker.number, None, "its host was started anew", charged=False)
        return self._silent(worker)

    def _outlived_its_file(self, worker: WorkerRecord, workers: Sequence[WorkerRecord]) -> bool:
        """Whether the process that registered still runs, though its file is lost or its lock was.

        A lock is lost when anything in the process opens and closes the file, a backup say. SIGHUP frees it as
        well: the consumer goes on as another worker in the same process, and that one's registration tells.
        """
        ours = (self._boot, self._pid_namespace)
        if not worker.path or (worker.boot, worker.pid_namespace) != ours or worker.pid == os.getpid():
            return False
        age = presence.process_age(worker.pid)
        if age is None or age + TOLERANCE < self.huey.backend.now() - worker.started_at:
            return False
        return not any(
            (other.boot, other.pid_namespace, other.pid, other.kind) == (*ours, worker.pid, worker.kind)
            and other.number > worker.number
            for other in workers
        )

    def _silent(self, worker: WorkerRecord) -> tuple[WorkerRecord, Died] | None:
        silence = self.huey.backend.now() - worker.heartbeat_at
        if silence < self.huey.settings.lease:
            return None
        return worker, _died(worker, None, self._unseen(f"no heartbeat from {worker.host} for {silence:.0f} s", worker))

    def _unseen(self, how: str, worker: WorkerRecord, running: Evidence | None = None) -> str:
        """The end of a process that nobody saw end: it lived when it was last heard of, and when it began its jobs."""
        signs = [worker.started_at, worker.heartbeat_at, *(running or {}).values()]
        return death.unseen(how, max(signs), self.huey.backend.now())

    def _stalled(self, worker: WorkerRecord) -> tuple[WorkerRecord, Died] | None:
        """A process that lives and is stopped past its lease loses its claims; nobody is charged."""
        same_processes = worker.pid_namespace == self._pid_namespace
        if not (same_processes and presence.is_stopped(worker.pid)):
            self._stopped_since.pop(worker.incarnation, None)
            return None
        since = self._stopped_since.setdefault(worker.incarnation, time.monotonic())
        stopped = time.monotonic() - since
        if stopped < self.huey.settings.lease:
            return None
        cause = f"its process {worker.pid} has been stopped for {stopped:.0f} s"
        return worker, Died(worker.number, {}, cause, charged=False)

    def _bury(self, worker: WorkerRecord, died: Died) -> None:
        self._keep_last_words(worker)
        heir = self.huey.worker
        if failpoints.armed:
            failpoints.reach("before-reap")
        doomed = self.huey.backend.reap(died, heir.number, heir.next_claim(), self.huey.max_crashes)
        if failpoints.armed:
            failpoints.reach("reaped")
        log.warning(
            "Worker %d (process %d on %s) ended: %s; its jobs are back in the queue.",
            worker.number,
            worker.pid,
            worker.host,
            died.cause,
        )
        for claimed in doomed:
            self._end(claimed, died.cause)
        if not presence.look(worker.path, worker.incarnation).alive:  # a stalled one may be dead by now
            presence.discard(worker.path)

    def _keep_last_words(self, worker: WorkerRecord) -> None:
        """Add what its jobs logged in its last moments to what the store has of it, while its claims still stand."""
        words = presence.look(worker.path, worker.incarnation).words
        spoken = [said for each in words if (said := lastwords.found_in(each)) is not None and said.lines]
        if not spoken:
            return
        try:
            ids = {(seq, claim): job_id for seq, job_id, claim in self.huey.backend.held(worker.number)}
            for said in spoken:
                if job_id := ids.get((said.seq, said.claim)):
                    self._complete_log(worker, job_id, said)
        except NephewError as error:  # no reason to leave the dead unburied
            log.warning("The last lines that worker %d logged could not be stored: %s", worker.number, error)

    def _complete_log(self, worker: WorkerRecord, job_id: str, said: lastwords.Words) -> None:
        backend = self.huey.backend
        stored = next((log for log in backend.logs(job_id) if log.attempt == said.attempt), None)
        whole = lastwords.completed(stored, said, self.huey.settings.log_lines)
        backend.note_log(worker.number, said.seq, said.claim, whole)

    def _end(self, claimed: Claimed, cause: str) -> None:
        """A job is not to run again: it has killed its worker too often, or may be begun only once."""
        if claimed.once:
            self.huey.settle(endings.lost(self.huey, claimed, self._decoded(claimed), f"its worker ended: {cause}"))
        else:
            self._fail(claimed, cause)

    def _decoded(self, claimed: Claimed) -> HueyTask | None:
        try:
            return decode(self.huey, claimed)
        except NephewError:
            return None

    def _fail(self, claimed: Claimed, cause: str) -> None:
        reason = f"its worker died {claimed.crashes} times while it was running; the last time: {cause}"
        log.error("Job %s (%s) is failed: %s.", claimed.id, claimed.task, reason)
        task = self._decoded(claimed)
        error = Error({"error": reason, "retries": 0, "traceback": reason, "task_id": claimed.id})
        outcome = endings.ended_unrun(self.huey, claimed, task, State.FAILED, reason, error)
        follow_ups = endings.crash_handler(self.huey, task, reason, claimed.attempts)
        kind = fingerprint.of_crash(claimed.task, cause)
        self.huey.settle(Finished(outcome._replace(follow_ups=follow_ups, fingerprint=kind), task))


def _died(worker: WorkerRecord, running: Evidence | None, cause: str) -> Died:
    """To blame is who ran alone. Of several nobody knows who it was; from now on each of them runs alone."""
    if running is not None and len(running) > 1:
        return Died(worker.number, {}, cause, suspects=frozenset(running))
    return Died(worker.number, running, cause)
