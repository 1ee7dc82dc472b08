"""Running jobs in the calling process: Huey's `dequeue()` and `execute()` by hand, and immediate mode."""

from __future__ import annotations

import datetime as dt
import os
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from huey import signals as S
from huey.api import Task as HueyTask

from nephew import endings, execution
from nephew.backends.records import Claimed
from nephew.endings import Finished
from nephew.errors import NephewError, ShutDown
from nephew.job import State
from nephew.message import decode, new_job

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
                self.huey.settle(endings.unreadable(found[0], error))
                continue
            task.nephew_claim = found[0]
            return task

    def execute(self, task: HueyTask, moment: dt.datetime) -> Any:
        """Run a job, claimed or never enqueued, and settle it; what its function returned."""
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
            for claimed in self.huey.worker.claim(self.huey.worker.next_claim(), 1, ids=[job_id]):
                self._perform(claimed, decode(self.huey, claimed), self.huey._get_timestamp())

    def cancel(self, job_id: str, reason: str) -> bool:
        """Claim a waiting job and end it as cancelled; False when it cannot be claimed."""
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
        outcome = finished.outcome._replace(worker=f"{socket.gethostname()}:{os.getpid()}:caller")
        self._settle(finished._replace(outcome=outcome))
        return finished.value

    def _settle(self, finished: Finished) -> None:
        entry = self.huey.settle(finished)
        if entry.lost:
            return
        execution.tell(self.huey, finished, entry.enqueued)
        if self.huey.immediate:
            again = [finished.outcome.id] if finished.outcome.payload is not None else []
            self.run([*entry.enqueued, *again])


class _Watch:
    """Passes progress straight on; a caller's crash leaves no evidence."""

    def __init__(self, huey: Nephew, claimed: Claimed) -> None:
        self._huey, self._claimed = huey, claimed

    def began(self, claimed: Claimed) -> None:
        pass

    def ended(self) -> None:
        pass

    def report(self, fraction: float, message: str | None) -> None:
        backend, claimed = self._huey.backend, self._claimed
        backend.note_progress(self._huey.worker.number, claimed.seq, claimed.claim, fraction, message)
