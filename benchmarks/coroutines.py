"""What the adapters of asynchronous runners share: a client on one event loop."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Coroutine, Sequence
from functools import cached_property
from typing import Any, TypeVar

from benchmarks.runner import Runner

T = TypeVar("T")


class AsyncRunner(Runner):
    """A runner whose client is asynchronous; it is opened when something is asked of it, and so in no consumer."""

    def new_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, of the kind that its workers have."""
        return asyncio.new_event_loop()

    @abstractmethod
    async def open(self) -> None:
        """Connect, and make what has to be there before the first job."""

    @abstractmethod
    async def put(self, number: int) -> object:
        """Enqueue one no-op job; returns its handle."""

    @abstractmethod
    async def put_many(self, numbers: Sequence[int]) -> None:
        """Enqueue many no-op jobs in the fastest way that the runner documents."""

    @abstractmethod
    async def put_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """Enqueue naps."""

    @abstractmethod
    async def result(self, handle: Any, seconds: float) -> object:
        """Wait for a job's result."""

    @abstractmethod
    async def count_waiting(self) -> int:
        """How many jobs have not been taken."""

    @abstractmethod
    async def count_kept(self) -> int:
        """How many results, or finished jobs, the store holds."""

    def enqueue(self, number: int) -> object:
        """`put`."""
        return self._run(self.put(number))

    def enqueue_each(self, numbers: Sequence[int]) -> None:
        """`put`, awaited for one after the other."""
        self._run(self._put_each(numbers))

    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """`put_many`."""
        self._run(self.put_many(numbers))

    def enqueue_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """`put_naps`."""
        self._run(self.put_naps(numbers, seconds))

    def await_result(self, handle: object, seconds: float) -> object:
        """`result`."""
        return self._run(self.result(handle, seconds))

    def waiting(self) -> int:
        """`count_waiting`."""
        return self._run(self.count_waiting())

    def kept(self) -> int:
        """`count_kept`."""
        return self._run(self.count_kept())

    def close(self) -> None:
        """End the loop and all that is still on it."""
        self._loop.close()

    @cached_property
    def _loop(self) -> asyncio.Runner:
        loop = asyncio.Runner(loop_factory=self.new_loop)
        loop.run(self.open())
        return loop

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Its result. The loop stands still between two calls."""
        return self._loop.run(coroutine)

    async def _put_each(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            await self.put(number)


async def together(coroutines: Sequence[Coroutine[Any, Any, Any]], at_once: int) -> None:
    """Await all of them, so many at once: the bulk of those that know none, on a pool of connections."""
    for first in range(0, len(coroutines), at_once):
        await asyncio.gather(*coroutines[first : first + at_once])
