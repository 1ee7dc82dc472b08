"""Deleting the records of jobs that are not kept any longer, in steps so small that nobody waits for them."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Collection, Generator, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from nephew.errors import ConfigError
from nephew.job import ENDED, State
from nephew.settings import Keep, as_keep

if TYPE_CHECKING:
    from nephew.backends.contract import Backend
    from nephew.backends.sql.archive import Archive
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.pruning")

#: How long (seconds) a step that deletes should take, and what share of the time steps may take when nobody waits.
STEP_SECONDS = 0.005
SHARE = 1 / 3
#: How many rows a step looks at, and the fewest that it deletes where that takes long.
LOOK, FEWEST = 2000, 250

#: The shortest and the longest time (seconds) between two walks from the very beginning, and that of other things.
OFTEN, SELDOM, HOURLY = 60.0, 86400.0, 3600.0

#: Places of jobs that are to be deleted, a look at a time; none when it found none.
Looks = Iterator[list[int]]


class Pruner:
    """Applies a policy, over and over.

    A walk goes from place to place and ends at the first job that is too young. The next one goes on where it
    ended; once in a while one begins at the beginning again, for the sake of jobs that ended long after those
    beside them.
    """

    def __init__(
        self,
        huey: Nephew,
        keep: Mapping[str, Keep | float | str] | None = None,
        where: Backend | Archive | None = None,
    ) -> None:
        """
        :param huey: whose jobs.
        :param keep: by state, which jobs are kept; a state that is not named keeps all. None: as the settings say.
        :param where: of the jobs that are there; None: in the instance's backend.
        :raises ConfigError: for a state that does not end a job, or a policy that cannot be read.
        """
        self._backend = where or huey.backend
        self._keep = policy(huey) if keep is None else _checked(keep)
        self._tidies = keep is None
        #: How often (seconds) it looks for data, ticks and results on Redis whose time is over.
        self.tidies_every = min([HOURLY, *map(self._rest, self._keep)])
        self._next_tidy = 0.0
        #: By state, where the walk goes on, and when one begins anew.
        self._fronts = dict.fromkeys(self._keep, 0)
        self._next_whole = dict.fromkeys(self._keep, 0.0)
        self._most = FEWEST
        self._pass: Iterator[None] | None = None

    def step(self) -> bool:
        """Do one small step of a pass; False when the pass is over. The next step begins another one."""
        steps, self._pass = self._pass or self._steps({}), None
        try:
            next(steps)
        except StopIteration:
            return False
        self._pass = steps
        return True

    def run(self) -> dict[State, int]:
        """Do a whole pass, with pauses in which others can write; how many jobs of each state were deleted."""
        deleted = dict.fromkeys(self._keep, 0)
        started = time.monotonic()
        for _ in self._steps(deleted):
            took = time.monotonic() - started
            time.sleep(took / SHARE - took)
            started = time.monotonic()
        return deleted

    def count(self, without: Collection[int] = ()) -> dict[State, int]:
        """How many jobs of each state a whole pass would delete, those at some places aside."""
        looks = {state: self._walk(state, 0) for state in self._keep}
        return {state: sum(len(set(places).difference(without)) for places in looks[state]) for state in looks}

    def _steps(self, deleted: dict[State, int]) -> Iterator[None]:
        """A pass, a step at a time; counts what it deletes."""
        for state in self._keep:
            for places in self._walk(state, self._start(state)):
                yield
                for count in self._delete(places):
                    deleted[state] = deleted.get(state, 0) + count
                    yield
        if self._tidies and time.monotonic() >= self._next_tidy:
            while self._backend.tidy():
                yield
            self._next_tidy = time.monotonic() + self.tidies_every
        if any(deleted.values()):
            log.info("%s jobs that are not kept any longer were deleted.", f"{sum(deleted.values()):,}")

    def _start(self, state: State) -> int:
        now = time.monotonic()
        if now < self._next_whole[state]:
            return self._fronts[state]
        self._next_whole[state] = now + self._rest(state)
        return 0

    def _rest(self, state: State) -> float:
        """How long (seconds) what a walk has passed by may stay: the longer its state is kept, the longer."""
        seconds = self._keep[state].seconds
        return HOURLY if seconds is None else min(max(seconds / 8, OFTEN), SELDOM)

    def _walk(self, state: State, after: int | None) -> Looks:
        keep = self._keep[state]
        before = -math.inf if keep.seconds is None else self._backend.now() - keep.seconds
        upto = 0 if keep.most is None else (yield from self._first_too_many(state, keep.most))
        while after is not None:
            self._fronts[state] = after
            places, after = self._backend.outdated(state, before, upto, after, LOOK)
            yield places

    def _first_too_many(self, state: State, most: int) -> Generator[list[int], None, int]:
        """Looks back for the place of the latest job that is one too many; 0 when there is none."""
        below, left = None, most
        while True:
            places, below = self._backend.latest(state, below, LOOK)
            if len(places) > left:
                return places[left]
            left -= len(places)
            if below is None:
                return 0
            yield []

    def _delete(self, places: list[int]) -> Iterator[int]:
        """Deletes them, as many at a time as take no longer than a step should; of each time, how many."""
        while places:
            some, places = places[: self._most], places[self._most :]
            count, took = self._backend.delete_ended(some)
            self._most = max(FEWEST, self._most // 2) if took > STEP_SECONDS else min(LOOK, self._most * 2)
            yield count


def policy(huey: Nephew) -> dict[State, Keep]:
    """What the settings say, where they set a limit."""
    settings = huey.settings
    kept = {
        State.SUCCEEDED: settings.keep_succeeded,
        State.FAILED: settings.keep_failed,
        State.CANCELLED: settings.keep_cancelled,
        State.EXPIRED: settings.keep_expired,
    }
    return {state: keep for state, keep in kept.items() if keep != Keep()}


def _checked(keep: Mapping[str, Any]) -> dict[State, Keep]:
    found = {}
    for state, given in keep.items():
        if state not in ENDED:
            raise ConfigError(f"expected a state that ends a job ({', '.join(sorted(ENDED))}), got {state!r}")
        try:
            found[State(state)] = as_keep(given)
        except ValueError as error:
            raise ConfigError(f"expected what is kept of {state} jobs to be {error}, got {given!r}") from None
    return found


__all__ = ["Pruner", "policy"]
