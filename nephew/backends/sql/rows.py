"""Many rows in one statement, as each database takes them with the least work for each of them.

A statement has them by `WITH given (<names>) AS (<select>)`. What is the same in all of them is passed once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, chain
from typing import Any, NamedTuple

from nephew.backends.sql.tables import Job

#: Values of columns of the table of jobs, by their names: as many of each as there are rows.
Columns = Mapping[str, Sequence[Any]]

#: Rows in one statement of SQLite, which compiles one for each number of them and keeps it, tens of kilobytes: so only
#: for powers of two, and no larger ones, which would save little.
FEW = 64
#: The most rows in one statement of PostgreSQL, and roughly the most bytes.
MANY, LONGEST = 1000, 16 * 2**20

#: The types of PostgreSQL by those of Peewee.
TYPES = {"TEXT": "text", "BLOB": "bytea", "DOUBLE": "float8", "BIGINT": "bigint", "BIGAUTO": "bigint"}


class Rows(NamedTuple):
    """Rows as a part of a statement: `WITH given (<names>) AS (<select>)`, and the parameters of the select."""

    names: str
    select: str
    values: list[Any]


def marks(values: Iterable[Any]) -> str:
    """Placeholders for a list of values: `?, ?, ?`."""
    return ", ".join("?" for _ in values)


def in_values(columns: Columns) -> Iterator[Rows]:
    """For SQLite: each value is a parameter."""
    same, differing = _split(columns)
    names = ", ".join((*same, *differing))
    rows = list(zip(*differing.values(), strict=True)) or [()]
    first = 0
    while first < len(rows):
        some = rows[first : first + _portion(len(rows) - first)]
        values = [*same.values(), *chain.from_iterable(some)]
        yield Rows(names, _select_values(len(same), len(differing), len(some)), values)
        first += len(some)


def _portion(rows: int) -> int:
    """How many of so many go into one statement of SQLite."""
    return min(FEW, 1 << rows.bit_length() - 1)


@lru_cache(maxsize=512)
def _select_values(same: int, differing: int, rows: int) -> str:
    if not differing:
        return f"SELECT {marks(range(same))}"
    row = f"({marks(range(differing))})"
    return f"SELECT {'?, ' * same}* FROM (VALUES {', '.join([row] * rows)})"


def in_arrays(columns: Columns) -> Iterator[Rows]:
    """For PostgreSQL: each column is a parameter, a text that the server reads as an array.

    It would be slow at reading bytes from it: they come in one piece, with the places where each value begins.
    """
    same, differing = _split(columns)
    blobs = {name: values for name, values in differing.items() if _type(name) == "bytea"}
    others = {name: values for name, values in differing.items() if name not in blobs}
    names, select = ", ".join((*same, *others, *blobs)), _select_arrays(tuple(same), tuple(others), tuple(blobs))
    rows, size = len(next(iter(columns.values()))), _most(blobs)
    for first in range(0, rows if differing else 1, size):
        arrays = [_array(values[first : first + size]) for values in others.values()]
        pieces = [values[first : first + size] for values in blobs.values()]
        whole = [b"".join(map(_or_empty, some)) for some in pieces]
        yield Rows(names, select, [*same.values(), *whole, *arrays, *chain.from_iterable(map(_places, pieces))])


def _most(blobs: Columns) -> int:
    """How many rows go into one statement."""
    longest = max((len(value) for values in blobs.values() for value in values if value), default=1)
    return max(1, min(MANY, LONGEST // longest))


@lru_cache(maxsize=512)
def _select_arrays(same: tuple[str, ...], others: tuple[str, ...], blobs: tuple[str, ...]) -> str:
    cut = [f"substring(?::bytea FROM {name}_at FOR {name}_size)" for name in blobs]
    chosen = ", ".join([*(f"?::{_type(name)}" for name in same), *others, *cut])
    arrays = [*((name, _type(name)) for name in others)]
    arrays += [(f"{name}_{part}", "int") for name in blobs for part in ("at", "size")]
    if not arrays:
        return f"SELECT {chosen}"
    unnested = ", ".join(f"?::{kind}[]" for _, kind in arrays)
    return f"SELECT {chosen} FROM unnest({unnested}) AS arrays ({', '.join(name for name, _ in arrays)})"


def _places(pieces: Sequence[bytes | None]) -> tuple[str, str]:
    """Where in the whole each piece begins, and its size."""
    sizes = [None if piece is None else len(piece) for piece in pieces]
    return _array(list(accumulate((size or 0 for size in sizes[:-1]), initial=1))), _array(sizes)


def _or_empty(piece: bytes | None) -> bytes:
    return piece or b""


def _type(name: str) -> str:
    return TYPES[Job._meta.fields[name].field_type]


def _array(values: Sequence[Any]) -> str:
    return f"{{{','.join(map(_element, values))}}}"


def _element(value: Any) -> str:
    if isinstance(value, str):
        escaped = value.replace("\\", "\\\\").replace('"', '\\"')
        return f'"{escaped}"'
    return "NULL" if value is None else str(value)


def _split(columns: Columns) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
    """The values that all rows have in common, and the columns of which that is not so."""
    same: dict[str, Any] = {}
    differing: dict[str, Sequence[Any]] = {}
    for name, values in columns.items():
        if values.count(values[0]) == len(values):
            same[name] = values[0]
        else:
            differing[name] = values
    return same, differing
