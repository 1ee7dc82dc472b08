"""`nephew check`: every problem of the configuration, with nothing started and nothing made."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nephew import Nephew
from nephew.cli.application import Selected, Unloadable, app_option, warn
from nephew.cli.output import clean, without_passwords
from nephew.errors import BackendError, ConfigError, NephewError
from nephew.opening import open_backend
from nephew.settings import Settings, names, url_from

if TYPE_CHECKING:
    from nephew.backends.contract import Backend
    from nephew.backends.sql.archive import Archive

#: Variables of ours that are no settings.
OTHERS = ("NEPHEW_APP", "NEPHEW_URL")


@click.command()
@app_option()
@click.pass_obj
def check(selected: Selected) -> None:
    """Print every problem of the configuration. Starts nothing and changes nothing.

    What is dangerous about the server's own configuration is a warning, and no problem.
    """
    problems = _variable_problems(os.environ)
    url_problems = _url_problems(os.environ)
    huey, found = _load(selected)
    problems += url_problems + found
    if huey is not None:
        problems += [*_task_problems(huey), *_run_dir_problems(huey)]
        problems += [] if url_problems else [*_store_problems(huey), *_schedule_problems(huey)]
        problems += _archive_problems(huey)
    for problem in dict.fromkeys(problems):
        click.echo(f"- {clean(without_passwords(problem))}")
    if problems:
        count = len(dict.fromkeys(problems))
        raise click.ClickException(f"{count} {'problem' if count == 1 else 'problems'} found")
    if huey is not None:
        click.echo(_summary(huey))


def _summary(huey: Nephew) -> str:
    count = len(huey.inspection.catalogue())
    return f"No problem found: {count} tasks, jobs in {without_passwords(huey.inspection.place)}."


# -- the environment ----------------------------------------------------------------------------------
def _variable_problems(environ: MutableMapping[str, str]) -> list[str]:
    """What is wrong with the settings' variables; removes the unusable ones, to go on without them."""
    problems = list(_misspelt(environ))
    try:
        Settings.load(environ, {})
        return problems
    except ConfigError as error:
        problems += str(error).split("; ")
    kept: dict[str, str] = {}
    for variable in sorted(_variables() & environ.keys()):
        try:
            Settings.load({**kept, variable: environ[variable]}, {})
            kept[variable] = environ[variable]
        except ConfigError:
            del environ[variable]
    return problems


def _misspelt(environ: Iterable[str]) -> Iterator[str]:
    """Variables that look like ours; others may be anybody's (Kubernetes sets NEPHEW_SERVICE_HOST)."""
    known = [*_variables(), *OTHERS]
    for variable in environ:
        near = difflib.get_close_matches(variable, known, 1, 0.85)
        if variable.startswith("NEPHEW_") and variable not in known and near:
            yield f"{variable} is no setting; did you mean {near[0]}?"


def _variables() -> set[str]:
    return {f"NEPHEW_{name.upper()}" for name in names()}


def _url_problems(environ: MutableMapping[str, str]) -> list[str]:
    """What is wrong with NEPHEW_URL, which is then removed."""
    if url_from(environ) is None:
        return []
    try:
        open_backend("check", None, None, None, os.getcwd(), Settings(), environ)
        return []
    except ConfigError as error:
        del environ["NEPHEW_URL"]
        return [f"NEPHEW_URL: {error}"]


# -- the application ----------------------------------------------------------------------------------
def _load(selected: Selected) -> tuple[Nephew | None, list[str]]:
    try:
        return selected.load(), []
    except Unloadable as error:
        return None, error.problems
    except click.ClickException as error:
        return None, [error.format_message()]


def _task_problems(huey: Nephew) -> Iterator[str]:
    found = huey.inspection.catalogue()
    if not found:
        yield "no task is registered; expected the instance's module to import the modules of the tasks"
        return
    used = sorted({task.queue for task in found})
    for queue in huey.settings.queues:
        if queue not in used:
            near = difflib.get_close_matches(queue, used, 1)
            hint = f"did you mean {near[0]}?" if near else f"the tasks use {', '.join(used)}"
            yield f"NEPHEW_QUEUES names {queue!r}, which no task uses; {hint}"


# -- the store ----------------------------------------------------------------------------------------
def _store_problems(huey: Nephew) -> Iterator[str]:
    try:
        yield from _version_problems(huey.backend)
        for warning in huey.backend.warnings():
            warn(warning)
    except BackendError as error:
        yield f"the store cannot be reached: {error}"
    except ConfigError as error:
        yield f"the store cannot be used: {error}"


def _schedule_problems(huey: Nephew) -> Iterator[str]:
    try:
        schema = huey.backend.schema()
        if schema.found == schema.expected:
            huey.schedules.check()
    except BackendError:
        return  # it was told already
    except ConfigError as error:
        yield str(error)


def _archive_problems(huey: Nephew) -> Iterator[str]:
    try:
        yield from _version_problems(huey.store) if huey.store is not None else ()
    except NephewError as error:
        yield f"the archive cannot be used: {error}; until it can, ended jobs stay on Redis while there is room"


def _version_problems(place: Backend | Archive) -> Iterator[str]:
    schema = place.schema()
    if schema.found > schema.expected:
        yield (
            f"expected version {schema.expected} or older of what is stored in {place.description}, got version "
            f"{schema.found}: this Nephew is older than the one that migrated it; upgrade it"
        )
    elif schema.found < schema.expected and not schema.automatic:
        kind = "there is nothing yet" if schema.found == 0 else f"got version {schema.found}"
        yield (
            f"expected version {schema.expected} of what is stored in {place.description}, {kind}; run `nephew migrate`"
        )


def _run_dir_problems(huey: Nephew) -> Iterator[str]:
    folder = Path(huey.inspection.run_dir()).absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield (
            f"expected to be able to write the workers' files in {folder}, but {there} "
            f"{'cannot be written' if there.is_dir() else 'is no folder'}; set NEPHEW_RUN_DIR to one that can"
        )
