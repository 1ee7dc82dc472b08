"""Values as JSON and back: how each kind of value is written, and nothing of formats, storage or signatures.

Null, booleans, numbers, strings, arrays (lists) and objects (dicts with string keys) stand for themselves.
Anything else is an object with the one key "!" and, behind it, an array of a code and the parts it needs. A
dict that has a key "!" of its own is written as pairs. Reading goes from the inside out and calls the
functions listed here and those of registered classes; no name in the bytes is ever imported.

What does not survive: two references to one object come back as two equal objects, and cycles are refused.
"""

from __future__ import annotations

import binascii
import datetime as dt
import json
import json.encoder
import pathlib
import re
import zoneinfo
from collections.abc import Callable, Iterable
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

from huey.registry import Message
from huey.utils import SKIPPED, ChordConfig, Error

from nephew.codec import exceptions
from nephew.codec.beside import LONG
from nephew.codec.classes import Classes, Registered
from nephew.codec.exceptions import Refused, TooDeep, class_name
from nephew.errors import DecodeError

#: The only key of a JSON object that stands for something other than a dict.
TAG = "!"
#: How deep containers may be nested, so that whatever can be written can be read, on any thread.
MAX_DEPTH = 100
#: The types JSON itself keeps exactly (but for integers beyond Python's limit for decimal digits).
PLAIN = frozenset({type(None), bool, int, float, str})

_STRING = frozenset({str})
_NEXT = Message._fields.index("on_complete")
#: What is written of each message: all but the next one of its pipeline, which follows it in the same array.
_STEP = tuple(name for name in Message._fields if name != "on_complete")
_TIMES = frozenset({"eta", "expires", "expires_resolved"})
_ZONE_KEY = re.compile(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*")
_PATHS: dict[str, type[pathlib.PurePath]] = {
    kind.__name__: kind
    for kind in (pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath, pathlib.WindowsPath)
}


def _make_to_json() -> Callable[[Any], bytes]:
    # JSONEncoder.encode() makes a new C encoder at every call, which costs more than the encoding.
    make: Any = getattr(json.encoder, "c_make_encoder", None)
    try:
        encode = make(None, None, json.encoder.encode_basestring, None, ":", ",", False, False, True)
    except TypeError:  # an interpreter without it, or with other parameters
        slow = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
        return lambda tree: slow(tree).encode("utf-8", "surrogatepass")
    return lambda tree: "".join(encode(tree, 0)).encode("utf-8", "surrogatepass")


#: The JSON of a tree. Characters beyond ASCII stay themselves; so do lone surrogates, which are characters to Python.
to_json: Callable[[Any], bytes] = _make_to_json()


# --- writing ---


def tagged(code: str, *parts: Any) -> dict[str, Any]:
    """The tree of a value that JSON has no form for."""
    return {TAG: [code, *parts]}


def _base64(value: bytes | bytearray) -> str:
    return binascii.b2a_base64(value, newline=False).decode("ascii")


def _moment(value: dt.datetime | dt.time) -> Any:
    code, zone = "datetime" if isinstance(value, dt.datetime) else "time", value.tzinfo
    text = value.replace(tzinfo=None).isoformat()
    if zone is None:
        return tagged(code, text, 1) if value.fold else tagged(code, text)
    if type(zone) is dt.timezone:
        return tagged(code, text, value.fold, _timezone(zone))
    if type(zone) is zoneinfo.ZoneInfo:
        return tagged(code, text, value.fold, _zone_info(zone))
    raise Refused(value, f"its time zone is a {class_name(type(zone))}; use zoneinfo.ZoneInfo or datetime.timezone")


def _timezone(zone: dt.timezone) -> Any:
    offset = zone.utcoffset(None)
    name = zone.tzname(None)
    named = [] if name == dt.timezone(offset).tzname(None) else [name]
    return tagged("timezone", offset.days, offset.seconds, offset.microseconds, *named)


def _zone_info(zone: zoneinfo.ZoneInfo) -> Any:
    if zone.key is None or not _ZONE_KEY.fullmatch(zone.key):
        raise Refused(zone, "it has no key by which another process could find it")
    return tagged("zoneinfo", zone.key)


def _date(value: dt.date) -> Any:
    return tagged("date", value.isoformat())


def _path(value: pathlib.PurePath) -> Any:
    return tagged("path", type(value).__name__, str(value))


#: How values of these exact types are written; integers get here only from a careful writer.
_SCALARS: dict[type, Callable[[Any], Any]] = {
    int: lambda value: value if value.bit_length() <= 64 else tagged("int", f"{value:x}"),
    bytearray: lambda value: tagged("bytearray", _base64(value)),
    dt.datetime: _moment,
    dt.time: _moment,
    dt.date: _date,
    dt.timedelta: lambda value: tagged("timedelta", value.days, value.seconds, value.microseconds),
    dt.timezone: _timezone,
    zoneinfo.ZoneInfo: _zone_info,
    Decimal: lambda value: tagged("decimal", str(value)),
    UUID: lambda value: tagged("uuid", value.hex),
    type(SKIPPED): lambda value: tagged("skipped"),
    **dict.fromkeys(_PATHS.values(), _path),
}


#: The types that are kept as they are.
NATIVE = PLAIN.union(_SCALARS, {bytes, list, tuple, dict, set, frozenset, Message, Error, ChordConfig})


def inline(value: bytes) -> Any:
    """The tree of bytes that stand in the JSON itself."""
    return tagged("bytes", _base64(value))


class Writer:
    """Turns values into trees that JSON can write.

    :param plain: types that are left as they are; without int (a careful writer) large integers are tagged.
    :param long: makes the tree of long bytes.
    """

    def __init__(self, classes: Classes, plain: frozenset[type] = PLAIN, long: Callable[[bytes], Any] = inline) -> None:
        self._classes, self._plain, self._long = classes, plain, long
        #: For sets: where their items stand beside the JSON would tell in which order they came.
        self._inline = self if long is inline else Writer(classes, plain)
        self._containers: dict[type, Callable[[Any, int], Any]] = {
            bytes: lambda value, depth: inline(value) if len(value) < LONG else self._long(value),
            list: self._items,
            tuple: lambda value, depth: tagged("tuple", *self._items(value, depth)),
            dict: self._dict,
            set: lambda value, depth: tagged("set", *self._sorted(value, depth)),
            frozenset: lambda value, depth: tagged("frozenset", *self._sorted(value, depth)),
            Message: self._message,
            Error: lambda value, depth: tagged("error", self.tree(value.metadata, depth)),
            ChordConfig: lambda value, depth: tagged("chord", *self._items(value, depth)),
        }

    def tree(self, value: Any, depth: int = 0) -> Any:
        """What JSON writes for the value.

        :raises Refused: when it would not come back as it is.
        """
        kind = type(value)
        if kind in self._plain:
            return value
        if depth > MAX_DEPTH:
            raise TooDeep(value, f"values may be nested {MAX_DEPTH} deep; is it contained in itself?")
        if kind in self._containers:
            return self._containers[kind](value, depth + 1)
        if kind in _SCALARS:
            return _SCALARS[kind](value)
        if kind in self._classes.by_type:
            return self._registered(self._classes.by_type[kind], value, depth + 1)
        if isinstance(value, BaseException):
            name = self._classes.error_names.get(kind)
            return tagged("exception", *exceptions.write(value, name, partial(self.tree, depth=depth + 1)))
        if kind.__module__ == "freezegun.api" and isinstance(value, dt.date):  # stands in for the real class
            return _moment(value) if isinstance(value, dt.datetime) else _date(value)
        raise Refused(value)

    def _items(self, value: Iterable[Any], depth: int, label: str = "[{}]") -> Any:
        if self._plain.issuperset(map(type, value)):
            return value
        trees: list[Any] = []
        try:
            for item in value:
                trees.append(self.tree(item, depth))
        except Refused as refusal:
            refusal.path.append(label.format(len(trees)))
            raise
        return trees

    def _sorted(self, value: Iterable[Any], depth: int) -> list[Any]:
        return sorted(self._inline._items(value, depth, "{{…}}"), key=repr)

    def _dict(self, value: dict[Any, Any], depth: int) -> Any:
        if TAG not in value and _STRING.issuperset(map(type, value)):
            return self._parts(value, depth, "[{!r}]")
        keys, parts = self._items(value, depth, ".keys()"), self._parts(value, depth, "[{!r}]")
        return tagged("dict", *[each for pair in zip(keys, parts.values(), strict=True) for each in pair])

    def _parts(self, value: dict[Any, Any], depth: int, label: str) -> dict[Any, Any]:
        if self._plain.issuperset(map(type, value.values())):
            return value
        trees: dict[Any, Any] = {}
        key: Any = None
        try:
            for key, item in value.items():
                trees[key] = self.tree(item, depth)
        except Refused as refusal:
            refusal.path.append(label.format(key))
            raise
        return trees

    def _registered(self, entry: Registered, value: Any, depth: int) -> Any:
        dumped = entry.dump(value)
        tree = self._parts(dumped, depth, entry.label) if entry.label else self.tree(dumped, depth)
        return tagged("class", entry.name, tree)

    def _message(self, message: Any, depth: int) -> Any:
        """The steps of a pipeline side by side: nested in each other, those of a long one are too deep."""
        steps: list[list[Any]] = []
        following: Any = message
        try:
            while following is not None:
                steps.append(self._step(check_message(following), depth))
                following = following.on_complete
        except Refused as refusal:
            refusal.path += [".on_complete"] * len(steps)
            raise
        return tagged("message", *steps)

    def _step(self, message: Any, depth: int) -> list[Any]:
        values = list(message)
        del values[_NEXT]
        while values and values[-1] is None:
            values.pop()
        for index, value in enumerate(values):
            if type(value) not in self._plain:
                try:
                    # Huey makes these times of what the caller gave it, such as a pendulum.DateTime.
                    is_time = _STEP[index] in _TIMES and isinstance(value, dt.datetime)
                    values[index] = _moment(value) if is_time else self.tree(value, depth)
                except Refused as refusal:
                    refusal.path.append("." + _STEP[index])
                    refusal.task = refusal.task or message.name
                    raise
        return values


# --- reading ---


def _read_moment(kind: Any, text: str, fold: int = 0, zone: dt.tzinfo | None = None) -> Any:
    return kind.fromisoformat(text).replace(tzinfo=zone, fold=fold)


def _read_zone_info(key: str) -> zoneinfo.ZoneInfo:
    if not _ZONE_KEY.fullmatch(key):
        raise ValueError(f"{key!r} is not the name of a time zone")
    return zoneinfo.ZoneInfo(key)


def check_message(message: Any) -> Any:
    """The message, if Huey can work with it; else ValueError. Its args may be anything, as in Huey."""
    if not (type(message) is Message and type(message.id) is type(message.name) is str):
        raise ValueError("a message without an id and the name of a task")
    if not isinstance(message.on_error, Message | None):
        raise ValueError("a message whose error handler is none")
    return message


def _read_message(*steps: list[Any]) -> Any:
    message = None
    for step in reversed(steps):
        values = step + [None] * (len(_STEP) - len(step))
        values.insert(_NEXT, message)
        message = check_message(Message(*values))
    if message is None:
        raise ValueError("a message without content")
    return message


#: How the parts behind each code become a value. Parts of wrong number, type or content raise something.
_READERS: dict[str, Callable[..., Any]] = {
    "int": lambda text: int(text, 16),
    "bytes": lambda text: binascii.a2b_base64(text, strict_mode=True),
    "bytearray": lambda text: bytearray(binascii.a2b_base64(text, strict_mode=True)),
    "tuple": lambda *items: items,
    "set": lambda *items: set(items),
    "frozenset": lambda *items: frozenset(items),
    "dict": lambda *parts: dict(zip(parts[::2], parts[1::2], strict=True)),
    "datetime": lambda *parts: _read_moment(dt.datetime, *parts),
    "time": lambda *parts: _read_moment(dt.time, *parts),
    "date": dt.date.fromisoformat,
    "timedelta": dt.timedelta,
    "timezone": lambda days, seconds, micros, *name: dt.timezone(dt.timedelta(days, seconds, micros), *name),
    "zoneinfo": _read_zone_info,
    "decimal": Decimal,
    "uuid": UUID,
    "path": lambda kind, text: _PATHS[kind](text),
    "skipped": lambda: SKIPPED,
    "message": _read_message,
    "error": Error,
    "chord": ChordConfig,
}


class Reader:
    """Turns JSON text into values. Any exception can come out of it; the codec makes it a `DecodeError`.

    :param more: how the parts behind codes of this text alone become a value.
    """

    def __init__(self, classes: Classes, **more: Callable[..., Any]) -> None:
        self._classes = classes
        self._readers = _READERS | {
            "class": self._registered,
            "exception": lambda *parts: exceptions.read(classes.errors, *parts),
            **more,
        }
        self._decode = json.JSONDecoder(object_hook=self._object).raw_decode

    def read(self, text: str) -> Any:
        """The value that this text was written for."""
        value, end = self._decode(text)
        if end != len(text):
            raise ValueError("more follows behind the value")
        return value

    def _object(self, found: dict[str, Any]) -> Any:
        if TAG not in found:
            return found
        (parts,) = found.values()
        if type(parts) is not list or type(parts[0]) is not str:
            raise ValueError("a tag without a code")
        read = self._readers.get(parts[0])
        if read is None:
            raise DecodeError(f"this version of Nephew has no values of the code {parts[0]!r}")
        return read(*parts[1:])

    def _registered(self, name: str, payload: Any) -> Any:
        entry = self._classes.by_name.get(name)
        if entry is None:
            raise DecodeError(f"{name} is not registered here; register it with huey.codec.register")
        return entry.load(payload)
