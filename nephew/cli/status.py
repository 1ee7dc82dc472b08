"""`nephew status`: how the jobs are doing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from nephew import Nephew, clock
from nephew.cli.application import with_huey
from nephew.cli.output import json_option, moment, period, print_json, without_passwords
from nephew.cli.tables import print_table
from nephew.inspection import Status
from nephew.job import State

if TYPE_CHECKING:
    from nephew.archive import Progress
    from nephew.backends.records import WorkerRecord


@click.command()
@json_option
@with_huey
def status(huey: Nephew, as_json: bool) -> None:
    """Show job counts and live workers.

    Jobs by state, how long the oldest has been waiting for a worker, and the workers that are alive.
    """
    found = huey.inspection.status()
    if as_json:
        print_json(_record(huey.name, found))
    else:
        _show(huey.name, found)


def _record(name: str, found: Status) -> dict[str, Any]:
    return {
        "name": name,
        "backend": without_passwords(found.backend),
        "counts": {state: found.counts.get(state, 0) for state in State},
        "oldest_waiting_seconds": found.oldest_waiting,
        "history": {
            "kept_at_most": found.keeps,
            "archive": None if found.archive is None else without_passwords(found.archive.place),
            "events_behind": found.archive and found.archive.behind,
            "events_cut": found.archive and found.archive.cut,
            "trouble": found.archive and found.archive.trouble,
        },
        "workers": [
            {
                "number": worker.number,
                "type": worker.kind,
                "host": worker.host,
                "pid": worker.pid,
                "queues": _queues(worker),
                "started_at": clock.aware(worker.started_at),
            }
            for worker in found.workers
        ],
    }


def _show(name: str, found: Status) -> None:
    click.echo(f"{name} in {without_passwords(found.backend)}")
    print_table(("STATE", "JOBS"), [(state, found.counts.get(state, 0)) for state in State])
    if found.oldest_waiting is None:
        click.echo("No job waits for a worker.")
    else:
        click.echo(f"The oldest waiting job has waited for {period(found.oldest_waiting)}.")
    if found.keeps is not None:
        click.echo(_history(found.keeps, found.archive))
    if not found.workers:
        click.echo("No worker is alive.")
        return
    rows = [
        (worker.number, worker.kind, worker.host, worker.pid, ", ".join(_queues(worker)) or "all",
         moment(clock.aware(worker.started_at)))
        for worker in found.workers
    ]  # fmt: skip
    print_table(("WORKER", "TYPE", "HOST", "PID", "QUEUES", "STARTED"), rows)


def _history(most: int, archive: Progress | None) -> str:
    """Where the history is, in one line."""
    if archive is None:
        return f"History: the last {most:,} ended jobs, kept by Redis; NEPHEW_DATABASE_URL would archive all."
    place = without_passwords(archive.place)
    if archive.trouble is not None:
        return f"History: archived in {place}, which cannot be asked ({without_passwords(archive.trouble)})."
    cut = f"; {archive.cut:,} events were cut before they were archived" if archive.cut else ""
    return f"History: archived in {place}, {archive.behind:,} events behind{cut}."


def _queues(worker: WorkerRecord) -> list[str]:
    """The queues that a worker serves; none: all."""
    return [queue for queue in worker.queues.split(",") if queue]
