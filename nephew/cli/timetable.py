"""`nephew schedules pause`, `resume`, `run`, `add`, `change`, `restore` and `remove`: steering them at run time."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast, get_args

import click

from nephew import Nephew, clock
from nephew.catchup import CatchUp, Overlap
from nephew.cli.application import with_huey
from nephew.cli.filters import duration
from nephew.cli.output import clean
from nephew.cli.tasks import find, fitting
from nephew.errors import ConfigError, NephewError
from nephew.schedules import Cron, Every, Fold, Gap, cron, every

F = TypeVar("F", bound=Callable[..., Any])

#: The options that go with a cron expression, and those that go with a period.
OF_CRON, OF_PERIOD = ("tz", "gap", "fold"), ("anchor", "jitter")

names_argument = click.argument("names", metavar="NAME...", nargs=-1, required=True)


# -- what may be said of a schedule -------------------------------------------------------------------
def _limit(context: click.Context, parameter: click.Parameter, value: str | None) -> dt.timedelta | str | None:
    """A time, `never`, or None: not given."""
    if value is None or value == "never":
        return value
    return dt.timedelta(seconds=cast("float", duration(context, parameter, value)))


def _anchor(context: click.Context, parameter: click.Parameter, value: str | None) -> dt.datetime | None:
    try:
        return None if value is None else dt.datetime.fromisoformat(value)
    except ValueError:
        message = f"expected a moment such as 2026-12-24T18:00Z, got {value!r}"
        raise click.BadParameter(message, context, parameter) from None


_OPTIONS = (
    click.option("--tz", metavar="ZONE", help="Of a cron expression: its zone, such as Europe/Berlin.  [default: UTC]"),
    click.option("--gap", type=click.Choice(get_args(Gap)), help="Of a cron expression: if the clock skips its time."),
    click.option("--fold", type=click.Choice(get_args(Fold)), help="The same if the clock shows its time twice."),
    click.option("--anchor", callback=_anchor, metavar="MOMENT", help="Of a period: one of the due times."),
    click.option("--jitter", callback=duration, metavar="TIME", help="Of a period: put each off by less than that."),
    click.option("--catch-up", type=click.Choice(get_args(CatchUp)), help="What is made up for after a downtime."),
    click.option("--within", callback=_limit, metavar="TIME", help="How late that may be; never: as by default."),
    click.option("--overlap", type=click.Choice(get_args(Overlap)), help="While an earlier job has not ended."),
    click.option(
        "--expect-within", callback=_limit, metavar="TIME",
        help="Alert when it has not succeeded for so long; never: do not.",
    ),
)  # fmt: skip


def schedule_options(function: F) -> F:
    """Give a command the options; its `text` becomes `schedule` (None: it has none), and the rest its `policy`."""

    @functools.wraps(function)
    def command(*args: Any, text: str | None, **given: Any) -> Any:
        value = {name: given.pop(name) for name in (*OF_CRON, *OF_PERIOD)}
        policy = {name: given.pop(name) for name in ("catch_up", "within", "overlap", "expect_within")}
        return function(*args, schedule=_schedule(text, _chosen(value)), policy=_chosen(policy), **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return cast("F", command)


def _chosen(given: dict[str, Any]) -> dict[str, Any]:
    return {name: None if value == "never" else value for name, value in given.items() if value is not None}


def _schedule(text: str | None, options: dict[str, Any]) -> Cron | Every | None:
    period = None if text is None else _period(text)
    fitting = () if text is None else OF_CRON if period is None else OF_PERIOD
    if unfit := [name for name in options if name not in fitting]:
        kind = "a cron expression" if unfit[0] in OF_CRON else "a period such as 15m"
        raise click.UsageError(f"--{unfit[0]} goes with {kind}, got {'no schedule' if text is None else repr(text)}")
    try:
        if period is not None:
            return every(seconds=period, **options)
        return None if text is None else cron(text, **options)
    except ConfigError as error:
        raise click.BadParameter(str(error), param_hint="SCHEDULE") from None


def _period(text: str) -> float | None:
    try:
        return clock.seconds(text)
    except ValueError:
        return None


# -- steering -----------------------------------------------------------------------------------------
def _each(names: tuple[str, ...], step: Callable[[str], str]) -> None:
    """Do something with each schedule and say what was done; exit code 1 when one could not."""
    refused = False
    for name in names:
        try:
            click.echo(clean(step(name)))
        except NephewError as error:
            refused = True
            click.echo(f"Error: {clean(error)}", err=True)
    if refused:
        raise click.exceptions.Exit(1)


@click.command()
@names_argument
@with_huey
def pause(huey: Nephew, names: tuple[str, ...]) -> None:
    """Have their ticks skipped until they are resumed. The ledger tells so of each."""
    _each(names, lambda name: f"{name} is paused{'' if huey.schedules.pause(name) else ' already'}.")


@click.command()
@names_argument
@with_huey
def resume(huey: Nephew, names: tuple[str, ...]) -> None:
    """End a pause. Ticks that were skipped meanwhile stay skipped."""
    _each(names, lambda name: f"{name} is {'resumed' if huey.schedules.resume(name) else 'not paused'}.")


@click.command()
@names_argument
@with_huey
def run(huey: Nephew, names: tuple[str, ...]) -> None:
    """Enqueue a job of each now, and print its id.

    Whatever pause and overlap say.
    """
    _each(names, lambda name: huey.schedules.run(name).id)


@click.command()
@click.argument("name")
@click.argument("task_name", metavar="TASK")
@click.argument("text", metavar="SCHEDULE")
@click.argument("arguments", metavar="[ARGS-AS-JSON]", default="[]")
@schedule_options
@with_huey
def add(
    huey: Nephew,
    name: str,
    task_name: str,
    arguments: str,
    schedule: Cron | Every,
    policy: dict[str, Any],
) -> None:
    """Add a schedule of a registered task. It is stored; every consumer goes by it at once.

    SCHEDULE is a cron expression, or a period. ARGS-AS-JSON are the arguments that its jobs are called with, a list
    or an object:

    \b
      nephew schedules add report-7 send_report '0 7 * * 1' '{"customer": 7}' --tz Europe/Berlin
      nephew schedules add ping-7 ping 90s '[7]' --jitter 10s --expect-within 10m
    """
    task = find(huey.inspection.catalogue(), task_name)
    args, kwargs = fitting(task, arguments)
    plan = huey.schedules.add(name, task.name, schedule, args, kwargs, **cast("Any", policy))
    click.echo(f"{clean(plan.name)} is due by {plan.schedule!r}.")


@click.command()
@click.argument("name")
@click.argument("text", metavar="[SCHEDULE]", required=False)
@schedule_options
@with_huey
def change(huey: Nephew, name: str, schedule: Cron | Every | None, policy: dict[str, Any]) -> None:
    """Change when a schedule is due, or its policy.

    SCHEDULE is a cron expression, or a period such as 90s or 12h. What is not named stays as it is. The change is
    stored, and outlives a deploy.
    """
    if schedule is None and not policy:
        raise click.UsageError("expected a SCHEDULE, or an option such as --overlap: what to change")
    plan = huey.schedules.change(name, schedule, **cast("Any", policy))
    click.echo(f"{clean(plan.name)} is due by {plan.schedule!r}.")


@click.command()
@names_argument
@with_huey
def restore(huey: Nephew, names: tuple[str, ...]) -> None:
    """Make schedules what the code says again."""
    _each(names, lambda name: f"{name} is what the code says: {huey.schedules.restore(name).schedule!r}.")


@click.command()
@names_argument
@with_huey
def remove(huey: Nephew, names: tuple[str, ...]) -> None:
    """Forget schedules that the code does not have. What is known of their ticks stays, for as long as any."""

    def forget(name: str) -> str:
        huey.schedules.remove(name)
        return f"{name} is removed."

    _each(names, forget)
