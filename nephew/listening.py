"""What programs wait for: the ends of jobs, and whatever happens."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar, cast

from nephew.errands import Errands
from nephew.errors import BackendError, NephewError
from nephew.events import IDLE, Events
from nephew.result import Result
from nephew.waitingroom import WaitingRoom

if TYPE_CHECKING:
    from nephew.backends.contract import Backend
    from nephew.instance import Nephew

T = TypeVar("T", bound=Result[Any] | str)


class Waited(NamedTuple, Generic[T]):
    """What became of jobs that were waited for, in the order in which they were given.

    :ivar done: those that have ended, however they did.
    :ivar pending: those that have not.
    """

    done: list[T]
    pending: list[T]


class Listening:
    """The part of `Nephew` that waits."""

    if TYPE_CHECKING:  # what the instance has
        _opening: threading.RLock

        @property
        def backend(self) -> Backend: ...

        def _in_memory(self) -> bool: ...
        def refuse_open_transaction(self, job_id: str) -> None: ...

    def listen(self) -> None:
        """Prepare for those who will wait."""
        self._rooms: dict[bool, WaitingRoom] = {}
        #: Steps of the store on behalf of event loops.
        self.errands = Errands(lambda: self.backend.leave())

    def stop_listening(self) -> None:
        """In a fork's child: those who wait are the parent's."""
        self.errands.forget()
        for room in self._rooms.values():
            room.forget()

    @property
    def waiting_room(self) -> WaitingRoom:
        """Who waits here, and is told of ends."""
        memory = self._in_memory()
        if memory not in self._rooms:
            with self._opening:
                self._rooms.setdefault(memory, WaitingRoom(self.backend))
        return self._rooms[memory]

    def wait(self, results: Iterable[T], timeout: float | None = None) -> Waited[T]:
        """Wait until all of these jobs have ended.

        :param results: what their calls returned, or ids.
        :param timeout: seconds to wait at most; None: for ever. It is no error when some have not ended by then.
        :raises NephewError: for a result of another instance, or inside an open transaction.
        """
        given = self._checked(results)
        missing = self._ended_by_now(list(given))
        if missing:
            missing = self.waiting_room.wait(missing, timeout)
        return _sorted(given, missing)

    async def wait_async(self, results: Iterable[T], timeout: float | None = None) -> Waited[T]:
        """The same in an event loop, which goes on meanwhile."""
        given = self._checked(results)
        missing = await self.errands.run(lambda: self._ended_by_now(list(given)))
        if missing:
            missing = await self.waiting_room.wait_async(missing, timeout)
        return _sorted(given, missing)

    def _checked(self, results: Iterable[T]) -> dict[str, list[T]]:
        """By their ids, what is waited for."""
        found: dict[str, list[T]] = {}
        for result in results:
            if isinstance(result, Result) and result.huey is not cast("Nephew", self):
                raise NephewError(f"expected results of this instance, got {result!r} of {result.huey.name!r}")
            found.setdefault(result.id if isinstance(result, Result) else result, []).append(result)
        for job_id in list(found)[:1]:
            self.refuse_open_transaction(job_id)
        return found

    def _ended_by_now(self, ids: list[str]) -> set[str]:
        """Those that have not."""
        try:
            return set(ids) - self.backend.ended(ids)
        except BackendError:  # who waits may have the time until the store is back
            return set(ids)

    def events(
        self,
        after: str | None = None,
        *,
        block: float | None = None,
        group: str | None = None,
        consumer: str | None = None,
        idle: float = IDLE,
        lossy: bool = False,
    ) -> Events:
        """Follow what happens to jobs, with `for` or `async for`.

        :param after: begin behind the event with this id; "0": with the first that is kept; None: with what happens
            from now on. A group that is there already goes on where it is.
        :param block: end when nothing has happened for so many seconds; 0: with the last event that is there; None:
            never.
        :param group: share the events with all that name the same group: each event goes to one of them.
        :param consumer: which of the group this one is; by default its host and process.
        :param idle: seconds after which what a consumer of the group has not dealt with goes to another one.
        :param lossy: go on with the first event that is kept when some behind `after` are not.
        :raises EventsLost: (when the loop begins) when events behind `after` are not kept any longer.
        """
        return Events(cast("Nephew", self), after, block, group, consumer, idle, lossy)


def _sorted(given: dict[str, list[T]], missing: set[str]) -> Waited[T]:
    done = [each for job_id, some in given.items() if job_id not in missing for each in some]
    pending = [each for job_id, some in given.items() if job_id in missing for each in some]
    return Waited(done, pending)
