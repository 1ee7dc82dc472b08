"""The way of calls into the store: through the middleware, written in one step, and only then told of."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from huey import signals as S
from huey.api import ResultGroup
from huey.api import Task as HueyTask

from nephew import clock, failpoints
from nephew.backends.records import Enqueued, NewJob
from nephew.draft import Draft
from nephew.errors import NephewError
from nephew.followups import KEPT_OUT, chord_callback
from nephew.job import Relation, new_ids
from nephew.message import are_alike, new_job, new_jobs
from nephew.middleware import Enqueue, Middleware, around_enqueueing
from nephew.redaction import hide_error, hiding
from nephew.result import Mapped, Result

if TYPE_CHECKING:
    from nephew.instance import Nephew

#: Stores a job, or keeps it to be stored with others; returns its handle.
Store = Callable[[HueyTask, NewJob], Any]


class Intake:
    """Takes calls in for one instance."""

    def __init__(self, huey: Nephew) -> None:
        self._huey = huey
        self._is_wrapped = any(type(layer).enqueue is not Middleware.enqueue for layer in huey.middleware)
        self._together: ContextVar[list[HueyTask] | None] = ContextVar("nephew_together", default=None)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Keep the calls that are made here until the end, and store them in one step, all or none."""
        if self._together.get() is not None:
            yield
            return
        calls: list[HueyTask] = []
        token = self._together.set(calls)
        try:
            yield
        finally:
            self._together.reset(token)
        self.many(calls)

    def one(self, task: HueyTask) -> Any:
        """Store a call; its handle, or what the middleware made of it."""
        kept = self._together.get()
        if kept is not None:
            kept.append(task)
            return None
        self._make_ready(task)
        if not self._is_wrapped:
            return self._write_one(task, new_job(self._huey, task))
        stored: list[str] = []

        def store(task: HueyTask, job: NewJob) -> Any:
            stored.append(job.id)
            return self._write_one(task, job)

        handle = self._pass(task, {}, store)
        if not stored and chord_callback(task) is not None:
            self._skip(task)
        return handle

    def _skip(self, task: HueyTask) -> None:
        """A member of a chord was not let pass: it counts as cancelled, so that the others are not in vain."""
        job = new_job(self._huey, task)._replace(eta=clock.LATEST)  # nobody is to begin it meanwhile
        self._huey.backend.enqueue([job])
        self._huey.cancel(job.id, KEPT_OUT)

    def many(self, tasks: Sequence[HueyTask]) -> list[Any]:
        """Store calls in one step, all or none; their handles."""
        for task in tasks:
            self._make_ready(task)
        if not self._is_wrapped:
            return self._write(tasks, [new_job(self._huey, task) for task in tasks])
        each = [self._passed(task, {}) for task in tasks]
        passed = [pair for pairs in each for pair in pairs]
        handles = self._write([task for task, _ in passed], [job for _, job in passed])
        for task, pairs in zip(tasks, each, strict=True):
            if not pairs and chord_callback(task) is not None:
                self._skip(task)
        return handles

    def mapped(self, kind: type[HueyTask], arguments: Sequence[tuple[Any, ...]]) -> ResultGroup:
        """Store calls of one task in one step, all or none; the group of their handles."""
        huey = self._huey
        if self._is_wrapped or not are_alike(kind):
            return ResultGroup(self.many([kind(args, {}) for args in arguments]))
        call = kind()
        self._make_ready(call)
        ids, expires = new_ids(len(arguments)), call.expires_resolved
        stored = self._store(new_jobs(huey, call, ids, arguments))

        def handles() -> list[Result[Any]]:
            made = zip(ids, arguments, strict=True)
            return [Result(huey, kind(args, {}, id=id_, expires_resolved=expires)) for id_, args in made]

        group = Mapped(len(ids), handles)
        if huey.listens(S.SIGNAL_ENQUEUED):
            self._tell([handle.task for handle in group], stored)
        self._run_if_immediate(stored)
        return group

    def again(self, task: HueyTask, job_id: str) -> Result[Any]:
        """Store the call of a job once more; the new job's handle."""
        job = self.following(task, parent=job_id, relation=Relation.RETRY)
        if job is None:
            raise NephewError(f"job {job_id} was not run again: a middleware did not let it pass")
        handle = self._write_one(task, job)
        return handle if isinstance(handle, Result) else next(iter(handle))  # that of the first step

    def following(self, task: HueyTask, **family: Any) -> NewJob | None:
        """What is stored for a call together with something else; None: the middleware did not let it pass.

        :param family: what it follows from; see `new_job`.
        """
        self._make_ready(task)
        with hiding(task):
            try:
                if not self._is_wrapped:
                    return new_job(self._huey, task, **family)
                return next((job for _, job in self._passed(task, family)), None)
            except Exception as error:  # it becomes the error of what it follows from, which hides other things
                shown = hide_error(error)
                if shown is error:
                    raise
                raise shown from None

    def _pass(self, task: HueyTask, family: dict[str, Any], store: Store) -> Any:
        """Let a call pass through the middleware on its way to `store`."""

        def innermost(draft: Draft) -> Any:
            return store(task, draft.applied_to(new_job(self._huey, task, **family)))

        chain: Enqueue = around_enqueueing(self._huey.middleware, innermost)
        return chain(Draft(task, new_job(self._huey, task, **family)))

    def _passed(self, task: HueyTask, family: dict[str, Any]) -> list[tuple[HueyTask, NewJob]]:
        passed: list[tuple[HueyTask, NewJob]] = []

        def collect(task: HueyTask, job: NewJob) -> Result[Any]:
            passed.append((task, job))
            return Result(self._huey, task)

        self._pass(task, family, collect)
        return passed

    def _make_ready(self, task: HueyTask) -> None:
        """Settle when a call expires; seconds are counted by the store's clock."""
        if task.expires is None:
            return
        if isinstance(task.expires, dt.datetime):
            task.resolve_expires(self._huey.utc)
        elif task.expires:
            given = task.expires
            delay = given if isinstance(given, dt.timedelta) else dt.timedelta(seconds=given)
            task.expires_resolved = self._huey._get_timestamp() + delay

    def _write_one(self, task: HueyTask, job: NewJob) -> Any:
        return self._write((task,), (job,))[0]

    def _write(self, tasks: Sequence[HueyTask], jobs: Sequence[NewJob]) -> list[Any]:
        stored = self._store(jobs)
        handles = list(map(self._handle, tasks, stored))
        if self._huey.listens(S.SIGNAL_ENQUEUED):
            self._tell(tasks, stored)
        self._run_if_immediate(stored)
        return handles

    def _store(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        stored = self._huey.backend.enqueue(jobs) if jobs else []
        if failpoints.armed:
            failpoints.reach("enqueued")
        return stored

    def _run_if_immediate(self, stored: Sequence[Enqueued]) -> None:
        if self._huey._immediate:
            self._huey.caller.run([entry.id for entry in stored if not entry.duplicate])

    def _handle(self, task: HueyTask, stored: Enqueued) -> Any:
        if stored.duplicate:
            task.id, task.revoke_id = stored.id, f"r:{stored.id}"
        handle: Result[Any] = Result(self._huey, task, stored.duplicate)
        if task.on_complete is None:
            return handle
        return ResultGroup([handle, *self._huey._pipeline_results(task.on_complete)])

    def _tell(self, tasks: Sequence[HueyTask], stored: Sequence[Enqueued]) -> None:
        for task, entry in zip(tasks, stored, strict=True):
            if not entry.duplicate:
                self._huey._emit(S.SIGNAL_ENQUEUED, task)
