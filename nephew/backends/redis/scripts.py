"""The Lua scripts: one for each atomic step, each in a file of its own, put together from what they share."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import NamedTuple

#: How a script's first line names the files of `lua/lib` that it is built on, in order.
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
    body = _read(f"{name}.lua")
    first = body.partition("\n")[0]
    if first == _ALONE:
        return Script(name, body, hashlib.sha1(body.encode()).hexdigest())
    used = first.removeprefix(_USES).split(",") if first.startswith(_USES) else []
    source = "\n".join([*(_read(f"lib/{each.strip()}.lua") for each in ("base", *used)), body])
    return Script(name, source, hashlib.sha1(source.encode()).hexdigest())


def _read(file: str) -> str:
    return (_FOLDER / file).read_text()
