"""What a task is told at its decoration: one frozen record, checked at import."""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, Protocol, TypedDict

from nephew.errors import ConfigError

#: Options that are Huey's own and go to its task class as they are.
HUEY_OPTIONS = (
    "retries",
    "retry_delay",
    "retry_backoff",
    "priority",
    "context",
    "name",
    "expires",
    "timeout",
)


#: The most tags that a job may have, and the most characters of one.
MOST_TAGS, LONGEST_TAG = 20, 50

#: Control characters and halves of surrogate pairs.
_UNFIT = ("Cc", "Cs")

_SEVERAL = (tuple, list, set, frozenset)

NOTHING: Mapping[str, Any] = MappingProxyType({})


class Given(TypedDict, total=False):
    """All that may be given to `@huey.task(...)`, for editors and type checkers."""

    retries: int
    retry_delay: float
    retry_backoff: float
    priority: float | None
    context: bool
    name: str | None
    expires: float | dt.datetime | dt.timedelta | None
    timeout: float | None
    queue: str
    unique: bool | Callable[..., Any]
    retry_jitter: float
    retry_max_delay: float | None
    retry_on: type[BaseException] | tuple[type[BaseException], ...] | None
    no_retry_on: type[BaseException] | tuple[type[BaseException], ...]
    max_crashes: int | None
    at_most_once: bool
    transactional: bool
    tags: str | Sequence[str] | Callable[..., Any]
    redact: str | Sequence[str]
    aliases: str | Sequence[str]
    attrs: dict[str, Any]


class PolicyGiven(TypedDict, total=False):
    """What may be said of the due times of a schedule; see `nephew.catchup.Policy`."""

    catch_up: Literal["none", "last", "all"]
    within: float | dt.timedelta | None
    overlap: Literal["skip", "queue", "allow"]
    expect_within: float | dt.timedelta | None


class PeriodicGiven(Given, PolicyGiven, total=False):
    """All that may be given to `@huey.periodic_task(...)` beside its schedule."""


class Owner(Protocol):
    """A middleware, as far as it owns options of tasks."""

    @property
    def options(self) -> Mapping[str, Any]:
        """Their names and defaults."""

    def check(self, task: str, options: Mapping[str, Any]) -> None:
        """Refuse unusable ones."""


@dataclass(frozen=True, slots=True)
class TaskOptions:
    """The options of a task that Nephew adds to Huey's.

    :ivar queue: the queue its jobs wait in.
    :ivar unique: True, or a function of the call's arguments that returns the key: while a job with that
        key is unfinished, a second call returns the first one's handle.
    :ivar retry_jitter: each retry delay is lengthened by a random share of up to this fraction (0.0 to 1.0).
    :ivar retry_max_delay: the longest wait between two attempts, jitter included, in seconds; None: no limit.
    :ivar retry_on: only these exceptions are retried; None: all.
    :ivar no_retry_on: these exceptions are never retried.
    :ivar max_crashes: how often a job may kill its worker; None: the instance's setting.
    :ivar transactional: whether what the function writes and the job's end are committed together.
    :ivar tags: words by which its jobs are found, or a function of the call's arguments that returns them.
    :ivar redact: the arguments whose values are not shown anywhere.
    :ivar aliases: the stored names that its jobs had before it was renamed, the latest first.
    :ivar attrs: free attributes for Huey's task class.
    :ivar all: every option of the task by its name: these, Huey's, and those that middleware owns.
    """

    queue: str = "default"
    unique: bool | Callable[..., Any] = False
    retry_jitter: float = 0.0
    retry_max_delay: float | None = None
    retry_on: tuple[type[BaseException], ...] | None = None
    no_retry_on: tuple[type[BaseException], ...] = ()
    max_crashes: int | None = None
    transactional: bool = False
    tags: tuple[str, ...] | Callable[..., Any] = ()
    redact: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    attrs: dict[str, Any] = field(default_factory=dict)
    all: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(
        cls, task: str, given: Mapping[str, Any], hueys: Mapping[str, Any] = NOTHING, owners: Sequence[Owner] = ()
    ) -> TaskOptions:
        """The options given to `@huey.task(...)` for `task`.

        :param hueys: Huey's, as they are in force.
        :param owners: the middleware, which owns more options.
        :raises ConfigError: for an unknown option (naming the known ones) or an unusable value.
        """
        own = known() - set(HUEY_OPTIONS)
        owned = {name: default for owner in owners for name, default in owner.options.items()}
        for name in given:
            if name not in own and name not in owned:
                raise ConfigError(_unknown(task, name, sorted(own | set(owned) | set(HUEY_OPTIONS))))
        values = {name: value for name, value in given.items() if name in own}
        for name in ("retry_on", "no_retry_on"):
            if values.get(name) is not None:
                values[name] = _exceptions(task, name, values[name])
        if "tags" in values and not callable(values["tags"]):
            values["tags"] = as_tags(task, values["tags"])
        if "redact" in values:
            values["redact"] = _argument_names(task, values["redact"])
        if "aliases" in values:
            values["aliases"] = _stored_names(task, values["aliases"])
        options = cls(**values)
        options._check(task)
        settled = {name: getattr(options, name) for name in own} | dict(hueys)
        complete = MappingProxyType(settled | owned | {name: given[name] for name in owned if name in given})
        for owner in owners:
            owner.check(task, complete)
        return dataclasses.replace(options, all=complete)

    def _check(self, task: str) -> None:
        if not isinstance(self.queue, str) or not self.queue.strip():
            raise ConfigError(f"task {task}: expected queue to be a name, got {self.queue!r}")
        if not isinstance(self.unique, bool) and not callable(self.unique):
            raise ConfigError(f"task {task}: expected unique to be True or a function, got {self.unique!r}")
        if not _is_number(self.retry_jitter) or not 0 <= self.retry_jitter <= 1:
            raise ConfigError(f"task {task}: expected retry_jitter from 0.0 to 1.0, got {self.retry_jitter!r}")
        if self.retry_max_delay is not None and (not _is_number(self.retry_max_delay) or self.retry_max_delay <= 0):
            raise ConfigError(
                f"task {task}: expected retry_max_delay to be greater than 0, got {self.retry_max_delay!r}"
            )
        if self.max_crashes is not None and (not _is_whole(self.max_crashes) or self.max_crashes <= 0):
            raise ConfigError(
                f"task {task}: expected max_crashes to be a whole number greater than 0, got {self.max_crashes!r}"
            )
        if not isinstance(self.transactional, bool):
            raise ConfigError(f"task {task}: expected transactional to be True or False, got {self.transactional!r}")
        if not isinstance(self.attrs, dict):
            raise ConfigError(f"task {task}: expected attrs to be a dict, got {self.attrs!r}")

    def retries_after(self, error: BaseException) -> bool:
        """Whether a job that raised `error` may be retried at all."""
        if isinstance(error, self.no_retry_on):
            return False
        return self.retry_on is None or isinstance(error, self.retry_on)


def as_tags(task: str, given: Any) -> tuple[str, ...]:
    """Tags as they were given: one text, or several.

    :raises ConfigError: when they cannot be used as tags.
    """
    tags = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, _SEVERAL) else None
    if tags is None or not all(map(_is_tag, tags)) or len(tags) > MOST_TAGS:
        raise ConfigError(
            f"task {task}: expected tags to be at most {MOST_TAGS} texts of 1 to {LONGEST_TAG} characters"
            f" without commas or control characters, got {given!r}"
        )
    return tuple(dict.fromkeys(tags))


def tags_text(tags: Sequence[str]) -> str | None:
    """Tags as they are stored, each between two commas; None: there are none."""
    return f",{','.join(tags)}," if tags else None


def tags_from(text: str | None) -> tuple[str, ...]:
    """Tags from what is stored of them."""
    return tuple(text.strip(",").split(",")) if text else ()


def _is_tag(value: Any) -> bool:
    if not isinstance(value, str) or not 0 < len(value.strip()) == len(value) <= LONGEST_TAG:
        return False
    return not any(letter == "," or unicodedata.category(letter) in _UNFIT for letter in value)


def _argument_names(task: str, given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, _SEVERAL) else (None,)
    if not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise ConfigError(f"task {task}: expected redact to be names of arguments, got {given!r}")
    return names


def _stored_names(task: str, given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, list | tuple) else (None,)
    if not all(isinstance(name, str) and all(name.strip().rpartition(".")) for name in names):
        raise ConfigError(
            f"task {task}: expected aliases to be former names of the task with their modules, the latest first, such"
            f" as 'tasks.mail.send', got {given!r}"
        )
    return tuple(dict.fromkeys(names))


def known() -> frozenset[str]:
    """The options that a task may be given, besides those that middleware owns."""
    return frozenset(field.name for field in dataclasses.fields(TaskOptions)) - {"all"} | set(HUEY_OPTIONS)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _exceptions(task: str, name: str, given: Any) -> tuple[type[BaseException], ...]:
    classes = tuple(given) if isinstance(given, tuple | list) else (given,)
    for item in classes:
        if not (isinstance(item, type) and issubclass(item, BaseException)):
            raise ConfigError(f"task {task}: expected {name} to be exception classes, got {item!r}")
    return classes


def _unknown(task: str, name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return (
        f"task {task}: unknown option {name!r}{hint} "
        f"(known: {', '.join(known)}; attributes of your own go into attrs={{...}})"
    )
