"""`nephew locks`: who holds which, and breaking one."""

from __future__ import annotations

import click

from nephew import Nephew, clock
from nephew.cli.application import with_huey
from nephew.cli.output import clean, json_option, moment, print_json
from nephew.cli.tables import print_table


@click.group()
def locks() -> None:
    """See who holds locks, and break them."""


@locks.command("list")
@json_option
@with_huey
def list_locks(huey: Nephew, as_json: bool) -> None:
    """List the locks that are held."""
    held = huey.inspection.locks()
    if as_json:
        print_json(
            [
                {
                    "name": lock.name,
                    "held_by": lock.label,
                    "fence": lock.fence,
                    "acquired_at": clock.aware(lock.acquired_at),
                    "expires_at": clock.aware(lock.expires_at),
                }
                for lock in held
            ]
        )
    elif held:
        rows = [
            (lock.name, lock.label, lock.fence, moment(clock.aware(lock.acquired_at)),
             moment(clock.aware(lock.expires_at)))
            for lock in held
        ]  # fmt: skip
        print_table(("NAME", "HELD BY", "FENCE", "SINCE", "EXPIRES"), rows, whole=("NAME",))
    else:
        click.echo("No lock is held.", err=True)
    if not held:
        raise click.exceptions.Exit(1)


@locks.command("break")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@with_huey
def break_locks(huey: Nephew, names: tuple[str, ...]) -> None:
    """Take locks from whoever holds them. What they protect may then run twice at once."""
    missing = False
    for name in names:
        if huey.inspection.break_lock(name):
            click.echo(f"Lock {clean(name)} is broken.")
        else:
            missing = True
            click.echo(f"Nobody holds a lock {clean(name)}.", err=True)
    if missing:
        raise click.exceptions.Exit(1)
