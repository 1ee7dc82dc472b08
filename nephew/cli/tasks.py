"""`nephew tasks` and `nephew call`: what can be run, and running it."""

from __future__ import annotations

import difflib
import inspect
import json
from typing import Any

import click
from huey.exceptions import ResultTimeout, TaskException

from nephew import Nephew
from nephew.cli.application import with_huey
from nephew.cli.output import clean, json_option, print_json
from nephew.cli.tables import print_table
from nephew.errors import JobEnded
from nephew.inspection import TaskInfo
from nephew.result import Result

Arguments = tuple[list[Any], dict[str, Any]]


@click.command()
@json_option
@with_huey
def tasks(huey: Nephew, as_json: bool) -> None:
    """List the registered tasks."""
    found = huey.inspection.catalogue()
    if as_json:
        print_json(
            [
                {
                    "name": task.name,
                    "queue": task.queue,
                    "retries": task.retries,
                    "schedule": None if task.schedule is None else str(task.schedule),
                    "aliases": list(task.aliases),
                }
                for task in found
            ]
        )
    elif found:
        rows = [(task.name, task.queue, task.retries, task.schedule) for task in found]
        print_table(("TASK", "QUEUE", "RETRIES", "SCHEDULE"), rows, whole=("TASK",))
    else:
        click.echo("No task is registered; does the instance's module import them?", err=True)
    if not found:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("task_name", metavar="TASK")
@click.argument("arguments", metavar="[ARGS-AS-JSON]", default="[]")
@click.option("--wait", is_flag=True, help="Wait for the job's end and print its result as JSON.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="SECONDS", help="Wait no longer than that.")
@with_huey
def call(huey: Nephew, task_name: str, arguments: str, wait: bool, timeout: float | None) -> None:
    """Enqueue a job and print its id.

    TASK is the task's name, or the end of it if no other ends so. ARGS-AS-JSON is a list of positional
    arguments or an object of arguments by name:

    \b
      nephew call tasks.reminders.send_task_reminder '[42]'
      nephew call send_task_reminder '{"todo_id": 42}' --wait
    """
    if timeout is not None and not wait:
        raise click.UsageError("--timeout says how long to --wait; expected both")
    task = find(huey.inspection.catalogue(), task_name)
    args, kwargs = fitting(task, arguments)
    made = task.new_call(args, kwargs)
    result: Result[Any] = huey.enqueue(made) or Result(huey, made)
    if result.duplicate:
        click.echo("An unfinished job with the same unique key stands for this call.", err=True)
    click.echo(result.id, err=wait)
    if wait:
        _wait(result, timeout)


def find(found: list[TaskInfo], name: str) -> TaskInfo:
    """The task of that name, or the only one whose name ends so.

    :raises click.BadParameter: when there is none, or are several.
    """
    matching = [task for task in found if task.name == name or task.name.endswith(f".{name}")]
    exact = [task for task in matching if task.name == name]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    if matching:
        names = ", ".join(task.name for task in matching)
        raise click.BadParameter(f"several tasks end with {name!r}: {names}", param_hint="TASK")
    raise click.BadParameter(f"no task is called {name!r}{_near(found, name)}", param_hint="TASK")


def _near(found: list[TaskInfo], name: str) -> str:
    by_any_name = {task.name.rpartition(".")[2]: task.name for task in found}
    by_any_name |= {task.name: task.name for task in found}
    near = dict.fromkeys(by_any_name[each] for each in difflib.get_close_matches(name, by_any_name))
    return f"; did you mean {' or '.join(near)}?" if near else "; `nephew tasks` lists them"


def _parsed(text: str) -> Arguments:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unfit(f"expected JSON, such as '[42]' or '{{\"todo_id\": 42}}': {error}") from None
    if isinstance(given, list):
        return given, {}
    if isinstance(given, dict):
        return [], given
    raise _unfit(f"expected a JSON list or object of arguments, got {text}; for this one alone: '[{text}]'")


def fitting(task: TaskInfo, text: str) -> Arguments:
    """The arguments that a text of JSON has, if the task's function takes them.

    :raises click.BadParameter: when it is none, or does not.
    """
    args, kwargs = _parsed(text)
    signature = inspect.signature(task.function)
    injected = {"task": None} if task.takes_job else {}
    if injected.keys() & kwargs.keys():
        raise _unfit("'task' is given by Nephew")
    try:
        signature.bind(*args, **kwargs, **injected)
    except TypeError as error:
        raise _unfit(f"{error}; expected {task.name}{signature}") from None
    return args, kwargs


def _unfit(message: str) -> click.BadParameter:
    return click.BadParameter(message, param_hint="ARGS-AS-JSON")


def _wait(result: Result[Any], timeout: float | None) -> None:
    try:
        print_json(result.get(blocking=True, timeout=timeout, preserve=True))
    except TaskException as error:
        what = clean(error.metadata.get("error") or "no error was kept")
        text = f"job {result.id} failed: {what}; `nephew jobs show {result.id}` shows more"
        raise click.ClickException(text) from error
    except JobEnded as error:
        raise click.ClickException(str(error)) from error
    except ResultTimeout as error:
        raise click.ClickException(f"{error}; the job goes on") from error
