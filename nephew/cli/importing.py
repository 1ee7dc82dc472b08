"""`nephew import`: taking over the jobs of a plain Huey."""

from __future__ import annotations

import pkgutil
from contextlib import closing
from typing import Any

import click

from nephew import Nephew
from nephew.cli.application import with_huey
from nephew.cli.output import clean, one_line, without_passwords
from nephew.importing import Import, Left, Reader, Report
from nephew.sources import open_source

#: So many of the messages that stay are listed.
LISTED = 100


@click.command("import")
@click.argument("url", metavar="URL")
@click.option("--name", metavar="NAME", help="The name of the old Huey instance. [default: the name of this one]")
@click.option("--trust-pickle", is_flag=True, help="Read pickles: nobody else can have written to that queue.")
@click.option("--serializer", metavar="PATH", help="Where the old serializer is, such as app.old.serializer.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@with_huey
def import_jobs(
    huey: Nephew, url: str, name: str | None, trust_pickle: bool, serializer: str | None, dry_run: bool
) -> None:
    """Move the waiting and scheduled jobs of a plain Huey here.

    URL is where its queue is: redis://host/0, rediss://…, unix://…, sqlite:///huey.db or postgresql://…. Each job
    is stored here before it is taken out there: the command may be killed and repeated at any time. Stop the
    consumer of the old queue first.
    """
    reader = Reader(huey, None if serializer is None else _found(serializer), trust_pickle)
    with closing(open_source(url, name or huey.name)) as source:
        move = Import(huey, source, reader)
        report = move.look() if dry_run else move.run()
    if report == Report():
        click.echo(
            f"Nothing waits there for a Huey named {clean(name or huey.name)}; --name tells another name.", err=True
        )
    _tell(report, dry_run, f"{huey.name} in {without_passwords(huey.inspection.place)}")
    if report.left or report.snatched:
        raise click.exceptions.Exit(1)


def _found(path: str) -> Any:
    try:
        serializer = pkgutil.resolve_name(path)
    except (ValueError, ImportError, AttributeError) as error:
        raise _unfit(f"expected a path such as app.old.serializer: {error}") from None
    if not hasattr(serializer, "deserialize") or isinstance(serializer, type):
        raise _unfit(f"expected {path} to be a serializer, got {serializer!r}")
    return serializer


def _unfit(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="--serializer")


def _tell(report: Report, dry_run: bool, place: str) -> None:
    would = "would be" if dry_run else "were"
    click.echo(f"{report.waiting} waiting and {report.scheduled} scheduled jobs {would} moved to {clean(place)}.")
    if report.known:
        click.echo(f"{report.known} that are here already {would} only taken out there.")
    for name, count in sorted(report.unknown.items()):
        click.echo(
            f"{count} of them need a task {clean(name)}, unknown here: a consumer parks them until one knows it."
        )
    if report.snatched:
        click.echo(
            f"{report.snatched} were taken out there by somebody else meanwhile and may run twice: "
            "stop the old consumer.",
            err=True,
        )
    if report.left:
        _tell_left(report.left)


def _tell_left(left: list[Left]) -> None:
    click.echo(f"{len(left)} cannot be moved and stay there:", err=True)
    for each in left[:LISTED]:
        click.echo(f"  {clean(each.id) or 'a message'}: {one_line(each.reason)}", err=True)
    if len(left) > LISTED:
        click.echo(f"  and {len(left) - LISTED} more", err=True)
    click.echo("The old consumer can still run them; or mend the reason and repeat the command.", err=True)
