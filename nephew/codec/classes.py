"""The classes that a codec rebuilds by name: how a registered one is turned into parts and back."""

from __future__ import annotations

import dataclasses
import enum
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nephew.codec import exceptions
from nephew.codec.exceptions import class_name
from nephew.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Registered:
    """How the instances of one class are written and read.

    :ivar label: how a refusal names a part of an instance that is written as a dict of parts; else empty.
    """

    cls: type
    name: str
    dump: Callable[[Any], Any]
    load: Callable[[Any], Any]
    label: str = ""


@dataclass(frozen=True, slots=True)
class Classes:
    """The registered classes of one codec, and the exceptions that it knows."""

    by_type: dict[type, Registered] = field(default_factory=dict)
    by_name: dict[str, Registered] = field(default_factory=dict)
    errors: dict[str, type[BaseException]] = field(default_factory=exceptions.KNOWN.copy)
    error_names: dict[type, str] = field(default_factory=lambda: {cls: name for name, cls in exceptions.KNOWN.items()})

    def add(self, entry: Registered) -> None:
        """Register a class that is written by functions.

        :raises ConfigError: when its name is another class's.
        """
        self._reserve(entry.name, entry.cls)
        self.by_name[entry.name] = self.by_type[entry.cls] = entry

    def add_error(self, name: str, cls: type[BaseException]) -> None:
        """Register an exception that is written as builtin ones are.

        :raises ConfigError: when its name is another class's.
        """
        self._reserve(name, cls)
        self.errors[name], self.error_names[cls] = cls, name

    def _reserve(self, name: str, cls: type) -> None:
        holder = self.by_name[name].cls if name in self.by_name else self.errors.get(name)
        if holder is not None and class_name(holder) != class_name(cls):  # a reloaded class replaces itself
            raise ConfigError(f"{name!r} stands for {class_name(holder)}; give {class_name(cls)} another name=")


def described(cls: type, name: str) -> Registered:
    """How a class is written of which it is known: an Enum, a dataclass, a namedtuple.

    :raises ConfigError: for any other class, and for a dataclass that cannot be made of its fields.
    """
    if issubclass(cls, enum.Enum):
        return Registered(cls, name, _member_key, lambda key: cls[key] if type(key) is str else cls(key[0]))
    if dataclasses.is_dataclass(cls):
        return _dataclass(cls, name)
    if is_namedtuple(cls):
        return Registered(cls, name, lambda value: value._asdict(), lambda parts: cls(**parts), ".{}")
    raise ConfigError(
        f"{class_name(cls)} is no Enum, dataclass, namedtuple or exception: register it with encode= and "
        "decode=, functions that turn an instance into something that is kept, and that back"
    )


def is_namedtuple(cls: type) -> bool:
    """Whether `collections.namedtuple` or `typing.NamedTuple` made the class, or a base of it."""
    return issubclass(cls, tuple) and hasattr(cls, "_fields")


def _member_key(member: enum.Enum) -> Any:
    # A combination of flags is no member: it has no name, or one like "READ|WRITE".
    return member.name if member.name in type(member).__members__ else (member.value,)


def _dataclass(cls: Any, name: str) -> Registered:
    fields = {each.name: each for each in dataclasses.fields(cls)}
    stars = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    for parameter in inspect.signature(cls).parameters.values():
        if parameter.default is parameter.empty and parameter.kind not in stars and parameter.name not in fields:
            raise ConfigError(
                f"{class_name(cls)} cannot be made of its fields, since its constructor also wants "
                f"{parameter.name!r}: register it with encode= and decode="
            )

    def dump(value: Any) -> dict[str, Any]:
        return {each: getattr(value, each) for each in fields}

    def load(parts: dict[str, Any]) -> Any:
        later = {each: part for each, part in parts.items() if each in fields and not fields[each].init}
        made = cls(**{each: part for each, part in parts.items() if each not in later})
        for each, part in later.items():
            object.__setattr__(made, each, part)  # the setattr() of a frozen one would refuse
        return made

    return Registered(cls, name, dump, load, ".{}")
