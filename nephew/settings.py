"""Nephew's settings: defaults, then `NEPHEW_<NAME>` in the environment, then keyword arguments.

The only module that reads `NEPHEW_*`. Read once, validated whole, frozen.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, TypedDict

from nephew.errors import ConfigError

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Settings:
    """Numbers and switches of one instance. Durations are seconds, sizes are bytes."""

    #: How long a worker of another host may be silent before its claims are taken over.
    lease: float = 30.0
    #: How often a consumer says that its workers live.
    heartbeat: float = 10.0
    #: How often a consumer looks for dead workers.
    reaper: float = 5.0
    #: How long running jobs may go on after SIGTERM or SIGINT (Docker kills after 10).
    drain: float = 8.0
    #: How often a job may take its worker down before it is failed.
    max_crashes: int = 3
    #: The most jobs claimed at once.
    prefetch: int = 128
    #: The most work claimed at once.
    prefetch_seconds: float = 0.02
    #: How old a finished job's outcome may get before it is settled.
    settle_after: float = 0.01
    #: Arguments and results larger than this are warned about.
    warn_bytes: int = 1 << 20
    #: Arguments and results larger than this are refused.
    max_bytes: int = 16 << 20
    #: Reading a result deletes it, as Huey does.
    results_read_once: bool = False
    #: Migrate the tables when a consumer starts (SQLite always does).
    auto_migrate: bool = True
    #: The queues this process serves; empty: all.
    queues: tuple[str, ...] = ()
    #: `text` or `json`.
    log: str = "text"
    #: Folder for the small files by which workers of one host see each other; empty: chosen by the backend.
    run_dir: str = ""

    @classmethod
    def load(cls, environ: Mapping[str, str], options: Mapping[str, Any]) -> Settings:
        """The settings of an instance.

        :param environ: where `NEPHEW_<NAME>` is looked up.
        :param options: explicit values; they win.
        :raises ConfigError: naming every value that is unusable.
        """
        values: dict[str, Any] = {}
        problems: list[str] = []
        for field in fields(cls):
            variable = f"NEPHEW_{field.name.upper()}"
            given: Any = options[field.name] if field.name in options else environ.get(variable)
            if given is None or given == "":
                continue
            source = field.name if field.name in options else variable
            try:
                values[field.name] = _convert(given, field.default)
            except ValueError as error:
                problems.append(f"expected {source} to be {error}, got {given!r}")
        settings = cls(**values)
        problems += settings._problems()
        if problems:
            raise ConfigError("; ".join(problems))
        return settings

    def _problems(self) -> list[str]:
        found = []
        for name in ("lease", "heartbeat", "reaper", "max_crashes", "prefetch", "max_bytes"):
            if getattr(self, name) <= 0:
                found.append(f"expected {name} to be greater than 0, got {getattr(self, name)}")
        for name in ("drain", "prefetch_seconds", "settle_after", "warn_bytes"):
            if getattr(self, name) < 0:
                found.append(f"expected {name} to be 0 or more, got {getattr(self, name)}")
        if self.lease <= self.heartbeat > 0:
            found.append(f"expected lease to be greater than heartbeat ({self.heartbeat:g}), got {self.lease:g}")
        if self.log not in ("text", "json"):
            found.append(f"expected log to be text or json, got {self.log!r}")
        return found


class InstanceOptions(TypedDict, total=False):
    """All that may be given to `Nephew(...)` beside its places, for editors and type checkers."""

    lease: float
    heartbeat: float
    reaper: float
    drain: float
    max_crashes: int
    prefetch: int
    prefetch_seconds: float
    settle_after: float
    warn_bytes: int
    max_bytes: int
    results_read_once: bool
    auto_migrate: bool
    queues: Sequence[str]
    log: str
    run_dir: str
    results: bool
    store_none: bool
    utc: bool
    immediate: bool
    serializer: Any
    compression: bool
    use_zlib: bool
    immediate_use_memory: bool
    store_intermediate_errors: bool


def names() -> frozenset[str]:
    """The names that may be given to `Nephew` as keyword arguments."""
    return frozenset(field.name for field in dataclasses.fields(Settings))


def _convert(given: Any, default: Any) -> Any:
    if isinstance(default, bool):
        return _switch(given)
    if isinstance(default, int):
        return _number(given, int, "a whole number")
    if isinstance(default, float):
        return _number(given, float, "a number of seconds")
    if isinstance(default, tuple):
        return _words(given)
    if not isinstance(given, str):
        raise ValueError("a text")
    return given


def _switch(given: Any) -> bool:
    if isinstance(given, bool):
        return given
    word = str(given).strip().lower()
    if word in ("1", "true", "yes", "on"):
        return True
    if word in ("0", "false", "no", "off"):
        return False
    raise ValueError("yes or no")


def _number(given: Any, kind: type[int] | type[float], words: str) -> int | float:
    if isinstance(given, bool):
        raise ValueError(words)
    try:
        number = kind(given)
    except (TypeError, ValueError):
        raise ValueError(words) from None
    if number != number or number in (float("inf"), float("-inf")):
        raise ValueError(words)
    return number


def _words(given: Any) -> tuple[str, ...]:
    words = given.split(",") if isinstance(given, str) else given
    try:
        return tuple(word.strip() for word in words if word.strip())
    except (AttributeError, TypeError):
        raise ValueError("names, separated by commas") from None


def url_from(environ: Mapping[str, str]) -> str | None:
    """Where the jobs live, if the environment says so (`NEPHEW_URL`)."""
    return environ.get("NEPHEW_URL") or None
