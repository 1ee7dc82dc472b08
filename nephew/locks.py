"""Locks with an owner: they expire, are renewed while held, can be seen and broken, and carry a fencing number."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import logging
import os
import socket
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar, cast

from huey.exceptions import TaskLockedException

from nephew.backends.records import LockRow
from nephew.current import running
from nephew.errors import BackendError, LockLost, LockNotAcquired, NephewError, NotBegun
from nephew.shield import my_shield

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.locks")

P = ParamSpec("P")
R = TypeVar("R")

#: Seconds between two tries to get a lock that somebody holds: from, to.
PAUSES = (0.005, 0.25)


def _label(whose: str) -> str:
    return f"{socket.gethostname()}:{os.getpid()}:{whose}"


class Lock:
    """A named lock, held by at most one at a time, on whatever host. With `with`, `async with` or as a decorator.

    It is renewed in the background while it is held, so `ttl` only says how long a dead holder is waited
    for. What is protected can be made safe against a holder that lost it without noticing by passing on
    `fence`, which grows with every acquisition.
    """

    def __init__(self, huey: Nephew, name: str, ttl: float = 60.0, wait: float | None = 5.0) -> None:
        """
        :param name: the lock's name, within the instance.
        :param ttl: seconds after which a holder that stopped renewing loses it.
        :param wait: seconds to wait for it; 0: do not wait; None: for ever.
        :raises NephewError: when `ttl` or `wait` is no such number.
        """
        if not isinstance(ttl, int | float) or isinstance(ttl, bool) or ttl <= 0:
            raise NephewError(f"expected the ttl of lock {name!r} to be seconds greater than 0, got {ttl!r}")
        if wait is not None and (not isinstance(wait, int | float) or wait < 0):
            raise NephewError(f"expected wait for lock {name!r} to be seconds or None, got {wait!r}")
        self.huey, self.name, self.ttl, self.patience = huey, name, float(ttl), wait
        self._held = threading.local()
        self._of_tasks: weakref.WeakKeyDictionary[asyncio.Task[Any], list[_Hold]] = weakref.WeakKeyDictionary()

    def acquire(self) -> int:
        """Take the lock; its fencing number.

        :raises LockNotAcquired: when somebody else still holds it after `wait` seconds.
        """
        label, owner = _label(threading.current_thread().name), uuid.uuid4().hex
        for pause in self._pauses():
            time.sleep(pause)
            hold = self._take(owner, label)
            if hold is not None:
                return hold.fence
        raise LockNotAcquired(self._refusal())

    async def acquire_async(self) -> int:
        """The same in an event loop, which goes on meanwhile; the lock is then the running asyncio task's.

        Whoever is cancelled meanwhile does not hold it.
        """
        task = asyncio.current_task()
        assert task is not None
        label, owner = _label(task.get_name()), uuid.uuid4().hex
        for pause in self._pauses():
            await asyncio.sleep(pause)
            hold = await self._take_async(owner, label)
            if hold is not None:
                self._of_tasks.setdefault(task, []).append(hold)
                return hold.fence
        raise LockNotAcquired(await self.huey.errands.run(self._refusal))

    def _pauses(self) -> Iterator[float]:
        """Before each try to get it, how long (seconds) to wait; they end when its time is over."""
        yield 0.0
        deadline = None if self.patience is None else time.monotonic() + self.patience
        pause = PAUSES[0]
        while deadline is None or (left := deadline - time.monotonic()) > 0:
            yield pause if deadline is None else min(pause, left)
            pause = min(pause * 1.5, PAUSES[1])

    def _take(self, owner: str, label: str) -> _Hold | None:
        """Take it if it is free; what stops a job meanwhile finds it noted that the job holds it."""
        with my_shield():
            hold = self._try(owner, label)
            if hold is not None:
                self._stack().append(hold)
                job = running.get()
                if job is not None:
                    job.holds.append(self)
                hold.renewal.start()
        return hold

    async def _take_async(self, owner: str, label: str) -> _Hold | None:
        def take() -> _Hold | None:
            hold = self._try(owner, label)
            if hold is not None:
                hold.renewal.start()
            return hold

        taking = self.huey.errands.begin(take)
        try:
            return await asyncio.wrap_future(taking)
        except asyncio.CancelledError:
            taking.add_done_callback(self._put_back)  # it may be taken all the same
            raise

    def _try(self, owner: str, label: str) -> _Hold | None:
        fence = self.huey.backend.acquire_lock(self.name, owner, label, self.ttl)
        return None if fence is None else _Hold(owner, fence, _Renewal(self, owner))

    def _put_back(self, taking: Future[_Hold | None]) -> None:
        if not taking.cancelled() and not taking.exception() and (hold := taking.result()) is not None:
            self.huey.errands.begin(lambda: self._give_up(hold))

    def _refusal(self) -> str:
        holder = self.holder()
        whose = f"; {holder.label} holds it" if holder else ""
        return f"unable to acquire lock {self.name} within {self.patience:g} s{whose}"

    def release(self) -> None:
        """Give the lock up, if it is still ours; somebody else's is left alone.

        :raises LockLost: when it had expired or was broken while we held it.
        """
        if not self._stack():
            raise NephewError(f"lock {self.name!r} is not held here")
        with my_shield():
            hold = self._stack().pop()
            job = running.get()
            if job is not None and self in job.holds:
                job.holds.remove(self)
            self._give_up(hold)

    async def release_async(self) -> None:
        """The same for a lock that the running asyncio task holds; done even if that is cancelled meanwhile."""
        holds = self._of_task()
        if not holds:
            raise NephewError(f"lock {self.name!r} is not held here")
        hold = holds.pop()
        await asyncio.shield(asyncio.wrap_future(self.huey.errands.begin(lambda: self._give_up(hold))))

    def _give_up(self, hold: _Hold) -> None:
        hold.renewal.stop()
        if not self.huey.backend.release_lock(self.name, hold.owner):
            raise LockLost(f"lock {self.name} was lost before it was released; it expired or was broken")

    def holder(self) -> LockRow | None:
        """Who holds it now."""
        return next((row for row in self.huey.backend.locks() if row.name == self.name), None)

    @property
    def fence(self) -> int:
        """The fencing number of the acquisition that this thread, or the running asyncio task, holds.

        :raises NephewError: when it does not hold the lock.
        """
        holds = self._of_task() or self._stack()
        if not holds:
            raise NephewError(f"lock {self.name!r} is not held here")
        return holds[-1].fence

    def _of_task(self) -> list[_Hold]:
        """What the asyncio task that runs here holds."""
        try:
            task = asyncio.current_task()
        except RuntimeError:  # there is no event loop
            return []
        return [] if task is None else self._of_tasks.get(task, [])

    def _stack(self) -> list[_Hold]:
        if not hasattr(self._held, "stack"):
            self._held.stack = []
        return self._held.stack  # type: ignore[no-any-return]

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            self.release()
        except LockLost as lost:
            self._tell_loss(lost, error)

    async def __aenter__(self) -> Lock:
        await self.acquire_async()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            await self.release_async()
        except LockLost as lost:
            self._tell_loss(lost, error)

    def _tell_loss(self, lost: LockLost, error: BaseException | None) -> None:
        """:raises LockLost: unless what was protected has failed by itself."""
        if error is None:
            raise lost
        log.warning("Lock %s was lost while it was held.", self.name)  # the first error tells more

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def locked_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                async with self:
                    return await function(*args, **kwargs)

            return cast("Callable[P, R]", locked_async)

        @functools.wraps(function)
        def locked(*args: P.args, **kwargs: P.kwargs) -> R:
            with self._before(function):
                return function(*args, **kwargs)

        locked.nephew_guard = True  # type: ignore[attr-defined]  # read by the execution
        return locked

    @contextlib.contextmanager
    def _before(self, function: Callable[..., Any]) -> Iterator[None]:
        """Hold the lock; a store that is away before a job has begun is not the job's failure."""
        job = running.get()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(self)
            except BackendError as error:
                if job is None or job.entered:
                    raise
                raise NotBegun(str(error)) from error
            if job is not None:
                job.entered = not getattr(function, "nephew_guard", False)
            yield


class _Hold(NamedTuple):
    """One acquisition."""

    owner: str
    fence: int
    renewal: _Renewal


class _Renewal:
    """Prolongs a held lock from a thread of its own, three times per `ttl`."""

    def __init__(self, lock: Lock, owner: str) -> None:
        self._lock, self._owner = lock, owner
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._loop, name=f"Lock {lock.name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _loop(self) -> None:
        lock = self._lock
        while not self._over.wait(lock.ttl / 3):
            try:
                if not lock.huey.backend.renew_lock(lock.name, self._owner, lock.ttl):
                    log.warning("Lock %s was lost while it was held; it expired or was broken.", lock.name)
                    break
            except BackendError as error:
                log.warning("Lock %s could not be renewed (%s); trying again.", lock.name, error)
        lock.huey.backend.leave()


class TaskLock(Lock):
    """Huey's `lock_task`: not waited for, and kept by an owner."""

    def __init__(self, huey: Nephew, name: str, ttl: float | None = None) -> None:
        super().__init__(huey, name, 60.0 if ttl is None else ttl, wait=0)
        huey._locks.add(f"{huey.name}.lock.{name}")

    def acquire(self) -> bool:  # Huey's returns True
        """Take the lock.

        :raises huey.exceptions.TaskLockedException: when somebody holds it.
        """
        try:
            super().acquire()
        except LockNotAcquired as error:
            raise TaskLockedException(f"unable to acquire lock {self.name}") from error
        return True

    def _tell_loss(self, lost: LockLost, error: BaseException | None) -> None:
        log.warning("%s", lost)  # Huey's locks may be flushed while they are held

    def is_locked(self) -> bool:
        """Whether anybody holds it."""
        return self.holder() is not None

    locked = is_locked

    def clear(self) -> bool:
        """Break it, whoever holds it; whether anybody did."""
        return self.huey.backend.release_lock(self.name, None)

    def release(self) -> None:
        """Give it up; a lock held elsewhere is broken, as in Huey."""
        if self._stack():
            super().release()
        else:
            self.clear()
