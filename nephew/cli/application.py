"""Which instance a command works on: named by a path such as `app.main.huey`, imported when it is needed."""

from __future__ import annotations

import difflib
import functools
import importlib
import logging
import os
import pkgutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar, cast

import click

from nephew import Nephew
from nephew.cli.output import clean, without_passwords
from nephew.errors import NephewError

F = TypeVar("F", bound=Callable[..., Any])

EXAMPLE = "a path such as app.main.huey"


class Unloadable(click.ClickException):
    """The application raised an error when it was imported.

    :ivar problems: one sentence or more.
    """

    def __init__(self, problems: list[str], place: str) -> None:
        self.problems = [f"{problem}{place}" for problem in problems]
        super().__init__("\n".join(self.problems))


@dataclass
class Selected:
    """The path of the instance that was chosen so far; the last option that says one wins."""

    path: str | None = None

    def load(self) -> Nephew:
        """Import the instance.

        :raises click.UsageError: when the path is none, or leads to no instance.
        :raises Unloadable: when the application cannot be imported.
        """
        if not self.path:
            raise click.UsageError(f"no instance was named: expected -A (or the variable NEPHEW_APP) to be {EXAMPLE}")
        return load(self.path)


def app_option(**more: Any) -> Callable[[F], F]:
    """The option `-A`; it may stand before the command or behind it."""

    def remember(context: click.Context, _: click.Parameter, path: str | None) -> None:
        if path:
            context.ensure_object(Selected).path = path

    return click.option(
        "-A",
        "--app",
        metavar="PATH",
        expose_value=False,
        callback=remember,
        help="Where the Nephew instance is, such as app.main.huey (or set NEPHEW_APP).",
        **more,
    )


def with_huey(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the instance as its first argument."""

    @functools.wraps(function)
    def command(selected: Selected, /, **given: Any) -> None:
        huey = selected.load()
        with _warnings_shown():
            function(huey, **given)

    return app_option()(click.pass_obj(cast("Callable[..., None]", command)))


def warn(text: str) -> None:
    """Tell what is wrong and does not keep a command from going on."""
    click.echo(f"Warning: {clean(without_passwords(text))}", err=True)


class _Teller(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        warn(record.getMessage())


@contextmanager
def _warnings_shown() -> Iterator[None]:
    """Whoever looks at jobs is told what cannot be seen, wherever the application's log goes."""
    logger, teller = logging.getLogger("huey.nephew.history"), _Teller(logging.WARNING)
    logger.addHandler(teller)
    try:
        yield
    finally:
        logger.removeHandler(teller)


def load(path: str) -> Nephew:
    """The instance at `path`; the current folder comes first on the Python path. See `Selected.load`."""
    if (folder := os.getcwd()) not in sys.path[:1]:
        sys.path.insert(0, folder)
    module_name, _, attribute = path.replace(":", ".").rpartition(".")
    if not all(part.isidentifier() for part in [*module_name.split("."), attribute]):
        raise _wrong(f"expected {EXAMPLE}, got {path!r}", _instances_in(path))
    module = _module(module_name, path)
    if not hasattr(module, attribute):
        instances = _instances_in(path) or _names_in(module)
        raise _wrong(f"expected {EXAMPLE}, but module {module_name} has no {attribute!r}", instances, path)
    found = getattr(module, attribute)
    if isinstance(found, Nephew):
        return found
    kind = f"{type(found).__module__}.{type(found).__qualname__}".removeprefix("builtins.")
    instances = _instances_in(path) if isinstance(found, ModuleType) else _names_in(module)
    raise _wrong(f"expected {path} to be a nephew.Nephew, got a {kind}", instances, path)


def _module(name: str, path: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name != missing and not name.startswith(f"{missing}."):
            raise _unloadable(name, error) from error  # something that the application imports
        raise _wrong(
            f"expected {EXAMPLE}, but there is no module {missing} here", _modules_like(missing, path), path
        ) from None
    except (Exception, SystemExit) as error:
        raise _unloadable(name, error) from error


def _unloadable(name: str, error: BaseException) -> Unloadable:
    place = _place(error)
    if isinstance(error, NephewError):
        return Unloadable(str(error).splitlines(), place)
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return Unloadable([f"{name} cannot be imported: {text}"], place)


def _place(error: BaseException) -> str:
    """Where in the application an error was raised; a SyntaxError says so itself."""
    frames = traceback.extract_tb(error.__traceback__)
    inside = [frame for frame in frames if frame.filename.startswith(os.getcwd() + os.sep)]
    ours = [frame for frame in inside if f"{os.sep}site-packages{os.sep}" not in frame.filename]
    ours = [frame for frame in ours if not frame.filename.startswith(_nephew_folder())]
    if not ours or isinstance(error, SyntaxError):
        return ""
    return f" ({os.path.relpath(ours[-1].filename)}, line {ours[-1].lineno})"


def _nephew_folder() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


# -- suggestions ------------------------------------------------------------------------------------
def _wrong(message: str, instances: list[str], path: str = "") -> click.BadParameter:
    """A wrong path. All that could be meant is named, the most similar first."""
    near = difflib.get_close_matches(path, instances, len(instances) or 1, 0.0)
    hint = f"; did you mean {' or '.join(near[:3])}?" if near else ""
    return click.BadParameter(f"{message}{hint}", param_hint="-A (or NEPHEW_APP)")


def _names_in(module: ModuleType) -> list[str]:
    """The paths of the instances in a module."""
    return [f"{module.__name__}.{name}" for name, value in vars(module).items() if isinstance(value, Nephew)]


def _instances_in(path: str) -> list[str]:
    """The paths of the instances in what may be a module, whose name was given alone."""
    try:
        return _names_in(importlib.import_module(path))
    except Exception:  # it is none, or a broken one
        return []


def _modules_like(missing: str, path: str) -> list[str]:
    """`path` with a missing module replaced by similar ones of the same package or the current folder."""
    package, _, last = missing.rpartition(".")
    parent = sys.modules.get(package)
    folders = list(getattr(parent, "__path__", [])) if package else [os.getcwd()]
    siblings = [found.name for found in pkgutil.iter_modules(folders)]
    near = difflib.get_close_matches(last, siblings, 3)
    rest = path[len(missing) :]
    if not near and parent is not None:
        return _names_in(parent)
    return [f"{package}.{found}{rest}" if package else f"{found}{rest}" for found in near]
