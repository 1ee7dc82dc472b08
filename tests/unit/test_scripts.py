"""Each Lua script says at its head which keys it reads and writes: all of them, whichever function does it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nephew.backends.redis import scripts

FOLDER = Path(scripts.__file__).with_name("lua")
SOURCES = {path.stem: path.read_text() for path in FOLDER.glob("*.lua")}
PARTS = {path.stem: path.read_text() for path in (FOLDER / "lib").glob("*.lua")}

#: Where the list of keys begins in a head, and where it says of another file that its keys are meant as well.
LIST = re.compile(r"^-- (?:Returns and )?(?:[Rr]eads|[Ww]rites) .*", re.MULTILINE | re.DOTALL)
OTHER = re.compile(r"(?:(lib)/)?(\w+)\.lua")
#: How a key is declared where it is explained.
DECLARED = re.compile(r"\{name\}:(\w+)")
FUNCTION = re.compile(r"^(?:local )?function ([\w.]+)\(.*?^end$", re.MULTILINE | re.DOTALL)
#: A field of a hash that is called like a key.
FIELD = re.compile(r"(?<!key\()'fence'")
TELL = re.compile(r"\btell\('(\w+)'\)")
#: `try` of lib/base.lua notes there what it could do without; that is said once, where it is.
NOTED = {"broken"}
#: Keys that some code comes to by names that are kept or made elsewhere.
BEHIND = {r"\bslots\b": {"ends"}, r"\bwait_until\(": {"scheduled", "retrying"}}

WORDS = {word for text in (*SOURCES.values(), *PARTS.values()) for word in DECLARED.findall(text)}


def code(text: str) -> str:
    return re.sub(r"--.*$", "", text, flags=re.MULTILINE)


def functions(part: str) -> dict[str, str]:
    return {found[1]: found[0] for found in FUNCTION.finditer(code(PARTS[part]))}


def parts_of(name: str) -> list[str]:
    """The parts of the library that are put in front of a script."""
    alone = SOURCES[name].startswith("--! alone")
    return [] if alone else ["base", *scripts.used_by(SOURCES[name])]


def reached(name: str, start: str | None = None) -> Iterator[tuple[str, str]]:
    """The pieces of code that a script may come to, each with the file that it is in: itself (or what it is to start
    from), and the library's functions that are called."""
    library = {function: (part, text) for part in parts_of(name) for function, text in functions(part).items()}
    left = [(name, code(SOURCES[name]) if start is None else start)]
    while left:
        file, text = left.pop()
        yield file, text
        for function in [each for each in library if re.search(rf"(?<![\w.]){each}\(|, {each}\)", text)]:
            left.append(library.pop(function))


def used(text: str) -> set[str]:
    """The keys whose names are in a piece of code, and the channels as `channel`."""
    literals = {literal.strip(":") for literal in re.findall(r"'([\w:]+)'", FIELD.sub("", TELL.sub("", text)))}
    behind = {word for pattern, words in BEHIND.items() if re.search(pattern, text) for word in words}
    return (literals & WORDS - NOTED) | behind | {f"`{channel}`" for channel in TELL.findall(text)}


def named(name: str) -> set[str]:
    """The same of what a head names."""
    head = re.match(r"(?:--.*\n)*", SOURCES[name])[0]
    listed = "".join(LIST.findall(head))
    found = set(DECLARED.findall(head)) | set(re.findall(r"`\w+`", listed))
    found |= set(re.findall(r"(?<![\w`<:/])\w+(?!\w|[`>]|\.\w)", listed)) & WORDS
    for part, other in OTHER.findall(listed):
        found |= touched_by(name, other) if part else named(other)
    return found - NOTED


def touched(name: str) -> set[str]:
    return {word for _, text in reached(name) for word in used(text)}


def touched_by(name: str, part: str) -> set[str]:
    """What a script touches through the functions of one part."""
    start = "".join(text for file, text in reached(name) if file == part)
    return {word for _, text in reached(name, start) for word in used(text)}


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_a_script_names_its_keys_and_no_others(name: str) -> None:
    assert named(name) == touched(name)
