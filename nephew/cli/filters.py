"""The options that say which jobs are meant: the same for looking at them and for changing many at once."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

import click

from nephew import clock
from nephew.job import State
from nephew.selection import Wanted

F = TypeVar("F", bound=Callable[..., Any])


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """The callback of an option that takes a duration as people write it: its seconds."""
    if value is None:
        return None
    try:
        return clock.seconds(value)
    except ValueError as error:
        raise click.BadParameter(f"expected {error}, got {value!r}", context, parameter) from None


_OPTIONS = (
    click.option(
        "-s", "--state", "states", multiple=True, type=click.Choice(list(map(str, State))), metavar="STATE",
        help=f"Only these; may be repeated. One of {', '.join(State)}.",
    ),
    click.option("-T", "--task", metavar="NAME", help="Only jobs of this task; the last part of its name will do."),
    click.option("-q", "--queue", metavar="NAME", help="Only jobs of this queue."),
    click.option("-t", "--tag", metavar="TAG", help="Only jobs with this tag."),
    click.option(
        "-e", "--error", metavar="TEXT",
        help="Only jobs with this fingerprint, or this text in their error: failed or cancelled ones, unless you say.",
    ),
    click.option("--older-than", callback=duration, metavar="AGE", help="Only jobs enqueued longer ago (12h, 7d)."),
    click.option("--newer-than", callback=duration, metavar="AGE", help="Only jobs enqueued less long ago."),
)  # fmt: skip


def filter_options(function: F) -> F:
    """Give a command the options, and what they say as its argument `wanted`."""

    @functools.wraps(function)
    def command(*args: Any, states: tuple[str, ...], **given: Any) -> Any:
        named = {name: given.pop(name) for name in ("task", "queue", "tag", "error", "older_than", "newer_than")}
        chosen = {name: value for name, value in {"state": states or None, **named}.items() if value is not None}
        return function(*args, wanted=cast("Wanted", chosen), **given)

    for option in reversed(_OPTIONS):
        command = option(command)
    return cast("F", command)
