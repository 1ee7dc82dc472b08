"""Log records: which job wrote them, and what must not be seen of it; one JSON object a line for machines.

All of Nephew's loggers are children of `huey`, so that the stock consumer's `-v -q -l` hold for them. Nothing
here creates a handler or sets a level: that is the consumer's command line.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from nephew.backends.records import Claimed
from nephew.current import running
from nephew.journal import message_of, trace_of
from nephew.redaction import Secrets, hidden
from nephew.settings import Settings

#: What a record knows of its job: the key in `extra`, and the attribute of the job.
JOB_KEYS = {"job_id": "id", "task": "task", "attempt": "attempt", "queue": "queue"}

#: The attributes that every record has; the others came in by `extra`.
_STANDARD = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})

#: Loggers of our own; what they say is not the job's.
_OURS = "huey.nephew"


class JobContext(logging.Filter):
    """Fills `job_id`, `task`, `attempt` and `queue` into records that are logged while a job runs.

    A record that names a job already keeps it. What the job's task hides is hidden. Every record passes.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the running job of this context to `record`; always True."""
        if not hasattr(record, "job_id"):
            vars(record).update(job_extra(running.get()))
        secrets = hidden.get()
        if secrets is not None:  # what came in by `extra` was not there yet when the record was made
            _hide(record, secrets)
        return True


def _hide(record: logging.LogRecord, secrets: Secrets) -> None:
    """Take out of a record, in place, what must not be seen: for this handler and those after it."""
    said = message_of(record)
    if (shown := secrets.hide(said)) != said:
        record.msg, record.args = shown, ()
    if record.exc_info:
        trace = trace_of(record)
        if (shown := secrets.hide(trace)) != trace:
            record.exc_info, record.exc_text = None, shown
    for name, value in vars(record).items():
        if value is not None and (name not in _STANDARD or name in ("exc_text", "stack_info")):
            setattr(record, name, secrets.hide_in(value))


class RecordMaker:
    """Makes log records as they were made before, but without what a job's task hides.

    A running job keeps those of its own code.

    A record factory and not a handler of the root logger: a handler there would keep `logging.basicConfig()` from
    working, and silence Python's handler of last resort.
    """

    def __init__(self, make: Callable[..., logging.LogRecord]) -> None:
        self._make = make

    def __call__(self, *args: Any, **kwargs: Any) -> logging.LogRecord:
        record = self._make(*args, **kwargs)
        secrets, job = hidden.get(), running.get()
        if secrets is not None:
            _hide(record, secrets)
        if job is not None and isinstance(record.name, str) and not f"{record.name}.".startswith(f"{_OURS}."):
            job.note(record)
        return record


def follow_jobs() -> None:
    """From now on log records are made by a `RecordMaker`; may be called again."""
    global _following
    if not _following:
        _following = True
        logging.setLogRecordFactory(RecordMaker(logging.getLogRecordFactory()))


_following = False


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (ISO 8601, UTC, to the millisecond), `level`, `logger`, `message`.

    Then whatever the record has of `job_id`, `task`, `attempt`, `queue` and other extras, `exception` (the
    traceback) and `stack`. These names win over extras called the same. A value that JSON does not know is
    given as its `str()`. The line is plain ASCII, so it stays one line and fits any stream.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line of JSON, without its line end."""
        line = {
            "time": _iso(record.created),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        extras = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        ordered = {**dict.fromkeys(JOB_KEYS), **extras}
        known = {key: _plain(value) for key, value in ordered.items() if value is not None}
        # Twice: the first gives the order, the second wins over extras of the same names.
        return json.dumps({**line, **known, **line, **self._evidence(record)})

    def _evidence(self, record: logging.LogRecord) -> dict[str, str]:
        found = {}
        if record.exc_info and record.exc_info[0] is not None:
            found["exception"] = self.formatException(record.exc_info)
        elif record.exc_text:
            found["exception"] = record.exc_text
        if record.stack_info:
            found["stack"] = self.formatStack(record.stack_info)
        return found


def install(settings: Settings) -> None:
    """Prepare the handlers that exist now; may be called again.

    Those of the `huey` logger get the JSON format when `settings.log` is `json`. They and the root logger's,
    through which the application's own records go, get a `JobContext`.
    """
    for handler in logging.getLogger("huey").handlers:
        _know_the_job(handler)
        if settings.log == "json":
            handler.setFormatter(JsonFormatter())
    for handler in logging.getLogger().handlers:
        _know_the_job(handler)
        if settings.log == "json" and isinstance(handler, logging.StreamHandler):
            handler.setFormatter(JsonFormatter())
    if settings.log == "json" and logging.getLogger("huey").handlers:
        logging.getLogger("huey").propagate = False  # else the root's handlers write each line once more


def job_extra(job: Any) -> dict[str, Any]:
    """The `extra` of a log record about `job`: what it has of id, task, attempt and queue; None: nothing."""
    found = {key: getattr(job, attribute, None) for key, attribute in JOB_KEYS.items()}
    return {key: value for key, value in found.items() if value is not None}


def claim_extra(claimed: Claimed) -> dict[str, Any]:
    """The `extra` of a log record about a claimed job."""
    return {
        "job_id": claimed.id,
        "task": claimed.task,
        "attempt": claimed.attempts + 1,
        "queue": claimed.queue,
    }


def start_line(
    *,
    version: str,
    backend: str,
    workers: int,
    worker_type: str,
    queues: Sequence[str],
    schedules: Mapping[str, object],
) -> str:
    """What a consumer says when it starts: one line, and below it one for each schedule.

    :param backend: where the jobs are kept, in words, without a password; a SQLite file by its absolute path.
    :param worker_type: Huey's word, `thread`, `process` or `greenlet`.
    :param queues: the queues it serves; empty: all.
    :param schedules: each schedule by the name of its task.
    """
    line = (
        f"Nephew {version} started: {_count(workers, f'{worker_type} worker')}, "
        f"{_served(queues)}, {_count(len(schedules), 'schedule')}, jobs in {backend}"
    )
    return "\n".join([line, *(f"  {name}: {schedule}" for name, schedule in schedules.items())])


def _served(queues: Sequence[str]) -> str:
    if not queues:
        return "all queues"
    return f"{'queue' if len(queues) == 1 else 'queues'} {', '.join(queues)}"


def _count(number: int, noun: str) -> str:
    return f"{number or 'no'} {noun}{'' if number == 1 else 's'}"


def _know_the_job(handler: logging.Handler) -> None:
    # On the handler, since a logger's filter does not see what its children log.
    if not any(isinstance(known, JobContext) for known in handler.filters):
        handler.addFilter(JobContext())


def _iso(epoch: float) -> str:
    moment = datetime.fromtimestamp(epoch, UTC).replace(tzinfo=None)
    return f"{moment.isoformat(timespec='milliseconds')}Z"


def _plain(value: Any) -> Any:
    """`value` as far as JSON knows it, else its text."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    try:
        return json.loads(json.dumps(value, default=_text, allow_nan=False))
    except (TypeError, ValueError, RecursionError):  # keys that are no texts, infinities, cycles
        return _text(value)


def _text(value: Any) -> str:
    try:
        return str(value)
    except Exception:  # a log line must not be lost to somebody's __str__
        return object.__repr__(value)
