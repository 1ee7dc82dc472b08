"""Records of jobs, decoded for people and programs; what the faces ask instead of a backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack, cast

from huey.utils import Error

from nephew import presence
from nephew.archive import LOCK, Progress, progress
from nephew.backends.records import Failures, LockRow, WorkerRecord
from nephew.job import AttemptLog, Job, State
from nephew.options import TaskOptions
from nephew.reader import Family, Reader, attempt_log
from nephew.selection import Selection, Wanted

if TYPE_CHECKING:
    from nephew.backends.redis import RedisBackend
    from nephew.instance import Nephew


class Status(NamedTuple):
    """How an instance is doing.

    :ivar oldest_waiting: seconds that the oldest waiting job has waited; None: none waits.
    :ivar archive: where the history goes, and how far it is; None: it stays where the jobs are.
    :ivar keeps: of how many ended jobs the records are kept there; None: there is no such limit.
    """

    counts: dict[State, int]
    oldest_waiting: float | None
    workers: list[WorkerRecord]
    backend: str
    archive: Progress | None = None
    keeps: int | None = None


class TaskInfo(NamedTuple):
    """A registered task.

    :ivar name: the name that its jobs are stored with.
    :ivar schedule: what makes it due by itself; None: only calls do.
    :ivar takes_job: whether its function is given the job as the keyword `task` (Huey's `context=True`).
    :ivar aliases: the names that its jobs were stored with before, the latest first.
    :ivar new_call: makes a call of it, to be enqueued, from positional and keyword arguments.
    """

    name: str
    queue: str
    retries: int
    schedule: object | None
    function: Callable[..., Any]
    takes_job: bool
    aliases: tuple[str, ...]
    new_call: Callable[..., Any]


class Inspection:
    """Questions about the jobs of an instance."""

    def __init__(self, huey: Nephew) -> None:
        self._huey = huey
        self._backend, self._history = huey.backend, huey.history
        self._reader = Reader(huey)

    def job(self, job_id: str) -> Job | None:
        """The record of a job, whole; None when there is none."""
        row = self._history.row(job_id)
        if row is None:
            return None
        family = Family(*self._history.relatives(job_id))
        return self._reader.job(row, self._history.attempts(job_id), family)

    def jobs(self, limit: int | None = 100, **wanted: Unpack[Wanted]) -> list[Job]:
        """Records of jobs, the latest first, as a list has them; see `Job`.

        :param wanted: which; see `Selection`.
        :raises ConfigError: for a state that there is none of.
        """
        longest = self._huey.settings.result_shown
        rows = self._history.rows(self.selection(**wanted).filter, limit, longest=longest)
        return [self._reader.job(row) for row in rows]

    def selection(self, **wanted: Unpack[Wanted]) -> Selection:
        """The jobs that are meant, to be counted or gone through."""
        return Selection(self._huey, **wanted)

    def logs(self, job_id: str) -> list[AttemptLog]:
        """What the attempts of a job have logged, the first attempt first."""
        return [attempt_log(log) for log in self._history.logs(job_id)]

    def failures(self, task: str | None = None, limit: int = 100) -> list[Failures]:
        """Failed jobs, those of one kind together, the most frequent kind first.

        :param task: as for `Selection`.
        """
        found = self._history.failures(self.selection(task=task).filter.task, limit)
        return [kind._replace(error=kind.error or self._error_in(kind.result), result=None) for kind in found]

    def _error_in(self, result: bytes | None) -> str | None:
        value = self._reader.value(result)
        return value.metadata.get("error") if isinstance(value, Error) else None

    def status(self) -> Status:
        """Counts, the oldest waiting job and the live workers."""
        oldest, archive = self._backend.oldest_waiting(), self._archive()
        counts = self._backend.counts() if archive and archive.trouble else self._history.counts()
        return Status(
            {State(state): count for state, count in counts.items()},
            None if oldest is None else max(0.0, self._backend.now() - oldest),
            self.workers(),
            self._backend.description,
            archive,
            self._backend.keeps,
        )

    def _archive(self) -> Progress | None:
        store = self._huey.store
        return None if store is None else progress(cast("RedisBackend", self._backend), store)

    def workers(self) -> list[WorkerRecord]:
        """The workers of consumers that are alive now."""
        return [w for w in self._backend.workers() if w.kind != "caller" and self._is_alive(w)]

    def locks(self) -> list[LockRow]:
        """The locks that are held by jobs and programs."""
        return [lock for lock in self._backend.locks() if lock.name != LOCK]

    def tasks(self) -> list[str]:
        """The names of the registered tasks."""
        return sorted(self._huey._registry.tasks())

    def catalogue(self) -> list[TaskInfo]:
        """The registered tasks with what is known of them, by name."""
        return [_task_info(name, made) for name, made in sorted(self._huey._registry.tasks().items())]

    @property
    def place(self) -> str:
        """Where the jobs are kept, in words."""
        return self._backend.description

    def run_dir(self) -> str:
        """The folder of the small files by which workers of one host see each other."""
        return self._huey.settings.run_dir or self._backend.run_dir()

    def migrate(self) -> list[tuple[str, int, int]]:
        """Bring the tables up to date; of each place that has some: its name, their versions before and after."""
        places = [place for place in (self._backend, self._huey.store) if place is not None]
        return [(place.description, *place.migrate()) for place in places]

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


def _task_info(name: str, made: Any) -> TaskInfo:
    """What a task class, as the registry keeps it, tells."""
    options = getattr(made, "nephew_options", TaskOptions())
    function = getattr(made, "nephew_function", made.execute)
    schedule = getattr(made, "nephew_schedule", None)
    retries, takes_job = made.default_retries or 0, bool(made.context)
    return TaskInfo(name, options.queue, retries, schedule, function, takes_job, options.aliases, made)
