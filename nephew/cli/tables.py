"""Tables: fitted to a terminal, and whole, without lines or colours, where they are piped."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nephew.cli.output import COLOURS, one_line
from nephew.job import State

#: Wider than any row: a pipe has no width, and nothing may be cut in it.
ENDLESS = 1_000_000


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], whole: Sequence[str] = ()) -> None:
    """Print rows under their headings.

    :param whole: the columns that are never broken, however narrow the terminal is.
    """
    piped = not sys.stdout.isatty()
    table = Table(box=None if piped else box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=piped or column in whole, overflow="ignore" if piped else "fold")
    for row in rows:
        table.add_row(*map(_cell, row))
    console = Console(file=sys.stdout, width=ENDLESS if piped else None)
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def _cell(value: object) -> Text:
    """Content is never read as markup."""
    if value is None:
        return Text("")
    style = COLOURS.get(value, "") if isinstance(value, State) else ""
    return Text(one_line(value), style=style)
