"""Running jobs in the calling process: Huey's `dequeue()` and `execute()` by hand, and immediate mode."""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from huey import signals as S
from huey.api import Task as HueyTask

from nephew import clock, endings, execution
from nephew.backends.records import Claimed
from nephew.current import Running
from nephew.endings import Finished
from nephew.errors import NephewError, ShutDown
from nephew.job import State
from nephew.journal import Line
from nephew.message import decode, new_job
from nephew.shield import my_shield

if TYPE_CHECKING:
    from nephew.instance import Nephew


class Caller:
    """Claims, runs and settles jobs one by one, on the thread that asks for it."""

    def __init__(self, huey: Nephew) -> None:
        self.huey = huey

    def dequeue(self) -> HueyTask | None:
        """Claim the next job that can be run here."""
        while True:
            found = self.huey.worker.claim(self.huey.worker.next_claim(), 1)
            if not found:
                return None
            try:
                task = decode(self.huey, found[0])
            except NephewError as error:
                self.huey.settle(endings.unrunnable(found[0], error))
                continue
            task.nephew_claim = found[0]
            if task.eta is not None:
                self._heed_change(task)
            return task

    def _heed_change(self, task: HueyTask) -> None:
        """A job that was given another time has it in its row; its message still says the first."""
        row = self.huey.backend.row(task.id)
        if row is not None and row.eta is not None:
            task.eta = clock.to_naive(row.eta, self.huey.utc)

    def execute(self, task: HueyTask, moment: dt.datetime) -> Any:
        """Run a job, claimed or never enqueued, and settle it; what its function returned."""
        with my_shield():  # what stops a job that calls this must not leave the other one claimed
            return self._execute(task, moment)

    def _execute(self, task: HueyTask, moment: dt.datetime) -> Any:
        claimed = self._claim_of(task)
        if self.huey.ready_to_run(task, moment):
            return self._perform(claimed, task, moment)
        eta = new_job(self.huey, task).eta
        later = endings.given_back(claimed)._replace(state=State.SCHEDULED, eta=eta)
        self._settle(Finished(later, task, ((S.SIGNAL_SCHEDULED, task),)))
        return None

    def run(self, ids: Sequence[str]) -> None:
        """Immediate mode: run these jobs, and what follows from them, before returning."""
        for job_id in ids:
            row = self.huey.backend.row(job_id)
            if row is None or row.state != State.QUEUED:
                continue  # it waits for its time
            with my_shield():
                for claimed in self.huey.worker.claim(self.huey.worker.next_claim(), 1, ids=[job_id]):
                    self._perform(claimed, decode(self.huey, claimed), self.huey._get_timestamp())

    def cancel(self, job_id: str, reason: str) -> bool:
        """End a waiting job, or have the worker that holds it stop it; False when it has ended."""
        # Between the two questions a worker may have taken it, or given it back.
        steps = (self._end_waiting, self.huey.backend.ask_to_stop, self._end_waiting)
        with my_shield():  # what stops a job that calls this must not leave the other one claimed
            return any(step(job_id, reason) for step in steps)

    def _end_waiting(self, job_id: str, reason: str) -> bool:
        for claimed in self.huey.worker.claim(self.huey.worker.next_claim(), 1, ids=[job_id]):
            try:
                task = decode(self.huey, claimed)
            except NephewError:
                task = None  # parked bytes can be cancelled as well
            outcome = endings.ended_unrun(self.huey, claimed, task, State.CANCELLED, reason)
            return not self.huey.settle(Finished(outcome, task)).lost
        return False

    def _claim_of(self, task: HueyTask) -> Claimed:
        """The claim that `dequeue` took, or a new one; with what revokes the job by now."""
        claimed: Claimed | None = task.__dict__.pop("nephew_claim", None)
        if claimed is None:
            self.huey.backend.enqueue([new_job(self.huey, task)])
            found = self.huey.worker.claim(self.huey.worker.next_claim(), 1, ids=[task.id])
            if not found:
                raise NephewError(f"job {task.id} is being run by another worker; it was not run here")
            claimed = found[0]
        keys = [task.revoke_id, self.huey._task_key(type(task), "rt")]
        return claimed._replace(revokes=self.huey.backend.peek(keys))

    def _perform(self, claimed: Claimed, task: HueyTask, moment: dt.datetime) -> Any:
        watch = _Watch(self.huey, claimed)
        try:
            finished = execution.perform(self.huey, claimed, task, moment, watch)
        except ShutDown:
            finished = endings.interrupted(claimed, task)
        return self._settle(finished).value

    def _settle(self, finished: Finished) -> Finished:
        """Settle an end and tell of it; what it came to, should it have been overruled."""
        entry = self.huey.settle(finished)
        if entry.lost:
            return finished
        execution.tell(self.huey, entry.finished, entry.enqueued)
        if self.huey.immediate:
            again = [finished.outcome.id] if finished.outcome.payload is not None else []
            self.run([*entry.enqueued, *again])
        return entry.finished


class _Watch:
    """Passes progress straight on; a caller's crash leaves no evidence."""

    progress: tuple[float, str | None] | None = None

    def __init__(self, huey: Nephew, claimed: Claimed) -> None:
        self._huey, self._claimed = huey, claimed
        self.worker = huey.worker

    def give_back(self) -> None:
        """Nothing is claimed ahead here."""

    def label(self) -> str:
        return f"{socket.gethostname()}:{os.getpid()}:caller"

    def began(self, claimed: Claimed, job: Running, started_at: float, since: float) -> None:
        pass

    def ended(self, seconds: float) -> None:
        pass

    def noted(self, job: Running, line: Line) -> None:
        pass

    def end_at(self, deadline: float) -> None:
        """Nothing here could stop it: the calling thread runs it itself."""

    def begin_once(self) -> bool:
        backend, claimed = self._huey.backend, self._claimed
        return backend.begin_once(self._huey.worker.number, claimed.seq, claimed.claim, backend.now())

    def asked_to_stop(self) -> str | None:
        ours = self._claimed.seq, self._claimed.claim
        asked = self._huey.worker.asked_to_stop()
        return next((reason for seq, claim, reason in asked if (seq, claim) == ours), None)

    def report(self, fraction: float, message: str | None) -> None:
        backend, claimed = self._huey.backend, self._claimed
        backend.note_progress(self._huey.worker.number, claimed.seq, claimed.claim, fraction, message)
