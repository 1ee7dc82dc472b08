"""A decorated task: Huey's wrapper with Nephew's options, a kept signature and `delay`."""

from __future__ import annotations

import datetime as dt
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypedDict, TypeVar, Unpack, cast

from huey.api import PeriodicTask, ResultGroup, TaskWrapper
from huey.api import Task as HueyTask

from nephew.catchup import Policy
from nephew.current import Running
from nephew.errors import ConfigError
from nephew.job import new_id
from nephew.middleware import BUILT_IN, Middleware, around_runs
from nephew.options import HUEY_OPTIONS, TaskOptions
from nephew.redaction import check_names
from nephew.result import Result

if TYPE_CHECKING:
    from nephew.instance import Nephew

P = ParamSpec("P")
R = TypeVar("R")


class OneCall(TypedDict, total=False):
    """What `schedule` takes for one call only, for editors and type checkers."""

    id: str | None
    priority: float | None
    retries: int | None
    retry_delay: float | None
    retry_backoff: float | None
    expires: float | dt.datetime | dt.timedelta | None
    timeout: float | None


class Call(HueyTask):
    """One call of a task; its id sorts by time."""

    def create_id(self) -> str:
        """A new job id."""
        return new_id()


class PeriodicCall(PeriodicTask):
    """One tick of a periodic task."""

    def create_id(self) -> str:
        """A new job id."""
        return new_id()


def _chain(layers: Sequence[Middleware], options: TaskOptions, timeout: float | None) -> Any:
    """What runs the task's jobs, those with or those without a timeout: a call may bring one of its own."""
    return staticmethod(around_runs(layers, {**options.all, "timeout": timeout}, Running.call))


class Task(TaskWrapper, Generic[P, R]):
    """A decorated function. Calling it enqueues a job and returns its `Result`; `call_local` runs it here."""

    task_base = Call
    func: Callable[P, R]

    def __init__(self, huey: Nephew, func: Callable[P, R], *, name: str | None = None, **settings: Any) -> None:
        if not callable(func):
            raise ConfigError(f"expected a function to make a task of, got {func!r}")
        if name is not None and not (isinstance(name, str) and name.strip()):
            raise ConfigError(f"task {func!r}: expected name to be a text, got {name!r}")
        label = str(name or getattr(func, "__name__", repr(func)))
        given = {key: settings.pop(key) for key in list(settings) if key not in _HUEYS}
        _check_hueys(label, settings)
        hueys = {key: settings.get(f"default_{key}", settings.get(key)) for key in HUEY_OPTIONS}
        layers = (*BUILT_IN, *huey.middleware)
        options = TaskOptions.parse(label, given, hueys, layers)
        check_names(label, func, options.redact)
        if options.transactional:
            huey.refuse_without_transactions(label)
        if settings.get("task_base") is PeriodicTask:
            settings["task_base"] = PeriodicCall
            settings["nephew_policy"] = Policy.parse(f"task {label}", settings["nephew_policy"])
        self.options = options
        super().__init__(
            huey,
            func,
            name=name,
            nephew_options=options,
            nephew_function=func,
            nephew_guarded=getattr(func, "nephew_guard", False),
            nephew_run=_chain(layers, options, timeout=None),
            nephew_run_in_time=_chain(layers, options, timeout=1.0),
            **options.attrs,
            **settings,
        )
        self.__name__ = getattr(func, "__name__", label)
        self.__qualname__ = getattr(func, "__qualname__", label)
        self.__module__ = getattr(func, "__module__", __name__)
        self.__wrapped__ = func

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """Enqueue a job.

        :raises EncodeError: when an argument cannot be stored; nothing was enqueued.
        :raises BackendError: when the store cannot be reached.
        """
        result: Result[R] = self.huey.enqueue(self.s(*args, **kwargs))
        return result

    def s(self, *args: Any, **kwargs: Any) -> Any:
        """A call that is not enqueued: a step of a pipeline, a member of a group.

        :param kwargs: its arguments by name, and what `schedule` takes for one call only.
        """
        return super().s(*args, **kwargs) if kwargs else self.task_class(args, kwargs)

    def delay(self, *args: P.args, **kwargs: P.kwargs) -> Result[R]:
        """The same as calling the task, by the name that Celery and RQ use."""
        return self(*args, **kwargs)

    def schedule(
        self,
        args: Sequence[Any] | float | dt.timedelta | dt.datetime | None = None,
        kwargs: dict[str, Any] | None = None,
        eta: dt.datetime | None = None,
        delay: float | dt.timedelta | None = None,
        **options: Unpack[OneCall],
    ) -> Result[R]:
        """Enqueue a job that waits for its time.

        :param args: the function's arguments by place; for a function without any, `delay` or `eta` itself.
        :param kwargs: its arguments by name.
        :param eta: when it may begin.
        :param delay: the same, in seconds from now.
        :param options: what holds for this call instead of the task's own options, and the job's `id`.
        """
        return cast("Result[R]", super().schedule(args, kwargs, eta, delay, **options))

    def call_local(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Run the function here and now, without a job."""
        return self.func(*args, **kwargs)

    def map(self, it: Iterable[Any]) -> ResultGroup:
        """Enqueue one job for each item (a tuple is unpacked into arguments), in one step: all or none."""
        arguments = [item if isinstance(item, tuple) else (item,) for item in it]
        if self.task_base not in (Call, PeriodicCall):  # an application's own, which may make something of each call
            return self.huey.enqueue_many([self.task_class(args, {}) for args in arguments])
        handles = self.huey.intake.mapped(self.task_class, arguments)
        return handles if self.huey.results else None

    def signature(self) -> inspect.Signature:
        """The function's signature."""
        return inspect.signature(self.func)


_HUEYS = frozenset(
    [f"default_{name}" for name in HUEY_OPTIONS]
    + ["context", "task_base", "validate_datetime", "nephew_schedule", "nephew_policy"]
)


def _check_hueys(task: str, settings: dict[str, Any]) -> None:
    """Refuse what Huey would take and stumble over later."""
    for name, is_usable, words in _CHECKS:
        value = settings.get(name, settings.get(f"default_{name}"))
        if value is not None and not is_usable(value):
            raise ConfigError(f"task {task}: expected {name} to be {words}, got {value!r}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


_CHECKS: tuple[tuple[str, Callable[[Any], bool], str], ...] = (
    (
        "retries",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
        "a whole number, 0 or more",
    ),
    ("retry_delay", lambda value: _is_number(value) and value >= 0, "a number of seconds, 0 or more"),
    ("retry_backoff", lambda value: _is_number(value) and value >= 0, "a factor, 0 or more"),
    ("timeout", lambda value: _is_number(value) and value >= 0, "a number of seconds, 0 or more"),
    ("priority", _is_number, "a number"),
    (
        "expires",
        lambda value: _is_number(value) or isinstance(value, dt.datetime | dt.timedelta),
        "seconds, a timedelta or a datetime",
    ),
    ("context", lambda value: isinstance(value, bool), "True or False"),
)
