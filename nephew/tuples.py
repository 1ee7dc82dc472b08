"""Named tuples for the path of every job."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T", bound=tuple[Any, ...])


def maker(cls: type[T]) -> Callable[[Sequence[Any]], T]:
    """Makes named tuples of a class from all their values, in order.

    Their own constructor is a function in Python and takes three times as long.
    """
    return functools.partial(tuple.__new__, cls)
