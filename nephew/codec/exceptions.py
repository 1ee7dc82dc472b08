"""Exceptions as parts and back: what they look like and, where their class is known, what they are made of.

Rebuilding runs the C code of builtin exceptions, never an `__init__` of somebody's class: like copying, it
restores args and attributes.
"""

from __future__ import annotations

import builtins
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import huey.exceptions

from nephew import errors
from nephew.errors import RemoteError


class Refused(Exception):
    """A value cannot be written.

    :ivar path: where it is, innermost part first; it grows while the containers around it are left.
    :ivar task: the task whose call it belongs to.
    """

    def __init__(self, value: object, reason: str = "") -> None:
        super().__init__(reason)
        self.value, self.reason = value, reason
        self.path: list[str] = []
        self.task: str | None = None


class TooDeep(Refused):
    """Containers are nested too deeply, or one contains itself; no part of them is worth another try."""


def class_name(cls: type) -> str:
    """The qualified name of a class: `module.Class`."""
    return f"{cls.__module__}.{cls.__qualname__}"


def _exceptions_of(module: object) -> dict[str, type[BaseException]]:
    classes = [item for item in vars(module).values() if isinstance(item, type)]
    return {class_name(cls): cls for cls in classes if issubclass(cls, BaseException)}


_BUILTIN = frozenset(_exceptions_of(builtins).values())

#: By its qualified name, each exception class that every codec rebuilds: Python's, Huey's and Nephew's.
KNOWN = _exceptions_of(builtins) | _exceptions_of(huey.exceptions) | _exceptions_of(errors)
del KNOWN[class_name(RemoteError)]  # it is written as what it stands for


def write(error: BaseException, name: str | None, tree: Callable[[Any], Any]) -> tuple[Any, ...]:
    """The parts of an exception: class, text, repr, traceback; and args and attributes if it can be rebuilt.

    :param name: the name under which its class is known; None if it is not.
    :param tree: writes a value, or raises `Refused`.
    """
    if isinstance(error, RemoteError):
        return error.class_name, str(error), repr(error), error.traceback
    trace = getattr(error, "traceback", None)
    if error.__traceback__ is not None:
        trace = text(lambda raised: "".join(traceback.format_exception(raised)), error)
    looks = text(str, error), text(repr, error), trace if type(trace) is str else None
    return name or class_name(type(error)), *looks, *(() if name is None else _content(error, tree))


def _content(error: BaseException, tree: Callable[[Any], Any]) -> tuple[Any, ...]:
    """Args and attributes; nothing where the exception would come back broken."""
    reduced: Any = _builtin_base(type(error)).__reduce__(error)
    args, attributes = reduced[1], (reduced[2:] and reduced[2]) or {}
    show: Callable[[Any], str] | None = None
    if type(error) in _BUILTIN:  # none of them minds text where an object was
        show = str if len(args) == 1 else repr
    try:
        trees = [_tree_or_text(arg, tree, show) for arg in args]
        return trees, {name: _tree_or_text(value, tree, show) for name, value in attributes.items()}
    except TooDeep:
        raise
    except Refused:
        return ()


def _tree_or_text(value: Any, tree: Callable[[Any], Any], show: Callable[[Any], str] | None) -> Any:
    try:
        return tree(value)
    except TooDeep:  # in a cycle, carrying on would double the work at each level
        raise
    except Refused:
        if show is None:
            raise
        return text(show, value)


def text(show: Callable[[Any], str], value: object) -> str:
    """What `show` (str or repr) makes of a value, whatever the value's own code does."""
    try:
        return str.__str__(show(value))
    except Exception:  # something that cannot be shown must not hide that it was there
        return f"<unprintable {type(value).__name__} object>"


def read(
    known: Mapping[str, type[BaseException]],
    name: str,
    shown: str,
    representation: str,
    trace: str | None = None,
    args: Any = None,
    attributes: Any = None,
) -> BaseException:
    """The exception, of its own class if that is known and lets itself be rebuilt; else a `RemoteError`."""
    if not (type(name) is type(shown) is type(representation) is str and isinstance(trace, str | None)):
        raise ValueError("an exception with parts of wrong types")
    if name in known and type(args) is list:
        try:
            return _rebuilt(known[name], args, attributes, trace)
        except Exception:  # not made of these args here, or hostile ones
            pass
    return RemoteError(name, shown, representation, trace)


def _rebuilt(cls: type[BaseException], args: Any, attributes: Any, trace: str | None) -> BaseException:
    base = _builtin_base(cls)
    error = base.__new__(cls, *args)
    base.__init__(error, *args)
    BaseException.__setstate__(error, attributes)
    if isinstance(error, UnicodeEncodeError | UnicodeDecodeError | UnicodeTranslateError):
        _check_range(error)
    str(error), repr(error)  # fails where attributes are missing that its class relies on
    if trace is not None and not hasattr(error, "traceback"):
        error.traceback = trace  # type: ignore[attr-defined]
    return error


def _check_range(error: UnicodeEncodeError | UnicodeDecodeError | UnicodeTranslateError) -> None:
    """With a range outside of its object, str() of the error reads foreign memory, may kill the process."""
    if not 0 <= error.start <= error.end <= len(error.object):
        raise ValueError("a range outside of the object")


def _builtin_base(cls: type[BaseException]) -> type[BaseException]:
    """The builtin class whose C code makes the instances of this one."""
    base: Any = cls
    while base not in _BUILTIN:
        base = base.__base__
    return base  # type: ignore[no-any-return]
