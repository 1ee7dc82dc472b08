"""Nephew's settings: defaults, then `NEPHEW_<NAME>` in the environment, then keyword arguments.

The only module that reads `NEPHEW_*`. Read once, validated whole, frozen.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple, TypedDict

from nephew import clock
from nephew.errors import ConfigError

DAY = 86400.0


class Keep(NamedTuple):
    """Which ended jobs of one state are kept: those that ended less than `seconds` ago, the latest `most`.

    None: no limit of that kind.
    """

    seconds: float | None = None
    most: int | None = None


WEEK, MONTH = Keep(7 * DAY), Keep(30 * DAY)

#: How a `Keep` is written.
KEPT = "a time such as 7d, a number such as 1000 jobs, both (30d, 1000 jobs), or forever"


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
    #: Longer arguments and results are cut where people look at jobs, and left out of lists.
    result_shown: int = 4096
    #: How many lines of an attempt's own logging are kept, the last ones; 0: none.
    log_lines: int = 200
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
    #: How long the record of a job that succeeded is kept, its result with it.
    keep_succeeded: Keep = WEEK
    #: How long the record of a job that failed is kept.
    keep_failed: Keep = MONTH
    #: How long the record of a job that was cancelled is kept.
    keep_cancelled: Keep = MONTH
    #: How long the record of a job that expired is kept.
    keep_expired: Keep = MONTH
    #: How many records of ended jobs Redis keeps at most, where they are not archived.
    keep_records: int = 100_000
    #: How many events are kept at most for those who follow them.
    keep_events: int = 100_000
    #: How long it is kept what became of a schedule's due times.
    keep_ticks: float = 90 * DAY
    #: How many of them are kept at most, of each schedule.
    keep_ticks_most: int = 1000
    #: Where it is told (POST, JSON) that a schedule has not succeeded for too long; empty: nowhere.
    alert_webhook: str = dataclasses.field(default="", repr=False)  # often a secret

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
        for name in (
            "lease",
            "heartbeat",
            "reaper",
            "max_crashes",
            "prefetch",
            "max_bytes",
            "keep_records",
            "keep_events",
            "keep_ticks",
            "keep_ticks_most",
        ):
            if getattr(self, name) <= 0:
                found.append(f"expected {name} to be greater than 0, got {getattr(self, name)}")
        for name in ("drain", "prefetch_seconds", "settle_after", "warn_bytes", "result_shown", "log_lines"):
            if getattr(self, name) < 0:
                found.append(f"expected {name} to be 0 or more, got {getattr(self, name)}")
        if self.lease <= self.heartbeat > 0:
            found.append(f"expected lease to be greater than heartbeat ({self.heartbeat:g}), got {self.lease:g}")
        if self.alert_webhook and not re.match(r"https?://[^\s/]", self.alert_webhook):
            found.append("expected alert_webhook to be a URL that begins with http:// or https://, got another text")
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
    result_shown: int
    log_lines: int
    results_read_once: bool
    auto_migrate: bool
    queues: Sequence[str]
    log: str
    run_dir: str
    keep_succeeded: Keep | float | str
    keep_failed: Keep | float | str
    keep_cancelled: Keep | float | str
    keep_expired: Keep | float | str
    keep_records: int
    keep_events: int
    keep_ticks: float
    keep_ticks_most: int
    alert_webhook: str
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
    if isinstance(default, Keep):
        return as_keep(given)
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


def as_keep(given: Any) -> Keep:
    """What is to be kept, from a number of seconds or a text such as `7d`, `30d, 1000 jobs` or `forever`.

    :raises ValueError: saying what was expected.
    """
    if isinstance(given, str):
        return _read_keep(given)
    keep = given if isinstance(given, Keep) else Keep(given)
    if not (_is_limit(keep.seconds, int | float) and _is_limit(keep.most, int)):
        raise ValueError(KEPT)
    return keep


def _read_keep(text: str) -> Keep:
    if text.strip().lower() == "forever":
        return Keep()
    limits: dict[str, Any] = {}
    for part in text.split(","):
        count = re.fullmatch(r"\s*(\d+)\s+jobs?\s*", part)
        limit = {"most": int(count[1])} if count else {"seconds": _seconds(part)}
        if limits.keys() & limit.keys():
            raise ValueError(KEPT)
        limits |= limit
    return Keep(**limits)


def _seconds(text: str) -> float:
    try:
        return clock.seconds(text)
    except ValueError:
        raise ValueError(KEPT) from None


def _is_limit(value: Any, kind: Any) -> bool:
    return value is None or (isinstance(value, kind) and not isinstance(value, bool) and 0 <= value < float("inf"))


def url_from(environ: Mapping[str, str]) -> str | None:
    """Where the jobs live, if the environment says so (`NEPHEW_URL`)."""
    return environ.get("NEPHEW_URL") or None


def database_url_from(environ: Mapping[str, str]) -> str | None:
    """Where the history of a queue on Redis goes, if the environment says so (`NEPHEW_DATABASE_URL`)."""
    return environ.get("NEPHEW_DATABASE_URL") or None


def failpoints_from(environ: Mapping[str, str]) -> str:
    """The folder by which tests arm failpoints (`NEPHEW_FAILPOINTS`); empty outside tests."""
    return environ.get("NEPHEW_FAILPOINTS", "")
