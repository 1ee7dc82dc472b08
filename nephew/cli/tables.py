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

#: Terminals with fewer columns than this have no room for everything.
NARROW = 120

#: Rows with cut columns are at least this wide, so that a job's id stays whole; a smaller terminal breaks the lines.
LEAST = 70


def width() -> int:
    """How many columns there are: those of the terminal, or endlessly many in a pipe."""
    return Console(file=sys.stdout).width if sys.stdout.isatty() else ENDLESS


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], whole: Sequence[str] = (), cut: Sequence[str] = ()
) -> None:
    """Print rows under their headings.

    :param whole: the columns that are never broken, however narrow the terminal is.
    :param cut: the columns that a terminal shows in one line, as much of it as there is room for.
    """
    piped = not sys.stdout.isatty()
    table = Table(box=None if piped else box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    if cut and not piped:  # room for two letters more a column
        table.show_edge, table.padding = False, (0, 1, 0, 0)
    for column in columns:
        table.add_column(column, no_wrap=piped or column in whole, overflow="ignore" if piped else "fold")
    for row in rows:
        table.add_row(*(_cell(value, not piped and name in cut) for name, value in zip(columns, row, strict=True)))
    console = Console(file=sys.stdout, width=max(width(), LEAST) if cut else width())
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        console.file.write(f"{line.rstrip()}\n")


def _cell(value: object, cut: bool) -> Text:
    """Content is never read as markup."""
    style = COLOURS.get(value, "") if isinstance(value, State) else ""
    text = Text("" if value is None else one_line(value), style=style)
    if cut:  # the cell says so: rich would rather break another column than narrow one that may not wrap
        text.no_wrap, text.overflow = True, "ellipsis"
    return text
