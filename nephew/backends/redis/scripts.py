"""The Lua scripts: one for each atomic step, each in a file of its own, put together from what they share."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

#: How the first line of a script, or of a file of `lua/lib`, names those files of `lua/lib` that it is built on.
_USES = "--! uses "
#: The first line of one that is built on nothing.
_ALONE = "--! alone"
_FOLDER = Path(__file__).parent / "lua"


class Script(NamedTuple):
    """A script's source and the hash that a server knows it by."""

    name: str
    source: str
    sha: str


@functools.cache
def script(name: str) -> Script:
    """The script of this name: `lua/<name>.lua` behind `lua/lib/base.lua` and what it says that it uses."""
    body = _read(name)
    used = [] if body.startswith(_ALONE) else ["base", *used_by(body)]
    source = "\n".join([*(_read(f"lib/{each}") for each in used), body])
    return Script(name, source, hashlib.sha1(source.encode()).hexdigest())


def used_by(body: str) -> list[str]:
    """The files of `lua/lib` that a file uses, each behind those that it uses itself."""
    first = body.partition("\n")[0]
    direct = first.removeprefix(_USES).split(", ") if first.startswith(_USES) else []
    return list(dict.fromkeys(each for name in direct for each in (*used_by(_read(f"lib/{name}")), name)))


def _read(name: str) -> str:
    return (_FOLDER / f"{name}.lua").read_text()
