"""Steps of the store on behalf of asyncio, which must not wait for them: on one thread, while there are any."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from nephew.errors import NephewError

T = TypeVar("T")

#: Seconds that the thread waits for another errand before it closes its connection and ends.
LINGER = 0.15


class Errands:
    """One step after the other, for all event loops of this process."""

    def __init__(self, close: Callable[[], None]) -> None:
        """:param close: closes what the thread holds open in the store."""
        self._close = close
        self.forget()

    def forget(self) -> None:
        """In a fork's child: what was to be done is the parent's."""
        self._lock = threading.Lock()
        self._todo: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def run(self, step: Callable[[], T]) -> T:
        """What the step returns or raises, once it is done; the event loop goes on meanwhile.

        A caller that is cancelled takes back what has not begun; what has begun is done all the same.
        """
        return await asyncio.wrap_future(self.begin(step))

    def begin(self, step: Callable[[], T]) -> Future[T]:
        """Have a step done, in the caller's context."""
        future: Future[T] = Future()
        context = contextvars.copy_context()
        with self._lock:
            self._todo.put((future, lambda: context.run(step)))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="Errands", daemon=True)
                self._thread.start()
        return future

    def _work(self) -> None:
        try:
            while (errand := self._next()) is not None:
                _do(*errand)
                del errand  # or what it holds would live until the next one
        finally:
            with contextlib.suppress(NephewError):
                self._close()

    def _next(self) -> tuple[Future[Any], Callable[[], Any]] | None:
        try:
            return self._todo.get(timeout=LINGER)
        except queue.Empty:
            with self._lock:
                if not self._todo.empty():
                    return self._todo.get()
                self._thread = None
                return None


def _do(future: Future[Any], step: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        value = step()
    except BaseException as error:
        future.set_exception(error)
    else:
        future.set_result(value)
