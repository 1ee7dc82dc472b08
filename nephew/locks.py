"""Locks with an owner: they expire, are renewed while held, can be seen and broken, and carry a fencing number."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

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


class Lock:
    """A named lock, held by at most one at a time, on whatever host. As context manager or decorator.

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

    def acquire(self) -> int:
        """Take the lock; its fencing number.

        :raises LockNotAcquired: when somebody else still holds it after `wait` seconds.
        """
        owner = uuid.uuid4().hex
        label = f"{socket.gethostname()}:{os.getpid()}:{threading.current_thread().name}"
        deadline = None if self.patience is None else time.monotonic() + self.patience
        pause = PAUSES[0]
        while True:
            fence = self._take(owner, label)
            if fence is not None:
                return fence
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise LockNotAcquired(self._refusal())
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * 1.5, PAUSES[1])

    def _take(self, owner: str, label: str) -> int | None:
        """Take it if it is free; what stops a job meanwhile finds it noted that the job holds it."""
        with my_shield():
            fence = self.huey.backend.acquire_lock(self.name, owner, label, self.ttl)
            if fence is not None:
                renewal = _Renewal(self, owner)
                self._stack().append((owner, fence, renewal))
                job = running.get()
                if job is not None:
                    job.holds.append(self)
                renewal.start()
        return fence

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
            owner, _, renewal = self._stack().pop()
            job = running.get()
            if job is not None and self in job.holds:
                job.holds.remove(self)
            renewal.stop()
            released = self.huey.backend.release_lock(self.name, owner)
        if not released:
            raise LockLost(f"lock {self.name} was lost before it was released; it expired or was broken")

    def holder(self) -> LockRow | None:
        """Who holds it now."""
        return next((row for row in self.huey.backend.locks() if row.name == self.name), None)

    @property
    def fence(self) -> int:
        """The fencing number of the acquisition that this thread holds.

        :raises NephewError: when this thread does not hold the lock.
        """
        if not self._stack():
            raise NephewError(f"lock {self.name!r} is not held here")
        return int(self._stack()[-1][1])

    def _stack(self) -> list[Any]:
        if not hasattr(self._held, "stack"):
            self._held.stack = []
        return self._held.stack  # type: ignore[no-any-return]

    def __enter__(self) -> Lock:
        self.acquire()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            self.release()
        except LockLost:
            if error is None:
                raise
            log.warning("Lock %s was lost while it was held.", self.name)  # the first error tells more

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
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
        lock.huey.backend.close()


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

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        try:
            self.release()
        except LockLost as lost:
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
