"""Who waits for which job's end: one thread an instance looks after all of them, and lives while there are any.

It is told of ends by the store and looks by itself every second, so that a word that was lost only delays it. While
the store is away, those who wait go on waiting.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from nephew.current import running
from nephew.errors import BackendError, NephewError
from nephew.shield import my_shield

if TYPE_CHECKING:
    from nephew.backends.contract import Backend
    from nephew.backends.watcher import Watcher

log = logging.getLogger("huey.nephew.waiting")

#: Seconds between two looks while nobody tells of anything: the first, from which they grow, and the longest.
FIRST_LOOK, LONGEST = 0.01, 1.0
#: The longest pause (seconds) after looks that were called for and found nothing: others' writes are told of, too.
LONGEST_PAUSE = 0.02
#: Seconds that the thread waits for somebody else before it closes its connections and ends.
LINGER = 0.15
#: A job that waits for another one is looked at this often (seconds), should it be struck meanwhile.
STRUCK_WITHIN = 0.1


class Visit:
    """One who waits for jobs, or follows what happens.

    :ivar missing: ids of the jobs that have not ended.
    :ivar follows: rung at everything that happens, not only at the ends of those.
    :ivar every: the longest time (seconds) between two looks.
    :ivar error: what keeps the store from ever telling.
    """

    def __init__(
        self, ids: Iterable[str], ring: Callable[[], object], follows: bool = False, every: float = LONGEST
    ) -> None:
        """:param ring: called on the room's thread whenever there is news."""
        self.missing, self.follows, self.every = set(ids), follows, min(every, LONGEST)
        self.error: Exception | None = None
        self._ring = ring

    def tell(self, ended: set[str]) -> None:
        """Some jobs have ended."""
        news = self.missing & ended
        self.missing -= news
        if news or self.follows:
            self.ring()

    def fail(self, error: Exception) -> None:
        """Waiting has no use."""
        self.error = error
        self.ring()

    def ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # its event loop is closed
            self._ring()

    def is_over(self) -> bool:
        """Whether all jobs have ended.

        :raises NephewError: when that will never be known.
        """
        if self.error is not None:
            raise self.error
        return not self.missing


class WaitingRoom:
    """All who wait in this process for jobs of one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.forget()

    def forget(self) -> None:
        """In a fork's child: those who wait are the parent's."""
        self._lock = threading.Lock()
        self._visits: set[Visit] = set()
        self._fresh: list[Visit] = []
        self._bell: socket.socket | None = None
        self._away = False

    # -- by those who wait --------------------------------------------------------------------------
    def wait(self, ids: Iterable[str], timeout: float | None = None, every: float = LONGEST) -> set[str]:
        """Wait until these jobs have ended; the ids of those that have not in time."""
        rung = threading.Event()
        deadline = None if timeout is None else time.monotonic() + timeout
        longest = None if running.get() is None else STRUCK_WITHIN
        with self.visit(Visit(ids, rung.set, every=every)) as visit:
            while not visit.is_over():
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    break
                rung.wait(min((each for each in (left, longest) if each is not None), default=None))
                rung.clear()
        return visit.missing

    async def wait_async(self, ids: Iterable[str], timeout: float | None = None) -> set[str]:
        """The same for an event loop, which goes on meanwhile."""
        rung = asyncio.Event()
        loop = asyncio.get_running_loop()
        visit = Visit(ids, lambda: loop.call_soon_threadsafe(rung.set))
        with self.visit(visit), contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                while not visit.is_over():
                    await rung.wait()
                    rung.clear()
        return visit.missing

    @contextlib.contextmanager
    def visit(self, visit: Visit) -> Iterator[Visit]:
        """Be looked after."""
        with my_shield():
            self._enter(visit)
        try:
            yield visit
        finally:
            with my_shield(), self._lock:
                self._visits.discard(visit)

    def _enter(self, visit: Visit) -> None:
        with self._lock:
            self._visits.add(visit)
            self._fresh.append(visit)
            if self._bell is not None:
                with contextlib.suppress(BlockingIOError):  # full of rings that are not heard yet
                    self._bell.send(b"!")
                return
            self._bell, heard = socket.socketpair()
            self._bell.setblocking(False)
            heard.setblocking(False)
            threading.Thread(target=self._attend, args=(heard,), name="Waiting room", daemon=True).start()

    # -- by the thread ------------------------------------------------------------------------------
    def _attend(self, bell: socket.socket) -> None:
        watcher = self._backend.ends_watcher()
        pause, quiet, everybody = 0.0, FIRST_LOOK, True
        try:
            while self._is_visited(bell):
                watcher.fileno()  # it listens from before the look: no end falls between the two
                started = time.monotonic()
                if self._look(everybody):
                    pause, quiet = 0.0, FIRST_LOOK
                elif everybody:
                    took = time.monotonic() - started
                    pause = min(max(took, pause * 1.5), watcher.interval or LONGEST_PAUSE)
                    quiet = min(quiet * 2, self._longest())
                everybody = _sleep(bell, watcher, pause, quiet)
        finally:
            bell.close()
            watcher.close()
            with contextlib.suppress(NephewError):
                self._backend.leave()

    def _is_visited(self, bell: socket.socket) -> bool:
        """Whether somebody is there, or comes within a moment."""
        if self._visits or _is_rung(bell, LINGER):
            return True
        with self._lock:
            if not self._visits and self._bell is not None:
                self._bell.close()
                self._bell = None
            return self._bell is not None

    def _longest(self) -> float:
        with self._lock:
            return min((visit.every for visit in self._visits), default=LONGEST)

    def _look(self, everybody: bool) -> bool:
        """Look after those who came last, or after everybody; whether anything was new."""
        with self._lock:
            fresh, self._fresh = self._fresh, []
            visits = list(self._visits) if everybody else fresh
        if not visits:
            return False
        ids = set[str]().union(*(visit.missing for visit in visits))
        try:
            ended = self._backend.ended(list(ids), any(visit.follows for visit in visits))
        except BackendError as error:
            self._note_absence(error)
            return False
        except Exception as error:
            for visit in visits:
                visit.fail(error)
            return False
        if self._away:
            self._away = False
            log.info("The store is back; those who wait for jobs are told of their ends again.")
        for visit in visits:
            visit.tell(ended)
        return bool(fresh or ended)

    def _note_absence(self, error: BackendError) -> None:
        if not self._away:
            log.warning("Those who wait for jobs go on waiting: the store cannot be asked (%s).", error)
        self._away = True


def _sleep(bell: socket.socket, watcher: Watcher, pause: float, longest: float) -> bool:
    """Until somebody comes or something happens; whether everybody is to be looked after."""
    until = time.monotonic() + longest
    if pause and _is_rung(bell, pause):
        return False
    while (left := until - time.monotonic()) > 0:
        interval = left if watcher.interval is None else min(left, watcher.interval)
        rung = _is_rung(bell, interval, watcher.fileno())
        if watcher.changed():
            return True
        if rung:
            return False
    return True


def _is_rung(bell: socket.socket, seconds: float, watched: int | None = None) -> bool:
    """Wait for the bell, and for what is watched; whether it was the bell."""
    with selectors.DefaultSelector() as selector:
        selector.register(bell, selectors.EVENT_READ)
        if watched is not None:
            selector.register(watched, selectors.EVENT_READ)
        rung = any(key.fileobj is bell for key, _ in selector.select(seconds))
    if rung:
        bell.recv(4096)
    return rung
