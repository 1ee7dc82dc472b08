"""Middleware: what may change how jobs are run and enqueued. Huey's signals and hooks may only watch.

A middleware wraps the next one, the innermost wraps the function (or the store). Features of Nephew's own that are
options of a task have the same shape: `Timeout` and `AtMostOnce` are here.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, TypeVar

from nephew.current import Running
from nephew.draft import Draft
from nephew.errors import ConfigError, NotBegun
from nephew.options import known

T = TypeVar("T")

#: What runs the rest of the chain: it is given the job and returns what the function returned.
Run = Callable[[Running], Any]
#: What stores the job: it is given the draft and returns the job's handle.
Enqueue = Callable[[Draft], Any]


class Middleware:
    """Wraps the running and the enqueueing of jobs; a subclass overrides what it needs.

    :cvar options: the task options that it owns, with their defaults. They may be given to `@huey.task(...)`, and
        `job.options[name]` tells them.
    """

    options: ClassVar[Mapping[str, Any]] = {}

    def check(self, task: str, options: Mapping[str, Any]) -> None:
        """Look at a task's options when it is decorated.

        :param task: the task's name, for the message.
        :param options: all of its options.
        :raises ConfigError: when those that this middleware owns are unusable.
        """

    def applies(self, options: Mapping[str, Any]) -> bool:
        """Whether the runs of a task with these options pass through here; asked when it is decorated."""
        return True

    def run(self, job: Running, call_next: Run) -> Any:
        """Around one attempt: what this returns is the function's value, what it raises its error."""
        return call_next(job)

    def enqueue(self, job: Draft, call_next: Enqueue) -> Any:
        """Around the storing of a job: what this returns is given to the caller.

        Without a call of `call_next` nothing is stored. Where many jobs are stored in one step, or with another
        job's end, `call_next` returns before they are.
        """
        return call_next(job)


class Around(Middleware):
    """A plain function `(job, call_next)` as middleware around running."""

    def __init__(self, function: Callable[[Running, Run], Any]) -> None:
        self._function = function

    def run(self, job: Running, call_next: Run) -> Any:
        """Call the function."""
        return self._function(job, call_next)


class AtMostOnce(Middleware):
    """The option `at_most_once`: a job that must rather be lost than begun twice."""

    options: ClassVar[Mapping[str, Any]] = {"at_most_once": False}

    def check(self, task: str, options: Mapping[str, Any]) -> None:
        """A retry would be a second begin."""
        once = options["at_most_once"]
        if not isinstance(once, bool):
            raise ConfigError(f"task {task}: expected at_most_once to be True or False, got {once!r}")
        if once and options["transactional"]:
            raise ConfigError(
                f"task {task}: expected either at_most_once or transactional, got both; what a transactional job "
                "writes is undone when it cannot end, and then it runs again"
            )
        if once and options["retries"]:
            raise ConfigError(
                f"task {task}: expected no retries beside at_most_once, got {options['retries']}; "
                "a retry would run it a second time"
            )

    def applies(self, options: Mapping[str, Any]) -> bool:
        """Only where it is asked for."""
        return bool(options["at_most_once"])

    def run(self, job: Running, call_next: Run) -> Any:
        """Write down that it is begun, then run it."""
        if not job.begin_once():
            raise NotBegun(f"job {job.id} was taken over before it was begun")
        job.calling.retries = 0  # a call may have brought some
        return call_next(job)


class Timeout(Middleware):
    """Huey's option `timeout`: an attempt that takes longer is stopped."""

    def applies(self, options: Mapping[str, Any]) -> bool:
        """Only where there is one."""
        return bool(options["timeout"])

    def run(self, job: Running, call_next: Run) -> Any:
        """Have it stopped at its time."""
        job.end_at(time.monotonic() + (job.timeout or 0.0))
        return call_next(job)


#: Nephew's own, outermost first. They are around those of the application.
BUILT_IN: tuple[Middleware, ...] = (AtMostOnce(), Timeout())


#: The task options that Nephew's own middleware has.
OPTIONS = frozenset(name for layer in BUILT_IN for name in layer.options)


def parsed(given: Iterable[Any]) -> tuple[Middleware, ...]:
    """What was given as `Nephew(middleware=[...])`, outermost first.

    :raises ConfigError: when one is no middleware, or two own one option.
    """
    if isinstance(given, str | Mapping) or not isinstance(given, Iterable):
        raise ConfigError(f"expected middleware to be a list of middleware, got {given!r}")
    found = tuple(_middleware(each) for each in given)
    taken = known()
    owners: dict[str, Middleware] = {}
    for each in (*BUILT_IN, *found):
        for name in each.options:
            if name in taken:
                raise ConfigError(f"expected the task option {name!r} to be free for {each!r}, got one of Nephew's own")
            if name in owners:
                raise ConfigError(f"expected one owner of the task option {name!r}, got {owners[name]!r} and {each!r}")
            owners[name] = each
    return found


def _middleware(given: Any) -> Middleware:
    if isinstance(given, Middleware):
        _check_is_plain(given, given.run, given.enqueue)
        return given
    if callable(given) and not isinstance(given, type):
        _check_is_plain(given, given)
        return Around(given)
    made = "; give an instance, not the class" if isinstance(given, type) else ""
    raise ConfigError(f"expected a function (job, call_next) or an instance of nephew.Middleware, got {given!r}{made}")


def _check_is_plain(given: Any, *functions: Callable[..., Any]) -> None:
    for function in functions:
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise ConfigError(
                f"expected a plain function (job, call_next) of {given!r}, got an asynchronous one or a generator; "
                "nobody would run its body, nor the jobs"
            )


def around_runs(layers: Sequence[Middleware], options: Mapping[str, Any], function: Run) -> Run:
    """The chain that runs the jobs of a task."""
    for layer in reversed(layers):
        if type(layer).run is not Middleware.run and layer.applies(options):
            function = _before(layer.run, function)
    return function


def around_enqueueing(layers: Sequence[Middleware], store: Enqueue) -> Enqueue:
    """The chain that stores a job."""
    for layer in reversed(layers):
        if type(layer).enqueue is not Middleware.enqueue:
            store = _before(layer.enqueue, store)
    return store


def _before(layer: Callable[[T, Callable[[T], Any]], Any], following: Callable[[T], Any]) -> Callable[[T], Any]:
    return lambda job: layer(job, following)
