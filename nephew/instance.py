"""`Nephew`: a `huey.Huey` whose parts are wired to a durable backend. It only wires.

What only a consumer or an operator needs is imported when it is asked for: a web application that enqueues
should not load it.
"""

from __future__ import annotations

import datetime as dt
import inspect
import logging
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Never, ParamSpec, TypeVar, Unpack, cast

from huey import Huey
from huey import signals as S
from huey.api import PeriodicTask, ResultGroup, chord, group
from huey.api import Task as HueyTask

from nephew import clock, message
from nephew.backends.contract import Backend
from nephew.codec import Codec
from nephew.errors import ConfigError, NephewError
from nephew.intake import Intake
from nephew.job import new_id
from nephew.lapses import SIGNALS as OF_SCHEDULES
from nephew.listening import Listening
from nephew.membership import Membership
from nephew.middleware import parsed
from nephew.opening import beside_caller, open_backend, open_store
from nephew.operations import Operations
from nephew.options import Given, PeriodicGiven, PolicyGiven
from nephew.registry import Registry
from nephew.result import Result
from nephew.schedules import Schedule, as_schedule
from nephew.settings import InstanceOptions, Settings
from nephew.settings import names as setting_names
from nephew.storage import Storage
from nephew.task import Task

if TYPE_CHECKING:
    from peewee import Database

    from nephew.backends.sql.archive import Archive
    from nephew.caller import Caller
    from nephew.consumer import Consumer
    from nephew.endings import Finished
    from nephew.ledger import Entry
    from nephew.locks import Lock, TaskLock

P = ParamSpec("P")
R = TypeVar("R")

log = logging.getLogger("huey.nephew")

_HUEYS = frozenset(inspect.signature(Huey.__init__).parameters) - {
    "self",
    "name",
    "storage_class",
    "storage_kwargs",
}


class Nephew(Operations, Listening, Membership, Huey):
    """A queue of durable jobs, and the decorators that make functions into tasks.

    It is a `huey.Huey`: what Huey's documentation shows works, started by the stock `huey_consumer`.
    """

    def __init__(
        self,
        name: str = "nephew",
        url: str | None = None,
        *,
        database: Database | None = None,
        database_url: str | None = None,
        middleware: Iterable[Any] = (),
        **options: Unpack[InstanceOptions],
    ) -> None:
        """
        :param name: the instance's name; two instances in one store never see each other's jobs.
        :param url: where the jobs live: `sqlite:///file`, `postgresql://…` (any libpq URI), `redis://…` (also
            `rediss`, `unix`, `redis+sentinel`, `redis+cluster`, and `valkey` for `redis`) or `memory://`.
            Without it and without `database`: `NEPHEW_URL`, else the file `nephew.db` beside the module that
            makes the instance. Nothing is connected to before the first use.
        :param database: the application's own Peewee database (SQLite or PostgreSQL) or proxy; what is
            enqueued inside its `atomic()` belongs to that transaction.
        :param database_url: where history goes when the queue is on Redis: a URL of SQLite or PostgreSQL. Without it:
            `NEPHEW_DATABASE_URL`, else the history is what Redis keeps.
        :param middleware: what wraps the running and the enqueueing of jobs, outermost first: functions
            `(job, call_next)`, or instances of `nephew.Middleware`.
        :param options: settings (see `nephew.settings`) and Huey's own (`immediate`, `utc`, `serializer` …).
        :raises ConfigError: for an option or a URL that cannot be used.
        """
        _check_name(name)
        hueys: dict[str, Any] = {**options}
        given = {key: hueys.pop(key) for key in list(hueys) if key in setting_names()}
        _check_options(hueys)
        #: What wraps the running and the enqueueing of jobs, outermost first.
        self.middleware = parsed(middleware)
        self.intake = Intake(self)
        self.settings = Settings.load(os.environ, given)
        self._place = (url, database, database_url, beside_caller())
        self._backends: dict[bool, Backend] = {}
        self._store: Archive | None = None
        self.take_part()
        self.listen()
        hueys.setdefault("serializer", Codec())
        super().__init__(name, **hueys)
        self._registry = Registry()
        if not _is_not_yet_said(database):
            self._backend_for(self._in_memory())

    # -- wiring -------------------------------------------------------------------------------------
    def _in_memory(self) -> bool:
        return bool(self._immediate and self.immediate_use_memory)

    def _backend_for(self, memory: bool) -> Backend:
        with self._opening:
            if memory not in self._backends:
                url, database, database_url, beside = self._place
                self._backends[memory] = open_backend(
                    self.name,
                    "memory://" if memory else url,
                    None if memory else database,
                    database_url,
                    beside,
                    self.settings,
                )
                if not memory:
                    self._store = open_store(self._backends[memory], database_url, self.settings)
            return self._backends[memory]

    @property
    def backend(self) -> Backend:
        """Where the jobs are kept now: in memory while `immediate` is on, unless told otherwise."""
        memory = self._immediate and self.immediate_use_memory
        return self._backends.get(memory) or self._backend_for(memory)

    @property
    def codec(self) -> Any:
        """What turns values into bytes and back; `huey.codec.register(cls)` makes it know a class."""
        return self.serializer

    def create_storage(self) -> Storage:
        """Huey's raw storage interface over the backend."""
        return Storage(self)

    def get_task_wrapper_class(self) -> type[Task[Any, Any]]:
        """The class of decorated tasks."""
        return Task

    def create_consumer(self, **options: Any) -> Consumer:
        """The consumer; the stock `huey_consumer` command asks for it here."""
        from nephew.consumer import Consumer

        return Consumer(self, **options)

    # -- decorators ---------------------------------------------------------------------------------
    def task(self, *brackets: Never, **options: Unpack[Given]) -> Callable[[Callable[P, R]], Task[P, R]]:
        """Make a function into a task.

        :param brackets: nothing may be given by place; it is here to say so.
        :param options: Huey's (`retries`, `retry_delay`, `retry_backoff`, `priority`, `context`, `name`,
            `expires`, `timeout`) and Nephew's (see `nephew.options.TaskOptions`).
        :raises ConfigError: for an unknown option, naming the known ones, or an unusable value.
        """
        if brackets:
            raise ConfigError(f"expected @huey.task() with brackets and options by name, got {brackets[0]!r}")
        return cast("Callable[[Callable[P, R]], Task[P, R]]", super().task(**options))

    def periodic_task(
        self, schedule: Schedule | Callable[[dt.datetime], bool], **options: Unpack[PeriodicGiven]
    ) -> Callable[[Callable[P, R]], Task[P, R]]:
        """Make a function into a task that is enqueued at every due time of `schedule`, once.

        :param schedule: `cron(...)`, `every(...)`, Huey's `crontab(...)` or any function of a datetime.
        :param options: as for `task`, and what becomes of its due times: `catch_up`, `within`, `overlap`,
            `expect_within` (see `nephew.catchup.Policy`).
        :raises ConfigError: for a schedule or an option that cannot be used.
        """
        value, given = as_schedule(schedule, self.utc), dict(options)
        policy = {part: given.pop(part) for part in PolicyGiven.__annotations__ if part in given}
        decorator = super().periodic_task(value, nephew_schedule=value, nephew_policy=policy, **given)
        return cast("Callable[[Callable[P, R]], Task[P, R]]", decorator)

    # -- enqueueing ---------------------------------------------------------------------------------
    def enqueue(self, task: Any) -> Any:
        """Store a job (or a group or chord of them) and return its handle.

        :raises EncodeError: when an argument cannot be stored.
        :raises BackendError: when the store cannot be reached. If only its answer was lost, it is stored all the same.
        """
        if isinstance(task, group):
            return self.enqueue_many(task.tasks)
        if isinstance(task, chord):
            return self._enqueue_chord(task)
        handle = self.intake.one(task)
        return handle if self.results else None

    def enqueue_many(self, tasks: Sequence[HueyTask]) -> Any:
        """Store jobs in one step, all or none, and return the group of their handles."""
        handles = self.intake.many(list(tasks))
        return ResultGroup(handles) if self.results else None

    def _pipeline_results(self, task: HueyTask | None) -> list[Result[Any]]:
        results: list[Result[Any]] = []
        while task is not None:
            results.append(Result(self, task))
            task = task.on_complete
        return results

    def _enqueue_chord(self, whole: Any) -> Any:
        with self.intake.together():  # of a chord that is half there, the callback would never come
            return super()._enqueue_chord(whole)

    def _enqueue_chord_member(self, task: Any, config: Any) -> Any:
        found = super()._enqueue_chord_member(task, config)
        return Result(self, found.task)

    def _result_handle(self, task: HueyTask) -> Result[Any]:
        return Result(self, task)

    def result(self, id: str, **options: Any) -> Any:
        """The value of a job by its id; options as for `Result.get`."""
        return Result(self, HueyTask(id=id)).get(**options)

    def add_schedule(self, task: HueyTask) -> None:
        """Put a job into the schedule, for its `eta`."""
        self.storage.add_to_schedule(message.encode(self, task), task.eta or dt.datetime(1970, 1, 1, 12))
        self._emit(S.SIGNAL_SCHEDULED, task)

    def revoke_all(self, task_class: Any, *when: Any, **how: Any) -> None:
        """Revoke the jobs of a task, also those that were stored under its former names; arguments as Huey's."""
        for each in self._registry.all_names(task_class):
            super().revoke_all(each, *when, **how)

    def restore_all(self, task_class: Any) -> bool:
        """Take that back; False when they were not revoked."""
        restored = [super(Nephew, self).restore_all(each) for each in self._registry.all_names(task_class)]
        return any(restored)

    # -- running by hand ----------------------------------------------------------------------------
    @property
    def caller(self) -> Caller:
        """What runs jobs in the calling process."""
        from nephew.caller import Caller

        return Caller(self)

    def dequeue(self) -> HueyTask | None:
        """Claim the next job for this process; `execute` it to settle it. None: there is none."""
        return self.caller.dequeue()

    def execute(self, task: HueyTask, timestamp: dt.datetime | None = None) -> Any:
        """Run a job here and settle it; returns what the function returned, None when it failed."""
        return self.caller.execute(task, timestamp or self._get_timestamp())

    def _get_timestamp(self) -> dt.datetime:
        """The store's time as Huey keeps it: hosts whose clocks differ agree on what is due and what has expired."""
        return clock.to_naive(self.backend.now(), self.utc)

    def settle(self, finished: Finished) -> Entry:
        """Settle one job at once; inside a transaction of the caller's, within that."""
        from nephew.endings import overruled

        if self.backend.in_transaction():  # the ledger may hold others' ends, which must not be undone with it
            reply = self.backend.conclude(self.worker.number, finished.outcome)
            if reply.stopped:
                return self.settle(overruled(self, finished, *reply.stopped.values()))
            return self.worker.ledger.add(finished._replace(reply=reply))
        entry = self.worker.ledger.add(finished)
        self.worker.ledger.flush()
        return entry

    # -- telling ------------------------------------------------------------------------------------
    def has_listeners(self) -> bool:
        """Whether anybody wants to hear how jobs end."""
        receivers = self._signal.receivers.items()
        return bool(self._post_execute) or any(heard for signal, heard in receivers if signal not in OF_SCHEDULES)

    def listens(self, signal: str) -> bool:
        """Whether anybody wants to hear a signal."""
        receivers = self._signal.receivers
        return bool(receivers["any"] or receivers.get(signal))

    def announce(self, finished: Finished, enqueued: Sequence[str]) -> None:
        """Run the post-execute hooks and send the signals of a settled end."""
        if finished.hook is not None and self._post_execute:
            self._run_post_execute(finished.task, *finished.hook)
        for signal, task, *arguments in finished.news:
            follows = signal == S.SIGNAL_ENQUEUED and task is not finished.task
            if not follows or task.id in enqueued:
                self._emit(signal, task, *arguments)
        callback = finished.chord_callback
        if callback is not None and callback.id in enqueued:
            self._emit(S.SIGNAL_ENQUEUED, callback)

    def interrupts(self) -> bool:
        """Whether a KeyboardInterrupt in a job means that its worker must end."""
        return self.interrupting or not self._consuming

    # -- locks --------------------------------------------------------------------------------------
    def lock(self, name: str, ttl: float = 60.0, wait: float | None = 5.0) -> Lock:
        """A lock with an owner; see `nephew.locks.Lock`."""
        from nephew.locks import Lock

        return Lock(self, name, ttl, wait)

    def lock_task(self, lock_name: str, ttl: float | None = None) -> TaskLock:
        """Huey's task lock: taken or refused at once."""
        from nephew.locks import TaskLock

        return TaskLock(self, lock_name, ttl)

    def is_locked(self, lock_name: str) -> bool:
        """Whether anybody holds a lock."""
        return any(row.name == lock_name for row in self.backend.locks())

    def flush_locks(self, *names: str) -> set[str]:
        """Break the locks known to this process and those named; the names of those that were held."""
        known = {key.split(".lock.", 1)[-1] for key in self._locks} | {name.strip() for name in names}
        return {name for name in known if self.backend.release_lock(name, None)}

    # -- transactions -------------------------------------------------------------------------------
    def refuse_open_transaction(self, job_id: str) -> None:
        """Refuse to wait for a job that the caller's own open transaction may hold back."""
        if self.backend.in_transaction():
            raise NephewError(
                f"waiting for job {job_id} inside an open transaction would wait for ever: no worker sees "
                "the job before the transaction is committed; wait after it"
            )

    def refuse_without_transactions(self, task: str) -> None:
        """Refuse a transactional task where the jobs are in no database that its function could write to."""
        if self._place[1] is None and not self.backend.transactions:
            raise ConfigError(
                f"task {task}: expected the jobs to be in SQLite or PostgreSQL for transactional=True, but they are on "
                f"{self.backend.description}; leave it out and make the function safe to run twice"
            )

    def inside(self, connection: Any) -> AbstractContextManager[None]:
        """Make what this thread enqueues in a `with` block part of a transaction of the application's own.

        Nothing is committed or rolled back here; the jobs stand and fall with that transaction.

        :param connection: a connection to the database where the jobs are, with a transaction open: of `sqlite3` or
            psycopg 3, Django's `django.db.connection`, SQLAlchemy's `Connection` or `Session`.
        :raises ConfigError: when it is something else, or connected to another database.
        :raises NephewError: when no transaction is open on it, another one is open here, or `immediate` is on.
        """
        if self._immediate:
            raise NephewError(
                "expected immediate to be off inside a transaction of yours: in immediate mode a job runs when it is "
                "enqueued, before your commit; call the function with call_local(), or turn immediate off"
            )
        return self.backend.inside(connection)

    @staticmethod
    def new_id() -> str:
        """A new job id."""
        return new_id()


def _check_name(name: str) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ConfigError(f"expected the instance's name to be a text, got {name!r}")


def _check_options(options: dict[str, Any]) -> None:
    known = _HUEYS | setting_names()
    unknown = sorted(set(options) - _HUEYS)
    if unknown:
        raise ConfigError(f"unknown option {unknown[0]!r} of Nephew (known: {', '.join(sorted(known))})")
    for name, value in options.items():
        if name == "serializer":
            if not (hasattr(value, "serialize") and hasattr(value, "deserialize")):
                raise ConfigError(f"expected serializer to have serialize() and deserialize(), got {value!r}")
        elif not isinstance(value, bool):
            raise ConfigError(f"expected {name} to be True or False, got {value!r}")


def _is_not_yet_said(database: Any) -> bool:
    """Whether a Peewee database or proxy will learn later what it stands for."""
    actual = getattr(database, "obj", database)
    return database is not None and (actual is None or bool(getattr(actual, "deferred", False)))


__all__ = ["Nephew", "PeriodicTask"]
