"""`nephew jobs`: list and show them, run them again, cancel them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from nephew import Nephew, clock
from nephew.cli import record
from nephew.cli.application import with_huey
from nephew.cli.output import clean, json_option, period, print_json
from nephew.cli.tables import NARROW, print_table, width
from nephew.job import Job, State

ids_argument = click.argument("job_ids", metavar="ID...", nargs=-1, required=True)


@click.group()
def jobs() -> None:
    """Look at jobs, run them again, cancel them."""


@jobs.command("list")
@click.option(
    "-s", "--state", "states", multiple=True, type=click.Choice(list(map(str, State))), metavar="STATE",
    help=f"Only these; may be repeated. One of {', '.join(State)}.",
)  # fmt: skip
@click.option("-T", "--task", metavar="NAME", help="Only jobs of this task; the last part of its name will do.")
@click.option("-q", "--queue", metavar="NAME", help="Only jobs of this queue.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=100, show_default=True, help="At most so many.")
@json_option
@with_huey
def list_jobs(
    huey: Nephew, states: tuple[str, ...], task: str | None, queue: str | None, limit: int, as_json: bool
) -> None:
    """List jobs, the latest first."""
    found = huey.jobs(state=states or None, task=task, queue=queue, limit=limit + 1)
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
    if job.enqueued_at is None:
        return ""
    return period(max(0.0, clock.now() - job.enqueued_at.timestamp()))


@jobs.command()
@click.argument("job_id", metavar="ID")
@json_option
@with_huey
def show(huey: Nephew, job_id: str, as_json: bool) -> None:
    """Show all that is known of a job: arguments, attempts, crashes, progress, result."""
    job = huey.job(job_id)
    if job is None:
        raise click.ClickException(_unknown(job_id))
    if as_json:
        print_json(record.whole(job))
    else:
        record.show(job)


@jobs.command()
@ids_argument
@with_huey
def retry(huey: Nephew, job_ids: tuple[str, ...]) -> None:
    """Put ended or parked jobs back into the queue; their earlier attempts stay in the record."""
    _each(huey, job_ids, huey.retry, "is back in the queue", _not_retried)


@jobs.command()
@ids_argument
@with_huey
def cancel(huey: Nephew, job_ids: tuple[str, ...]) -> None:
    """End jobs that wait or are parked, with what would follow from them."""
    _each(huey, job_ids, huey.cancel, "is cancelled", _not_cancelled)


def _each(
    huey: Nephew,
    job_ids: tuple[str, ...],
    step: Callable[[str], bool],
    done: str,
    refusal: Callable[[Job], str],
) -> None:
    """Do it to every job that can be found; exit with 1 if it was refused for any."""
    refused = False
    for job_id in job_ids:
        if huey.job(job_id) is not None and step(job_id):
            click.echo(f"Job {clean(job_id)} {done}.")
            continue
        refused = True
        job = huey.job(job_id)
        click.echo(f"Error: {_unknown(job_id) if job is None else refusal(job)}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


def _unknown(job_id: str) -> str:
    return f"there is no job {clean(job_id)} here"


def _not_retried(job: Job) -> str:
    if not job.ended and job.state != State.PARKED:
        return f"job {job.id} is {job.state}; only an ended or parked job can be put back into the queue"
    return f"job {job.id} was not put back: an unfinished job has its unique key ({clean(job.unique_key)})"


def _not_cancelled(job: Job) -> str:
    if job.ended:
        return f"job {job.id} has ended already: it is {job.state}"
    return f"job {job.id} is {job.state} and a worker has it; only a waiting job can be cancelled"
