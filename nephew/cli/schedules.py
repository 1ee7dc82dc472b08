"""`nephew schedules`: list, show and preview them."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

import click

from nephew import Nephew, clock
from nephew.cli import record
from nephew.cli.application import with_huey
from nephew.cli.output import clean, json_option, moment, period, print_json
from nephew.cli.tables import print_table
from nephew.plans import Plan, Tick
from nephew.preview import Entry
from nephew.specs import policy_spec

#: How many coming due times and how many ticks are shown of a schedule.
COMING, TICKS = 5, 20


@click.group()
def schedules() -> None:
    """Look at schedules, preview, pause, run and change them."""


@schedules.command("list")
@json_option
@with_huey
def list_schedules(huey: Nephew, as_json: bool) -> None:
    """List the schedules.

    When each is due next, when it last succeeded, and whether it is paused or has lapsed.
    """
    found, now = huey.schedules.list(), clock.at(huey.backend.now())
    if as_json:
        print_json([_summary(plan, now) for plan in found])
    elif found:
        columns = ("NAME", "SCHEDULE", "STATE", "NEXT", "SUCCEEDED")
        print_table(columns, [_row(plan, now) for plan in found], whole=("NAME", "NEXT", "SUCCEEDED"))
    else:
        click.echo("There is no schedule.", err=True)
    if not found:
        raise click.exceptions.Exit(1)


def _row(plan: Plan, now: dt.datetime) -> tuple[object, ...]:
    coming = moment(plan.schedule.next_after(now))
    return plan.name, plan.schedule, _state(plan), coming, moment(plan.succeeded_at)


def _state(plan: Plan) -> str:
    """What holds of a schedule beside its being there."""
    words = {"left out": plan.trouble, "paused": plan.paused_at, "lapsed": plan.lapsed}
    return ", ".join(word for word, holds in words.items() if holds) or "active"


def _summary(plan: Plan, now: dt.datetime) -> dict[str, Any]:
    return {
        "name": plan.name,
        "task": plan.task,
        "schedule": repr(plan.schedule),
        **policy_spec(plan.policy),
        "added": plan.added,
        "changed": plan.changed,
        "trouble": plan.trouble,
        "paused_at": plan.paused_at,
        "lapsed": plan.lapsed,
        "since": plan.since,
        "succeeded_at": plan.succeeded_at,
        "next": plan.schedule.next_after(now),
    }


@schedules.command()
@click.argument("name")
@json_option
@with_huey
def show(huey: Nephew, name: str, as_json: bool) -> None:
    """Show all that is known of a schedule.

    NAME is its name, or the last part of it if no other ends so. Its policy, the next five due times, and what
    became of the last twenty.
    """
    plan = huey.schedules.get(name)
    coming, ticks = huey.schedules.next(plan.name, COMING), huey.schedules.ticks(plan.name, TICKS)
    args, kwargs = huey.schedules.shown(plan)
    if as_json:
        summary = _summary(plan, clock.at(huey.backend.now()))
        print_json({**summary, "args": args, "kwargs": kwargs, "next": coming, "ticks": [t._asdict() for t in ticks]})
        return
    click.echo(f"Schedule {clean(plan.name)} is {_state(plan)}")
    facts = [*_facts(plan), ("arguments", record.arguments(args, kwargs, huey.settings.result_shown))]
    for label, text in facts:
        if text:
            click.echo(f"  {label + ':':<14} {text}")
    click.echo(f"\nNext: {', '.join(map(moment, coming)) or 'never'}\n")
    if ticks:
        print_table(("DUE", "FATE", "JOB", "STATE", "REASON"), map(_tick, ticks), whole=("DUE", "FATE", "JOB", "STATE"))
    else:
        click.echo("It has had no tick yet.", err=True)


def _facts(plan: Plan) -> Iterator[tuple[str, str]]:
    policy = plan.policy
    yield "left out", clean(plan.trouble or "")
    yield "task", clean(plan.task)
    yield "schedule", clean(plan.schedule)
    yield "from", _origin(plan)
    yield "catch up", f"{policy.catch_up}, at most {period(policy.longest_delay.total_seconds())} late"
    yield "overlap", policy.overlap
    yield "expect within", period(policy.expect_within.total_seconds()) if policy.expect_within else ""
    yield "lapsed", f"it has not succeeded since {moment(plan.succeeded_at or plan.since)}" if plan.lapsed else ""
    yield "paused", f"since {moment(plan.paused_at)}" if plan.paused_at else ""
    yield "last success", moment(plan.succeeded_at)


def _origin(plan: Plan) -> str:
    if plan.added:
        return "added at run time"
    return "the code, changed at run time (`nephew schedules restore` takes that back)" if plan.changed else "the code"


def _tick(tick: Tick) -> tuple[object, ...]:
    due = moment(tick.due) if tick.until is None else f"{moment(tick.due)} to {moment(tick.until)}"
    return due, tick.fate, tick.job, tick.state, tick.reason


@schedules.command()
@click.argument("name")
@click.option(
    "-d", "--days", type=click.FloatRange(0, 3660, min_open=True), help="How far ahead.  [default: 7, or a year]"
)
@click.option("--around-dst", is_flag=True, help="Only what is near the changes of the clock.")
@click.option("-n", "--limit", type=click.IntRange(min=1), default=1000, show_default=True, help="At most so many.")
@json_option
@with_huey
def preview(huey: Nephew, name: str, days: float | None, around_dst: bool, limit: int, as_json: bool) -> None:
    """Show when a schedule is due, in its own time zone and in UTC.

    Where clocks change, a line tells which times they skip (gap) or show twice (fold), and what becomes of those.
    """
    entries = huey.schedules.preview(name, days, around_dst)
    found = list(itertools.islice(entries, limit + 1))
    more, found = len(found) > limit, found[:limit]
    if as_json:
        print_json([{**entry._asdict(), "zone": entry.at.tzname()} for entry in found])
    elif found:
        print_entries(found)
    else:
        what = "The clock of its zone does not change" if around_dst else "It is not due"
        click.echo(f"{what} in that time.", err=True)
    if not found:
        raise click.exceptions.Exit(1)
    if more:
        click.echo(f"These are the first {limit:,} lines; --limit shows more.", err=True)


def print_entries(entries: Iterable[Entry]) -> None:
    """Print what is to come, a line each."""
    print_table(("DUE", "ZONE", "UTC", "", "NOTE"), map(_line, entries), whole=("DUE", "ZONE", "UTC", ""))


def _line(entry: Entry) -> tuple[object, ...]:
    """A due time; or a change of the clock, with the zone from then on."""
    name = entry.at.tzname() or ""
    zone = f"{entry.at:%z}" if name[:1] in "+-" else f"{name} {entry.at:%z}".removesuffix(" +0000")
    if entry.kind == "tick":
        return f"{entry.at:%a %Y-%m-%d %H:%M:%S}", zone, moment(entry.at), "", entry.note
    return "", zone, moment(entry.at), entry.kind, entry.note
