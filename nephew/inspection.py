"""Records of jobs, decoded for people and programs; what the faces ask instead of a backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from huey.utils import Error

from nephew import clock, presence
from nephew.backends.records import AttemptRow, Filter, LockRow, Row, Schema, WorkerRecord
from nephew.errors import ConfigError
from nephew.job import Attempt, Job, Progress, State
from nephew.options import TaskOptions

if TYPE_CHECKING:
    from nephew.instance import Nephew


class Status(NamedTuple):
    """How an instance is doing.

    :ivar oldest_waiting: seconds that the oldest waiting job has waited; None: none waits.
    """

    counts: dict[State, int]
    oldest_waiting: float | None
    workers: list[WorkerRecord]
    backend: str


class TaskInfo(NamedTuple):
    """A registered task.

    :ivar name: the name that its jobs are stored with.
    :ivar schedule: what makes it due by itself; None: only calls do.
    :ivar takes_job: whether its function is given the job as the keyword `task` (Huey's `context=True`).
    :ivar new_call: makes a call of it, to be enqueued, from positional and keyword arguments.
    """

    name: str
    queue: str
    retries: int
    schedule: object | None
    function: Callable[..., Any]
    takes_job: bool
    new_call: Callable[..., Any]


class Inspection:
    """Questions about the jobs of an instance."""

    def __init__(self, huey: Nephew) -> None:
        self._huey = huey
        self._backend = huey.backend

    def job(self, job_id: str) -> Job | None:
        """The record of a job with all its attempts; None when there is none."""
        row = self._backend.row(job_id)
        return None if row is None else self._job(row, self._backend.attempts(job_id))

    def jobs(
        self,
        state: str | State | tuple[str, ...] | list[str] | None = None,
        task: str | None = None,
        queue: str | None = None,
        limit: int | None = 100,
    ) -> list[Job]:
        """Records of jobs, the latest first, without the attempts that failed.

        :param task: the task's stored name, or its last part if only one task is called so.
        :raises ConfigError: for a state that there is none of.
        """
        rows = self._backend.rows(Filter(_states(state), self._task_name(task), queue), limit)
        return [self._job(row, ()) for row in rows]

    def status(self) -> Status:
        """Counts, the oldest waiting job and the live workers."""
        oldest = self._backend.oldest_waiting()
        return Status(
            {State(state): count for state, count in self._backend.counts().items()},
            None if oldest is None else max(0.0, self._backend.now() - oldest),
            self.workers(),
            self._backend.description,
        )

    def workers(self) -> list[WorkerRecord]:
        """The workers of consumers that are alive now."""
        return [w for w in self._backend.workers() if w.kind != "caller" and self._is_alive(w)]

    def locks(self) -> list[LockRow]:
        """The locks that are held."""
        return self._backend.locks()

    def tasks(self) -> list[str]:
        """The names of the registered tasks."""
        return sorted(self._huey._registry._registry)

    def catalogue(self) -> list[TaskInfo]:
        """The registered tasks with what is known of them, by name."""
        return [_task_info(name, made) for name, made in sorted(self._huey._registry._registry.items())]

    @property
    def place(self) -> str:
        """Where the jobs are kept, in words."""
        return self._backend.description

    def run_dir(self) -> str:
        """The folder of the small files by which workers of one host see each other."""
        return self._huey.settings.run_dir or self._backend.run_dir()

    def schema(self) -> Schema:
        """The versions of the tables. Only looks: no file and no table is made.

        :raises BackendError: when the store cannot be reached or written.
        """
        return self._backend.schema()

    def migrate(self) -> tuple[int, int]:
        """Bring the tables up to date; their versions before and after."""
        return self._backend.migrate()

    def break_lock(self, name: str) -> bool:
        """Take a lock from whoever holds it; False when nobody does."""
        return self._backend.release_lock(name, None)

    def _is_alive(self, worker: WorkerRecord) -> bool:
        if worker.boot == presence.boot_id():
            found = presence.look(worker.path, worker.incarnation).alive
            if found is not None:
                return found
        if not self._backend.heartbeats:
            return False
        return self._backend.now() - worker.heartbeat_at < self._huey.settings.lease

    def _task_name(self, task: str | None) -> str | None:
        names = self.tasks()
        if task is None or task in names:
            return task
        same = [name for name in names if name.rpartition(".")[2] == task]
        return same[0] if len(same) == 1 else task

    def _job(self, row: Row, stored: list[AttemptRow] | tuple[()]) -> Job:
        args, kwargs, expires = self._arguments(row.payload)
        attempts = tuple(_attempt(entry) for entry in stored) + _last(row)
        result = self._result(row)
        failed = isinstance(result, Error)
        traceback = next((a.traceback for a in reversed(attempts) if a.traceback), None)
        return Job(
            id=row.id,
            task=row.task,
            queue=row.queue,
            state=State(row.state),
            priority=row.priority,
            args=args,
            kwargs=kwargs,
            attempts=attempts,
            crashes=row.crashes,
            enqueued_at=clock.aware(row.enqueued_at),
            eta=clock.aware(row.eta),
            expires=clock.aware(expires),
            started_at=clock.aware(row.started_at),
            finished_at=clock.aware(row.finished_at),
            worker=row.worker_label,
            result=None if failed else result,
            error=row.error or (result.metadata.get("error") if failed else None),
            traceback=traceback,
            progress=None if row.progress is None else Progress(row.progress, row.progress_message),
            reason=row.reason,
            unique_key=row.unique_key,
        )

    def _arguments(self, payload: bytes) -> tuple[tuple[Any, ...] | None, dict[str, Any] | None, float | None]:
        try:
            message = self._huey.serializer.deserialize(payload)
            args, kwargs, expires = tuple(message.args), dict(message.kwargs), message.expires_resolved
        except Exception:  # not a job: it is parked, and shown without arguments
            return None, None, None
        return args, kwargs, clock.to_epoch(expires, self._huey.utc)

    def _result(self, row: Row) -> Any:
        if row.result is None:
            return None
        try:
            return self._huey.serializer.deserialize(row.result)
        except Exception as error:  # another serializer's
            return f"<unreadable result: {error}>"


def _task_info(name: str, made: Any) -> TaskInfo:
    """What a task class, as the registry keeps it, tells."""
    options = getattr(made, "nephew_options", TaskOptions())
    function = getattr(made, "nephew_function", made.execute)
    schedule = getattr(made, "nephew_schedule", None)
    return TaskInfo(name, options.queue, made.default_retries or 0, schedule, function, bool(made.context), made)


def _states(state: str | State | tuple[str, ...] | list[str] | None) -> tuple[str, ...]:
    if state is None:
        return ()
    wanted = [state] if isinstance(state, str) else list(state)
    for name in wanted:
        if name not in list(State):
            raise ConfigError(f"expected a state of {', '.join(State)}; got {name!r}")
    return tuple(str(name) for name in wanted)


def _attempt(row: AttemptRow) -> Attempt:
    return Attempt(
        row.number,
        clock.aware(row.started_at),
        clock.aware(row.finished_at),
        row.worker,
        row.outcome,
        row.error,
        row.traceback,
    )


def _last(row: Row) -> tuple[Attempt, ...]:
    """The attempt that the job's own row tells: the one that succeeded, or that is running."""
    if row.started_at is None or row.state not in (State.SUCCEEDED, State.RUNNING):
        return ()
    running = row.state == State.RUNNING
    return (
        Attempt(
            row.attempts + int(running),
            clock.aware(row.started_at),
            clock.aware(row.finished_at),
            row.worker_label,
            str(State.RUNNING) if running else str(State.SUCCEEDED),
        ),
    )
