"""Whether a call fits the function of its task, which may have changed since the call was stored."""

from __future__ import annotations

import inspect
import traceback
from typing import Any

from huey.api import Task as HueyTask


def misfit(task: HueyTask) -> str | None:
    """What its function expects and what a call brings instead; None: they fit, or nobody can tell."""
    function = getattr(type(task), "nephew_function", None)
    args, kwargs = task.data
    given = {**kwargs, "task": task} if task.context else kwargs
    try:
        signature = inspect.signature(function)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*args, **given)
    except TypeError as error:
        return f"expected {type(task).__name__}{signature}, got {_counted(args, kwargs)} ({error})"
    return None


def _counted(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Arguments without their values, which may not be for everybody's eyes."""
    names = f" and by name {', '.join(kwargs)}" if kwargs else ""
    return f"{len(args)} by place{names}"


def is_refusal(task: HueyTask, error: BaseException) -> bool:
    """Whether a function was not entered because it does not take the arguments that it was called with."""
    decorated = getattr(type(task), "nephew_function", None)  # a task class of one's own has none
    if not isinstance(error, TypeError) or decorated is None:
        return False
    function = inspect.unwrap(decorated)
    code, name = getattr(function, "__code__", None), getattr(function, "__qualname__", None)
    if not str(error).startswith(f"{name}()"):
        return False
    return all(frame.f_code is not code for frame, _ in traceback.walk_tb(error.__traceback__))
