"""How values are shown: as JSON for programs, as text for people. Nothing here can break a terminal."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import click

from nephew.codec import exceptions
from nephew.job import State

#: Control characters (line ends and tabs aside) and halves of surrogate pairs, which cannot be printed.
UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")

#: How many bits an integer may have; Python writes none of more than 4,300 decimal digits.
LARGEST = 10_000

#: How a state is shown on a terminal.
COLOURS = {
    State.SUCCEEDED: "green",
    State.RUNNING: "cyan",
    State.RETRYING: "yellow",
    State.FAILED: "red",
    State.PARKED: "magenta",
}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_json(value: Any) -> None:
    """Print a value as JSON; what JSON does not know is given as text, what cannot be printed by its number."""
    known = plain(value)
    text = UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", json.dumps(known, indent=2, ensure_ascii=False))
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(known, indent=2)
    click.echo(text)


def plain(value: Any) -> Any:
    """A value as far as JSON knows it."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= LARGEST else hex(value)
    if isinstance(value, str):
        return str(value)  # a State is one
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else repr(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(each) for each in value]
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    return exceptions.text(repr, value)


def clean(text: object) -> str:
    """Text whose control characters are shown instead of obeyed."""
    return UNPRINTABLE.sub(lambda found: repr(found[0])[1:-1], str(text))


def one_line(text: object) -> str:
    """Text in a single line."""
    return clean(" ".join(str(text).split()))


def moment(time: dt.datetime | None) -> str:
    """A time in UTC, to the second."""
    return "" if time is None else time.astimezone(dt.UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def period(seconds: float | None) -> str:
    """A duration in its largest unit or two."""
    if seconds is None:
        return ""
    if seconds < 60:
        return f"{max(seconds * 1000, 1):.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
    for unit, size, smaller, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if seconds >= size:
            return f"{seconds // size:.0f} {unit} {seconds % size // part:.0f} {smaller}"
    return ""


def without_passwords(text: str) -> str:
    """Text with the passwords of the URLs in it left out."""
    text = re.sub(r"(\w://[^:/@\s]*:)[^\s]*@", r"\1…@", text)
    return re.sub(r"(?i)\b((?:ssl)?password=)[^&\s'\"]+", r"\1…", text)
