"""What people and their tools ask of an instance: looking at jobs, and steering them."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from nephew.job import AttemptLog, Job, State
from nephew.message import options_of
from nephew.result import Result
from nephew.selection import STEP, Selection
from nephew.settings import Keep, Settings

if TYPE_CHECKING:
    from nephew.backends.contract import Backend
    from nephew.backends.records import WorkerRecord
    from nephew.backends.redis import RedisBackend
    from nephew.backends.sql.archive import Archive
    from nephew.caller import Caller
    from nephew.history import History
    from nephew.inspection import Inspection
    from nephew.instance import Nephew
    from nephew.intake import Intake
    from nephew.timetable import Timetable

log = logging.getLogger("huey.nephew")


class Operations:
    """The part of `Nephew` that looks at jobs and steers them."""

    if TYPE_CHECKING:  # what the instance has
        settings: Settings
        intake: Intake
        _registry: Any
        _immediate: bool

        @property
        def backend(self) -> Backend: ...

        @property
        def store(self) -> Archive | None: ...

        @property
        def caller(self) -> Caller: ...

    @property
    def history(self) -> Backend | History:
        """All jobs that are known of, those in an archive included."""
        if self.store is None:
            return self.backend
        from nephew.history import History

        return History(cast("RedisBackend", self.backend), self.store)

    @property
    def inspection(self) -> Inspection:
        """Questions about jobs and workers."""
        from nephew.inspection import Inspection

        return Inspection(cast("Nephew", self))

    @property
    def schedules(self) -> Timetable:
        """The schedules: looking at them, and steering them at run time."""
        from nephew.timetable import Timetable

        return Timetable(cast("Nephew", self))

    def job(self, job_id: str) -> Job | None:
        """The record of a job; None when there is none."""
        return self.inspection.job(job_id)

    def jobs(
        self,
        state: str | State | tuple[str, ...] | list[str] | None = None,
        task: str | None = None,
        queue: str | None = None,
        limit: int | None = 100,
        *,
        tag: str | None = None,
        error: str | None = None,
        older_than: float | dt.timedelta | None = None,
        newer_than: float | dt.timedelta | None = None,
    ) -> list[Job]:
        """Records of jobs, the latest first, as a list has them (see `Job`).

        :param state: one state, or several.
        :param task: the task's stored name, or its last part if only one task is called so.
        :param queue: the queue's name.
        :param limit: at most so many; None: all.
        :param tag: a tag that they have.
        :param error: a fingerprint, or a text in their error, to the letter.
        :param older_than: enqueued longer ago than this (seconds).
        :param newer_than: enqueued less long ago than this (seconds).
        :raises ConfigError: for a state that there is none of.
        """
        return self.inspection.jobs(
            limit,
            state=state,
            task=task,
            queue=queue,
            tag=tag,
            error=error,
            older_than=older_than,
            newer_than=newer_than,
        )

    def logs(self, job_id: str) -> list[AttemptLog]:
        """What a job's function has logged, attempt by attempt."""
        return self.inspection.logs(job_id)

    def workers(self) -> list[WorkerRecord]:
        """The consumers' workers that are alive."""
        return self.inspection.workers()

    def cancel(self, job_id: str, reason: str = "cancelled by request") -> bool:
        """End a job with its pipeline, its chord member and its unique key; one that runs is told to stop.

        :param reason: why, for the record.
        :returns: False when it has ended, or there is none.
        """
        return self.caller.cancel(job_id, reason)

    def retry(self, job_id: str) -> bool:
        """Put an ended or parked job back into the queue, its earlier attempts kept in the record.

        :returns: False when it is waiting or running, another job has taken its unique key, it is the callback
            of a chord and has succeeded, or there is none.
        """
        return bool(self.backend.unpark([job_id])) or self.history.requeue(job_id)

    def rerun(self, job_id: str) -> Result[Any]:
        """Enqueue a job's call once more, as a new job; the old one stays as it is.

        :returns: the new job's handle.
        :raises JobNotFound: when there is no such job.
        :raises NephewError: when it cannot be called again here: its task is unknown, or it is the callback of a chord.
        """
        from nephew.copies import copy_of

        return self.intake.again(copy_of(cast("Nephew", self), job_id), job_id)

    def delete_jobs(self, *job_ids: str) -> int:
        """Delete ended or parked jobs with all that belongs to them; how many. Others are left as they are.

        A parked one is cancelled first: something may wait for its end.
        """
        meant = set(job_ids)
        for parked in Selection(cast("Nephew", self), state=State.PARKED).ids():
            for job_id in meant.intersection(parked):
                self.caller.cancel(job_id, "deleted")
        steps = [job_ids[first : first + STEP] for first in range(0, len(job_ids), STEP)]
        return sum(self.history.delete_jobs(ids, ended=True) for ids in steps)

    def change(
        self,
        job_id: str,
        *,
        priority: float | None = None,
        queue: str | None = None,
        delay: float | None = None,
        eta: dt.datetime | None = None,
        expires: float | dt.timedelta | dt.datetime | None = None,
    ) -> bool:
        """Change a job that waits, and that no worker holds. What is not given stays as it is.

        :param priority: the higher, the earlier.
        :param queue: the queue that it waits in from now on.
        :param delay: run it so many seconds from now; 0: now.
        :param eta: run it then; a naive datetime is in UTC, unless the instance has `utc=False`.
        :param expires: do not run it any more then, or so many seconds from now; `math.inf`: it never expires.
        :returns: False when it is held by a worker, has ended, is parked, or there is none.
        :raises NephewError: when a value cannot be used, or none is given.
        """
        from nephew.changing import change_of

        changed = self.backend.change(job_id, change_of(cast("Nephew", self), priority, queue, delay, eta, expires))
        if changed and self._immediate:
            self.caller.run([job_id])
        return changed

    def run_now(self, job_id: str) -> bool:
        """Let a job that waits for its time run as soon as a worker is free, behind those that wait already.

        :returns: False when it is held by a worker, has ended, is parked, or there is none.
        """
        return self.change(job_id, delay=0)

    def prune(self, keep: Mapping[str, Keep | float | str] | None = None, *, dry_run: bool = False) -> dict[State, int]:
        """Delete the records of ended jobs that are not kept any longer; consumers do so by themselves.

        :param keep: by state, which are kept, as in the settings (`{"failed": "30d, 1000 jobs"}`); a state that is
            not named keeps all. None: as the settings say.
        :param dry_run: only count.
        :returns: how many jobs of each state.
        :raises ConfigError: for a state that does not end a job, or what cannot be read.
        """
        from nephew.pruning import Pruner

        huey, history = cast("Nephew", self), self.history
        pruner = Pruner(huey, keep)
        found = pruner.count() if dry_run else pruner.run()
        if self.store is None:
            return found
        there = cast("History", history).prune(Pruner(huey, keep, self.store), dry_run)
        return {state: count + there.get(state, 0) for state, count in found.items()}

    def unpark_known(self) -> int:
        """Put the parked jobs that can run here back into the queue; how many."""
        from nephew.parking import Parking

        parking = Parking(cast("Nephew", self))
        while parking.step():
            pass
        return parking.released

    def max_crashes(self, task: str) -> int:
        """How often jobs of a task may take their worker down."""
        known = self._registry._registry.get(task)
        options = None if known is None else options_of(known)
        return self.settings.max_crashes if not options or not options.max_crashes else options.max_crashes
