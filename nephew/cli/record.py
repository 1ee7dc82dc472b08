"""A job's record as text: what `nephew jobs show` prints, and the one line that `jobs list` has room for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from textwrap import indent
from typing import Any

import click

from nephew.cli.output import COLOURS, clean, moment, one_line, period, plain
from nephew.codec import exceptions
from nephew.job import Attempt, AttemptLog, Job, LogLine, State

#: How many relatives are named.
FAMILY = 10
#: How many lines are told of what a worker that died had logged.
LAST_WORDS = 5
#: What a list does not read.
UNREAD = ("attempts", "traceback", "parents", "children")


def summary(job: Job) -> dict[str, Any]:
    """The record for a list, as JSON: without what a list does not read."""
    known: dict[str, Any] = plain(job)
    return {key: value for key, value in known.items() if key not in UNREAD}


def whole(job: Job, logs: Sequence[AttemptLog] | None = None) -> dict[str, Any]:
    """The record as JSON, with how many seconds each attempt took, and what they logged if it is given."""
    known: dict[str, Any] = plain(job)
    if logs is not None:
        known["logs"] = plain(logs)
    for told, attempt in zip(known["attempts"], job.attempts, strict=True):
        told["duration"] = attempt.duration
    return known


def seconds(job: Job) -> float | None:
    """How long its last run took."""
    if job.started_at is None or job.finished_at is None:
        return None
    return (job.finished_at - job.started_at).total_seconds()


def about(job: Job) -> str:
    """What is worth knowing of a job in a list."""
    if job.state in (State.SCHEDULED, State.RETRYING):
        due = f"due {moment(job.eta)}"
        return f"{due}: {job.error}" if job.error else due
    if job.state == State.RUNNING:
        return " ".join(filter(None, [_progress(job), f"on {job.worker}" if job.worker else ""]))
    took = f"took {period(seconds(job))}" if job.state == State.SUCCEEDED and job.finished_at else ""
    return job.reason or job.error or took


def show(job: Job, most: int, logs: Sequence[AttemptLog] = (), last_words: Sequence[AttemptLog] = ()) -> None:
    """Print a record.

    :param most: arguments and results of more characters are cut.
    :param last_words: what was logged by attempts that a crash may have ended; their last lines are told with them.
    """
    logged = {log.attempt: log.lines[-LAST_WORDS:] for log in last_words}
    state = click.style(job.state, fg=COLOURS.get(job.state))
    click.echo(f"Job {clean(job.id)} is {state}")
    for label, text in _facts(job, most):
        if text:
            click.echo(f"  {label + ':':<12} {text}")
    for attempt in job.attempts:
        click.echo()
        _show_attempt(attempt)
        if attempt.death is not None:
            _show_lines(logged.get(attempt.number, ()))
    for log in logs:
        click.echo()
        _show_log(log)
    told = any(attempt.error == job.error for attempt in job.attempts)
    if job.error and not told:
        click.echo(f"\nError: {clean(job.error)}")


def _facts(job: Job, most: int) -> Iterator[tuple[str, str]]:
    yield "task", clean(job.task)
    yield "arguments", _arguments(job, most)
    yield "queue", clean(job.queue)
    yield "priority", f"{job.priority:g}" if job.priority else ""
    yield "unique key", one_line(job.unique_key or "")
    yield "tags", clean(", ".join(job.tags))
    yield "follows", f"{_some(job.parents)} ({job.relation})" if job.parents else ""
    yield "followed by", _some(job.children)
    yield "enqueued", moment(job.enqueued_at)
    yield "due", moment(job.eta)
    yield "expires", moment(job.expires)
    yield "started", moment(job.started_at)
    yield "finished", f"{moment(job.finished_at)} {_took(seconds(job))}".strip() if job.finished_at else ""
    yield "worker", clean(job.worker or "")
    yield "progress", _progress(job)
    yield "crashes", f"{job.crashes} (its worker died while it was running)" if job.crashes else ""
    yield "reason", clean(job.reason or "")
    yield "fingerprint", job.fingerprint or ""
    yield "result", _cut(exceptions.text(repr, job.result), most) if job.state == State.SUCCEEDED else ""


def _arguments(job: Job, most: int) -> str:
    if job.args is None or job.kwargs is None:
        return "(cannot be read)"
    return arguments(job.args, job.kwargs, most)


def arguments(args: Sequence[Any], kwargs: Mapping[str, Any], most: int) -> str:
    """Arguments as a call has them, in one line, cut behind `most` characters."""
    given = [exceptions.text(repr, value) for value in args]
    given += [f"{name}={exceptions.text(repr, value)}" for name, value in kwargs.items()]
    return _cut(", ".join(given) or "none", most)


def _some(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - FAMILY:,} more" if len(ids) > FAMILY else ""
    return f"{clean(', '.join(ids[:FAMILY]))}{more}"


def _progress(job: Job) -> str:
    if job.progress is None:
        return ""
    return one_line(f"{job.progress.fraction:.0%} {job.progress.message or ''}")


def _took(duration: float | None) -> str:
    return "" if duration is None else f"(after {period(duration)})"


def _show_attempt(attempt: Attempt) -> None:
    colour = COLOURS[State.FAILED if attempt.error else State.SUCCEEDED]
    outcome = click.style(attempt.outcome, fg=COLOURS[State.RUNNING] if _runs(attempt) else colour)
    where = f" on {clean(attempt.worker)}" if attempt.worker else ""
    times = f"{moment(attempt.started_at)} {_took(attempt.duration)}".strip()
    click.echo(f"Attempt {attempt.number} {outcome}{where}{f', started {times}' if times else ''}")
    if attempt.error:
        click.echo(indent(clean(attempt.error), "  "))
    if attempt.traceback:
        click.echo(indent(clean(attempt.traceback.rstrip()), "  "))


def _runs(attempt: Attempt) -> bool:
    return attempt.finished_at is None and not attempt.error


def _show_log(log: AttemptLog) -> None:
    before = f", the last {len(log.lines)} of {len(log.lines) + log.dropped:,} lines" if log.dropped else ""
    click.echo(f"Attempt {log.attempt} logged{before}:")
    _show_lines(log.lines)


def _show_lines(lines: Sequence[LogLine]) -> None:
    for line in lines:
        when = line.time.strftime("%H:%M:%S.%f")[:-3]
        click.echo(indent(clean(f"{when} {line.level} {line.logger}: {line.text}"), "  "))


def _cut(text: str, most: int) -> str:
    text = one_line(text)
    if len(text) <= most:
        return text
    return f"{text[:most]}… ({len(text):,} characters; --json has them all)"
