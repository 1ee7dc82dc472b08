"""Arguments that are not shown: those a task names with `redact`, hidden wherever their values could appear.

What is hidden of a job is known in its context (`hidden`) from its beginning to its end. A task that names nothing
pays nothing.
"""

from __future__ import annotations

import base64
import datetime as dt
import inspect
import json
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote, quote_plus

from huey.api import Task as HueyTask

from nephew.codec.exceptions import class_name, text
from nephew.errors import ConfigError, RemoteError
from nephew.options import TaskOptions

#: What stands in the place of something hidden.
HIDDEN = "[redacted]"

#: Shorter texts are hidden only where they are words; else they would tear others apart.
SHORT = 4
#: Numbers of fewer digits are not hidden: they are everywhere.
DIGITS = 4
#: The lines of a longer text are hidden one by one as well, if they have as many characters.
LINE = 8

#: How many levels of quotes within quotes are looked through.
QUOTES = 3

#: What may become of a text within quotes. Whether repr() escapes a quote depends on what else is in the text.
_ESCAPES: tuple[Callable[[str], str], ...] = (
    lambda shown: repr(shown)[1:-1],
    lambda shown: repr(f"{shown}'\"")[1:-4],
    lambda shown: ascii(shown)[1:-1],
    lambda shown: ascii(f"{shown}'\"")[1:-4],
    lambda shown: json.dumps(shown)[1:-1],
    lambda shown: json.dumps(shown, ensure_ascii=False)[1:-1],
)

#: As a part of a path, a whole path, and a field of a form.
_IN_URLS: tuple[Callable[[str], str], ...] = (
    lambda shown: quote(shown, safe="", errors="replace"),
    lambda shown: quote(shown, errors="replace"),
    lambda shown: quote_plus(shown, errors="replace"),
)

T = TypeVar("T")

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_NOTHING = TaskOptions()
_VISIBLE = nullcontext()


class Secrets:
    """The texts that a job must not show.

    :param values: the arguments to hide. What is in containers is hidden piece by piece.
    """

    __slots__ = ("_long", "_short")

    def __init__(self, values: Iterable[Any]) -> None:
        leaves = [leaf for value in values for leaf in _leaves(value)]
        forms = {form for leaf in leaves if not _is_number(leaf) for form in _forms(leaf) if form.strip()}
        numbers = {str(leaf) for leaf in leaves if _is_number(leaf)}
        words = [rf"(?<!\w){re.escape(form)}(?!\w)" for form in forms if len(form) < SHORT]
        words += [rf"(?<!\d){re.escape(number)}(?!\d)" for number in numbers if _digits(number) >= DIGITS]
        self._long = sorted((form for form in forms if len(form) >= SHORT), key=len, reverse=True)
        self._short = re.compile("|".join(words)) if words else None

    def hide(self, shown: str) -> str:
        """The text without what must not be seen."""
        for form in self._long:
            shown = shown.replace(form, HIDDEN)
        return shown if self._short is None else self._short.sub(HIDDEN, shown)

    def hide_in(self, value: T) -> T | str:
        """A value that shows nothing of what must not be seen: itself, or what can be shown of its text."""
        said = text(str, value)
        if self.hide(both := f"{said}\n{text(repr, value)}") == both:
            return value
        return self.hide(said)


#: What must not be seen of the job that is dealt with in this context.
hidden: ContextVar[Secrets | None] = ContextVar("nephew_hidden", default=None)


def hide(value: T) -> T:
    """A text without what must not be seen of this context's job; anything else as it is."""
    secrets = hidden.get()
    if secrets is None or not isinstance(value, str):
        return value
    return secrets.hide(value)  # type: ignore[return-value]  # a text for a text


def hide_error(error: BaseException) -> BaseException:
    """An exception that shows nothing of what must not be seen: itself, or one that looks like the rest of it."""
    secrets = hidden.get()
    if secrets is None:
        return error
    trace = text(lambda raised: "".join(traceback.format_exception(raised)), error)
    shown, representation = text(str, error), text(repr, error)
    whole = "\n".join([trace, shown, representation, text(repr, error.args), text(repr, vars(error))])
    if secrets.hide(whole) == whole:
        return error
    name = error.class_name if isinstance(error, RemoteError) else class_name(type(error))
    return RemoteError(name, secrets.hide(shown), secrets.hide(representation), secrets.hide(trace))


def hiding(task: HueyTask | None) -> AbstractContextManager[None]:
    """While a job of this call is dealt with: what it hides is hidden."""
    return _hiding(task) if task is not None and _names(type(task)) else _VISIBLE


@contextmanager
def _hiding(task: HueyTask) -> Iterator[None]:
    token = hidden.set(secrets_of(task))
    try:
        yield
    finally:
        hidden.reset(token)


def secrets_of(task: HueyTask) -> Secrets | None:
    """What a call hides; None: nothing."""
    places = places_of(type(task), task.args, task.kwargs)
    if places is None:
        return None
    given = [*enumerate(task.args), *task.kwargs.items()]
    return Secrets(value for place, value in given if f",{place}," in places)


def places_of(called: type[HueyTask], args: Sequence[Any], kwargs: Mapping[str, Any]) -> str | None:
    """Which arguments of a call are hidden: their positions and names, each between commas; None: none.

    Those that are not there yet are named as well: a call can still be given what went before it.

    :param called: the task's class.
    """
    names = _names(called)
    if not names:
        return None
    parameters = inspect.signature(called.nephew_function).parameters
    by_place = [name for name, parameter in parameters.items() if parameter.kind in _BY_PLACE]
    places: list[str | int] = [*names, *(place for place, name in enumerate(by_place) if name in names)]
    for name in names:
        kind = parameters[name].kind if name in parameters else None
        if kind is inspect.Parameter.VAR_POSITIONAL:
            places += range(len(by_place), len(args) + 1)
        elif kind is inspect.Parameter.VAR_KEYWORD:
            places += [key for key in kwargs if key not in parameters]
    return f",{','.join(map(str, places))},"


def concealed(
    places: str | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments as they may be shown."""
    if places is None:
        return args, kwargs
    shown = tuple(HIDDEN if f",{place}," in places else value for place, value in enumerate(args))
    return shown, {name: HIDDEN if f",{name}," in places else value for name, value in kwargs.items()}


def check_names(task: str, function: Callable[..., Any], names: tuple[str, ...]) -> None:
    """Look at what a task names with `redact`.

    :raises ConfigError: for a name that its function takes no argument by.
    """
    if not names:
        return
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError) as error:
        raise ConfigError(f"task {task}: expected a function with named arguments, got {function!r}") from error
    if any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    for name in names:
        if name not in parameters:
            taken = ", ".join(parameters) or "none"
            raise ConfigError(f"task {task}: redact names {name!r}, which is no argument of its function ({taken})")


def _names(called: type[HueyTask]) -> tuple[str, ...]:
    found: tuple[str, ...] = getattr(called, "nephew_options", _NOTHING).redact
    return found


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        parts: Iterable[Any] = value.values()
    elif isinstance(value, list | tuple | set | frozenset):
        parts = value
    elif is_dataclass(value) and not isinstance(value, type):
        parts = [getattr(value, field.name) for field in fields(value)]
    else:
        yield value
        return
    for part in parts:
        yield from _leaves(part)


def _forms(leaf: Any) -> Iterator[str]:
    """A value as it may stand in a text: as it is, quoted, escaped, and encoded."""
    if leaf is None or isinstance(leaf, bool):
        return
    if not isinstance(leaf, str | bytes | bytearray):
        yield text(str, leaf)
        yield text(repr, leaf)
        if isinstance(leaf, dt.datetime):
            yield leaf.isoformat()
        return
    raw = leaf.encode(errors="surrogatepass") if isinstance(leaf, str) else bytes(leaf)
    whole = leaf if isinstance(leaf, str) else raw.decode(errors="replace")
    parts = {whole, *(line for line in whole.splitlines() if len(line) >= LINE)}
    yield base64.b64encode(raw).decode()
    yield from {in_url(part) for part in parts for in_url in _IN_URLS}
    yield from _escaped({*parts, repr(raw)[2:-1]})


def _escaped(texts: set[str]) -> set[str]:
    """Texts as they stand within quotes, and those within others: an error is told by the repr of its text."""
    known, fresh = set(texts), texts
    for _ in range(QUOTES):
        fresh = {escape(each) for each in fresh for escape in _ESCAPES} - known
        known |= fresh
    return known


def _is_number(leaf: Any) -> bool:
    return isinstance(leaf, int | float | complex | Decimal) and not isinstance(leaf, bool)


def _digits(number: str) -> int:
    return sum(letter.isdigit() for letter in number)
