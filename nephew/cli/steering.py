"""`nephew jobs change` and `run-now`: of jobs that wait."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import click

from nephew import Nephew, clock
from nephew.cli.application import with_huey
from nephew.cli.bulk import Action, act, each, ids_argument, yes_option
from nephew.cli.filters import duration, filter_options
from nephew.job import Job, State
from nephew.selection import Wanted

MOMENT = "a moment such as 2026-12-24T18:00"


def _eta(context: click.Context, parameter: click.Parameter, value: str | None) -> dt.datetime | None:
    if value is None:
        return None
    try:
        return dt.datetime.fromisoformat(value)
    except ValueError:
        raise click.BadParameter(f"expected {MOMENT}, got {value!r}", context, parameter) from None


def _expires(context: click.Context, parameter: click.Parameter, value: str | None) -> float | dt.datetime | None:
    if value is None:
        return None
    if value == "never":
        return math.inf
    for read in (clock.seconds, dt.datetime.fromisoformat):
        try:
            return read(value)
        except ValueError:
            continue
    raise click.BadParameter(
        f"expected a time such as 90s or 12h, {MOMENT}, or never; got {value!r}", context, parameter
    )


@click.command()
@click.argument("job_ids", metavar="ID...", nargs=-1, required=True)
@click.option("-p", "--priority", type=float, metavar="NUMBER", help="The higher, the earlier.")
@click.option("-q", "--queue", metavar="NAME", help="The queue to wait in.")
@click.option("-d", "--delay", callback=duration, metavar="TIME", help="Run it so long from now (90s, 15m, 12h).")
@click.option("--eta", callback=_eta, metavar="MOMENT", help="Run it then; without an offset in Huey's own time, UTC.")
@click.option(
    "--expires",
    callback=_expires,
    metavar="TIME",
    help="Do not run it later than so long from now, or a moment; or never.",
)
@with_huey
def change(huey: Nephew, job_ids: tuple[str, ...], **changes: Any) -> None:
    """Change jobs that wait: their priority, queue, time or expiry."""
    if all(value is None for value in changes.values()):
        raise click.UsageError("expected --priority, --queue, --delay, --eta or --expires: what to change")
    if changes["delay"] is not None and changes["eta"] is not None:
        raise click.UsageError("expected --delay or --eta, got both")
    action = CHANGE._replace(step=lambda huey, ids: sum(huey.change(job_id, **changes) for job_id in ids))
    if each(huey, action, job_ids):
        raise click.exceptions.Exit(1)


@click.command("run-now")
@ids_argument
@filter_options
@yes_option
@with_huey
def run_now(huey: Nephew, job_ids: tuple[str, ...], wanted: Wanted, yes: bool) -> None:
    """Let waiting jobs run as soon as a worker is free.

    A filter that names no state means those that are scheduled or wait for their next attempt.
    """
    act(huey, RUN_NOW, job_ids, wanted, yes)


def _not_changed(job: Job) -> str:
    if job.ended:
        return f"job {job.id} has ended already: it is {job.state}"
    if job.state == State.PARKED:
        return f"job {job.id} is parked; `nephew jobs retry` puts it back into the queue, then it can be changed"
    return f"job {job.id} is {job.state} and a worker has it; only a job that waits can be changed"


RUN_NOW = Action(
    "Run {} now",
    "due now",
    lambda huey, ids: sum(huey.run_now(job_id) for job_id in ids),
    _not_changed,
    (State.SCHEDULED, State.RETRYING),
)
CHANGE = RUN_NOW._replace(question="Change {}", done="changed")
