"""`nephew jobs`: list and show them, and the ways in which they failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nephew import Nephew, clock
from nephew.cli import record
from nephew.cli.application import with_huey
from nephew.cli.filters import filter_options
from nephew.cli.output import clean, json_option, period, print_json
from nephew.cli.tables import NARROW, print_table, width
from nephew.job import Job
from nephew.selection import Wanted

if TYPE_CHECKING:
    from nephew.backends.records import Failures


@click.group()
def jobs() -> None:
    """Look at jobs, change, cancel and delete them, run them again."""


@jobs.command("list")
@filter_options
@click.option("-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@json_option
@with_huey
def list_jobs(huey: Nephew, wanted: Wanted, limit: int, as_json: bool) -> None:
    """List jobs, the latest first."""
    found = huey.inspection.jobs(limit + 1, **wanted)
    more, found = len(found) > limit, found[:limit]
    if as_json:
        print_json([record.summary(job) for job in found])
    elif found:
        _print_jobs(found)
    else:
        click.echo("No such job.", err=True)
    if not found:
        raise click.exceptions.Exit(1)
    if more:
        click.echo(f"These are the latest {limit}; --limit shows more.", err=True)


def _print_jobs(found: list[Job]) -> None:
    if width() < NARROW:
        rows = [(job.id, job.state, job.task.rpartition(".")[2], record.about(job)) for job in found]
        print_table(("ID", "STATE", "TASK", "ABOUT"), rows, whole=("ID", "STATE"), cut=("TASK", "ABOUT"))
        return
    columns = ("ID", "STATE", "TASK", "QUEUE", "AGE", "ABOUT")
    print_table(columns, [_row(job) for job in found], whole=("ID", "STATE", "QUEUE", "AGE"))


def _row(job: Job) -> tuple[Any, ...]:
    return job.id, job.state, job.task, job.queue, _age(job), record.about(job)


def _age(job: Job) -> str:
    return "" if job.enqueued_at is None else _ago(job.enqueued_at.timestamp())


def _ago(moment: float) -> str:
    return period(max(0.0, clock.now() - moment))


@jobs.command()
@click.argument("job_id", metavar="ID")
@click.option("-l", "--logs", "with_logs", is_flag=True, help="What its function has logged, too.")
@json_option
@with_huey
def show(huey: Nephew, job_id: str, with_logs: bool, as_json: bool) -> None:
    """Show all that is known of a job.

    Its arguments, family, attempts, crashes, progress and result.
    """
    job = huey.job(job_id)
    if job is None:
        raise click.ClickException(unknown(job_id))
    died = any(attempt.death for attempt in job.attempts)
    logs = huey.logs(job_id) if with_logs else None
    if as_json:
        print_json(record.whole(job, logs))
    elif died and not with_logs:
        record.show(job, huey.settings.result_shown, last_words=huey.logs(job_id))
    else:
        record.show(job, huey.settings.result_shown, logs or ())
    if logs == [] and not as_json:
        click.echo("\nNothing was logged.", err=True)


@jobs.command()
@click.option("-T", "--task", metavar="NAME", help="Only jobs of this task; the last part of its name will do.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@json_option
@with_huey
def errors(huey: Nephew, task: str | None, limit: int, as_json: bool) -> None:
    """List the failed jobs by kind of failure, the most frequent first.

    `nephew jobs list --error FINGERPRINT` shows those of one kind.
    """
    kinds = huey.inspection.failures(task, limit)
    if as_json:
        print_json([_kind(kind) for kind in kinds])
    elif kinds:
        rows = [(k.fingerprint or "unknown", k.jobs, _ago(k.last_at), k.task, k.error) for k in kinds]
        columns = ("FINGERPRINT", "JOBS", "LAST", "TASK", "EXAMPLE")
        print_table(columns, rows, whole=("FINGERPRINT", "JOBS", "LAST"), cut=("TASK", "EXAMPLE"))
    else:
        click.echo("No job has failed.", err=True)
    if not kinds:
        raise click.exceptions.Exit(1)


def _kind(kind: Failures) -> dict[str, Any]:
    return {
        "fingerprint": kind.fingerprint,
        "jobs": kind.jobs,
        "last_at": clock.at(kind.last_at),
        "task": kind.task,
        "error": kind.error,
        "id": kind.id,
    }


def unknown(job_id: str) -> str:
    """What is said of a job that there is none of."""
    return f"there is no job {clean(job_id)} here"
