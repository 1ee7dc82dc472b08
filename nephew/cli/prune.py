"""`nephew prune`: deletes the records of jobs that are not kept any longer."""

from __future__ import annotations

import sys

import click

from nephew import Nephew
from nephew.cli.application import with_huey
from nephew.cli.filters import duration
from nephew.cli.output import json_option, print_json
from nephew.cli.tables import print_table
from nephew.job import ENDED, State
from nephew.pruning import policy
from nephew.settings import Keep

#: As they are listed.
STATES = [state for state in State if state in ENDED]


@click.command()
@click.option(
    "-s", "--state", "states", multiple=True, type=click.Choice(list(map(str, STATES))), metavar="STATE",
    help=f"Only these; may be repeated. One of {', '.join(STATES)}.",
)  # fmt: skip
@click.option("--older-than", callback=duration, metavar="AGE", help="Those that ended longer ago (12h, 7d).")
@click.option("--keep", "most", type=click.IntRange(min=0), metavar="NUMBER", help="All but the latest of each state.")
@click.option("-n", "--dry-run", is_flag=True, help="Only count them.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@json_option
@with_huey
def prune(
    huey: Nephew,
    states: tuple[str, ...],
    older_than: float | None,
    most: int | None,
    dry_run: bool,
    yes: bool,
    as_json: bool,
) -> None:
    """Delete the records of ended jobs that are not kept any longer.

    Consumers do so by themselves, as the settings NEPHEW_KEEP_SUCCEEDED, … say. --older-than and --keep say
    otherwise, for this once. What waits, runs or is parked is never deleted.
    """
    given = Keep(older_than, most)
    keep = _keep(huey, states, given)
    if given != Keep() and not (dry_run or yes):
        _ask(sum(huey.prune(keep, dry_run=True).values()))
    counts = huey.prune(keep, dry_run=dry_run)
    if as_json:
        print_json(counts)
    else:
        print_table(("STATE", "TO DELETE" if dry_run else "DELETED"), [(s, f"{n:,}") for s, n in counts.items()])


def _keep(huey: Nephew, states: tuple[str, ...], given: Keep) -> dict[str, Keep | float | str] | None:
    """What is kept of the states that were named; None: as the settings say of all."""
    if given != Keep():
        return dict.fromkeys(states or STATES, given)
    settings = policy(huey)
    return {state: settings.get(State(state), Keep()) for state in states} or None


def _ask(count: int) -> None:
    if not count:
        return
    question = f"Delete {count:,} job{'' if count == 1 else 's'}?"
    if not sys.stdin.isatty():
        raise click.UsageError(f"{question} There is nobody to ask; say --yes to do it")
    if not click.confirm(question):
        click.echo("Nothing was deleted.", err=True)
        raise click.exceptions.Exit(1)
