"""`nephew jobs retry`, `cancel`, `delete` and `rerun`: of jobs by their ids, or of all that a filter means."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import click

from nephew import Nephew
from nephew.cli.application import with_huey
from nephew.cli.filters import filter_options
from nephew.cli.jobs import unknown
from nephew.cli.output import clean
from nephew.errors import NephewError
from nephew.job import ENDED, WAITING, Job, State
from nephew.selection import Wanted

ids_argument = click.argument("job_ids", metavar="[ID]...", nargs=-1)
yes_option = click.option("-y", "--yes", is_flag=True, help="Do not ask before many are changed.")


class Action(NamedTuple):
    """What can be done to many jobs.

    :ivar question: asked before it is done to many; `{}` stands for their number.
    :ivar done: what a job is afterwards.
    :ivar step: does it to jobs, and tells to how many.
    :ivar refusal: why it was not done to a job.
    :ivar states: those that a filter means which names none.
    :ivar begun: what a job is afterwards whose function is running, if that is something else.
    """

    question: str
    done: str
    step: Callable[[Nephew, Sequence[str]], int]
    refusal: Callable[[Job], str]
    states: tuple[State, ...]
    begun: str = ""


@click.command()
@ids_argument
@filter_options
@yes_option
@with_huey
def retry(huey: Nephew, job_ids: tuple[str, ...], wanted: Wanted, yes: bool) -> None:
    """Put ended or parked jobs back into the queue.

    Their earlier attempts stay in the record. A filter that names no state means those that failed, were cancelled,
    expired or are parked.
    """
    act(huey, RETRY, job_ids, wanted, yes)


@click.command()
@ids_argument
@filter_options
@click.option("--reason", default="cancelled by request", metavar="TEXT", help="Why, for the record.")
@yes_option
@with_huey
def cancel(huey: Nephew, job_ids: tuple[str, ...], wanted: Wanted, reason: str, yes: bool) -> None:
    """End jobs that wait or are parked, stop those that run.

    What would follow from them does not happen. A filter that names no state means those that wait or are parked.
    """
    action = CANCEL._replace(step=lambda huey, ids: sum(huey.cancel(job_id, reason) for job_id in ids))
    act(huey, action, job_ids, wanted, yes)


@click.command()
@ids_argument
@filter_options
@yes_option
@with_huey
def delete(huey: Nephew, job_ids: tuple[str, ...], wanted: Wanted, yes: bool) -> None:
    """Delete ended or parked jobs with all that belongs to them.

    Others have to be cancelled first. A filter that names no state means all ended and parked ones.
    """
    act(huey, DELETE, job_ids, wanted, yes)


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@with_huey
def rerun(huey: Nephew, job_ids: tuple[str, ...]) -> None:
    """Make new jobs of the calls of old ones, and print their ids."""
    refused = False
    for job_id in job_ids:
        try:
            click.echo(huey.rerun(job_id).id)
        except NephewError as error:
            refused = True
            click.echo(f"Error: {clean(error)}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


def act(huey: Nephew, action: Action, job_ids: tuple[str, ...], wanted: Wanted, yes: bool) -> None:
    """Do it to jobs by their ids, or to all that a filter means; exit with 1 if it was refused for any."""
    if bool(job_ids) == bool(wanted):
        raise click.UsageError("expected either IDs or a filter such as --state failed")
    refused = each(huey, action, job_ids) if job_ids else _all(huey, action, wanted, yes)
    if refused:
        raise click.exceptions.Exit(1)


def each(huey: Nephew, action: Action, job_ids: Sequence[str]) -> int:
    """Do it to each and tell of it; how many were refused."""
    refused = 0
    for job_id in job_ids:
        before = huey.job(job_id)
        if before is not None and action.step(huey, [job_id]):
            done = action.begun if action.begun and before.state == State.RUNNING else action.done
            click.echo(f"Job {clean(job_id)} is {done}.")
            continue
        refused += 1
        job = huey.job(job_id)
        click.echo(f"Error: {unknown(job_id) if job is None else action.refusal(job)}", err=True)
    return refused


def _all(huey: Nephew, action: Action, wanted: Wanted, yes: bool) -> int:
    """Do it to all that are meant, once it was said how many they are; how many were refused."""
    wanted.setdefault("state", action.states)
    selection = huey.inspection.selection(**wanted)
    count = selection.count()
    if not count:
        click.echo("No such job.", err=True)
        raise click.exceptions.Exit(1)
    question = action.question.format(_jobs(count))
    if not yes and not sys.stdin.isatty():
        raise click.UsageError(f"{question}? There is nobody to ask; say --yes to do it")
    if not yes and not click.confirm(f"{question}?"):
        click.echo("Nothing was changed.", err=True)
        raise click.exceptions.Exit(1)
    done = refused = 0
    for ids in selection.ids():
        changed = action.step(huey, ids)
        done, refused = done + changed, refused + len(ids) - changed
    now = (
        f"{action.done} or {action.begun}" if action.begun and State.RUNNING in (wanted["state"] or ()) else action.done
    )
    click.echo(f"{_jobs(done)} {'is' if done == 1 else 'are'} {now}, {refused:,} refused.")
    return refused


def _jobs(count: int) -> str:
    return f"{count:,} job{'' if count == 1 else 's'}"


def _not_retried(job: Job) -> str:
    if not job.ended and job.state != State.PARKED:
        return f"job {job.id} is {job.state}; only an ended or parked job can be put back into the queue"
    return f"job {job.id} was not put back: an unfinished job has its unique key ({clean(job.unique_key)})"


def _not_cancelled(job: Job) -> str:
    if job.ended:
        return f"job {job.id} has ended already: it is {job.state}"
    return f"job {job.id} is {job.state} and a worker has it; try again in a moment"


def _not_deleted(job: Job) -> str:
    return f"job {job.id} is {job.state}; only an ended or parked job can be deleted, so cancel it first"


_UNENDED = (*sorted(WAITING), State.PARKED)
_UNHAPPY = (State.FAILED, State.CANCELLED, State.EXPIRED, State.PARKED)

RETRY = Action(
    "Put {} back into the queue",
    "back in the queue",
    lambda huey, ids: sum(huey.retry(job_id) for job_id in ids),
    _not_retried,
    _UNHAPPY,
)
CANCEL = Action(
    "Cancel {}",
    "cancelled",
    lambda huey, ids: sum(huey.cancel(job_id) for job_id in ids),
    _not_cancelled,
    _UNENDED,
    begun="asked to stop",
)
DELETE = Action(
    "Delete {}",
    "deleted",
    lambda huey, ids: huey.delete_jobs(*ids),
    _not_deleted,
    (*sorted(ENDED), State.PARKED),
)
