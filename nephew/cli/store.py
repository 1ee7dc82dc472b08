"""`nephew migrate`: what is stored, in the form that this version knows."""

from __future__ import annotations

import click

from nephew import Nephew
from nephew.cli.application import with_huey
from nephew.cli.output import without_passwords


@click.command()
@with_huey
def migrate(huey: Nephew) -> None:
    """Make the store's tables (on Redis: its keys) or bring them up to date.

    Safe to run at any time, also from several places.
    """
    for described, before, after in huey.inspection.migrate():
        place = without_passwords(described)
        if before == after:
            click.echo(f"{place}: up to date (version {after}).")
        else:
            click.echo(f"{place}: was version {before} and is version {after} now.")
