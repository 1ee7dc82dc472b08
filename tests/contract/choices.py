"""The steps that there are to choose from, and what one decides by."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


class Choices:
    """What a step decides by: bytes that Hypothesis draws, and makes smaller once a test has failed."""

    def __init__(self, drawn: bytes) -> None:
        self._drawn = itertools.cycle(drawn)

    def number(self, below: int) -> int:
        return next(self._drawn) % below

    def one_in(self, times: int) -> bool:
        return self.number(times) == times - 1

    def one(self, of: Sequence[T]) -> T:
        return of[self.number(len(of))]

    def some(self, of: Sequence[T]) -> list[T]:
        """Up to three of them, in their order."""
        picked = {self.number(len(of)) for _ in range(self.number(3) + 1)}
        return [of[number] for number in sorted(picked)]


#: What may happen: to whom, decided by what.
Step = Callable[[Any, Choices], None]
#: Each as often as it is to be chosen, and when it makes sense.
STEPS: list[tuple[Step, Callable[[Any], Any]]] = []


def step(often: int, when: Callable[[Any], Any] = lambda _: True) -> Callable[[Step], Step]:
    """List a method as a step.

    :param often: how often, compared with the others.
    :param when: whether it makes sense now.
    """

    def listed(one: Step) -> Step:
        STEPS.extend([(one, when)] * often)
        return one

    return listed
