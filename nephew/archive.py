"""Moves what has ended from a queue on Redis into the archive: in one consumer of all, on a thread of its own.

Neither side is waited for by any job: while the archive's store is away, the queue keeps what has ended, up to its own
limits.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from nephew.backends.records import Filter, News, Record
from nephew.errors import BackendError, ConfigError, NephewError, Refused
from nephew.job import ENDED
from nephew.membership import refuse_other_hosts
from nephew.pruning import Pruner

if TYPE_CHECKING:
    from nephew.backends.redis import RedisBackend
    from nephew.backends.sql.archive import Archive
    from nephew.instance import Nephew
    from nephew.settings import Settings

log = logging.getLogger("huey.nephew.archive")

#: The lock of the consumer that archives; no text that a person types begins like this.
LOCK = "\0archive"
#: How long (seconds) it is waited for when its holder has died.
TERM = 15.0
#: How many jobs are moved at once: so few that nobody waits for them.
BATCH = 250
#: How many ticks of a schedule stay on Redis, where they are looked at most.
TICKS_LEFT = 50
#: How often (seconds) it looks for news, and for what is not kept any longer.
NEWS, PRUNING = 0.5, 60.0
#: The pauses (seconds) after an error: from, to.
PAUSES = (1.0, 30.0)
#: How long (seconds) the end of a consumer waits for a store that does not answer.
LAST_WORD = 2.0

_ENDED = Filter(states=tuple(ENDED))


class Progress(NamedTuple):
    """How far an archive is.

    :ivar place: where it is, for people.
    :ivar behind: how many events of the queue it has not followed yet; None: it cannot be asked.
    :ivar cut: how many events Redis did not keep for long enough.
    :ivar trouble: why it cannot be asked.
    """

    place: str
    behind: int | None = None
    cut: int | None = None
    trouble: str | None = None


def progress(queue: RedisBackend, store: Archive) -> Progress:
    """How far an archive is."""
    try:
        if not store.is_there():
            return Progress(store.description, queue.last_event(), 0)
        return Progress(store.description, max(0, queue.last_event() - (store.cursor() or 0)), store.cut())
    except NephewError as error:
        return Progress(store.description, trouble=str(error))


class Archiver:
    """Moves, while it holds the lock, what has ended.

    It follows the queue's events; how far, is written with the jobs. What it finds in the queue after others is gone
    through once, since one that died may have left jobs there that it had archived.
    """

    def __init__(self, queue: RedisBackend, store: Archive, pruner: Pruner, settings: Settings) -> None:
        self._queue, self._store, self._pruner, self._settings = queue, store, pruner, settings
        self._owner = uuid.uuid4().hex
        self._elected = False
        self._next_vote = self._next_pruning = 0.0
        #: Ended jobs that are gone through beside the events.
        self._leftovers: Iterator[list[str]] = iter(())

    def step(self) -> bool:
        """Move a part of what has ended since the last step; whether there is more to do.

        :raises NephewError: when one of both cannot be reached; nothing is lost.
        :raises ConfigError: when the store cannot be used with the consumers that there are.
        """
        if not self._is_elected():
            return False
        if (ids := next(self._leftovers, None)) is not None:
            since = self._cursor()
            self._move(ids, since, since)
            return True
        followed, moved = self._follow(), self._move_ticks()
        return followed or moved or self._prune()

    def resign(self) -> None:
        """Let another one take over, at once."""
        self._elected, self._next_vote = False, 0.0
        self._queue.release_lock(LOCK, self._owner)

    # -- election -----------------------------------------------------------------------------------
    def _is_elected(self) -> bool:
        now = time.monotonic()
        if now < self._next_vote:
            return self._elected
        refuse_other_hosts(self._queue, self._store)
        if not (self._elected and self._queue.renew_lock(LOCK, self._owner, TERM)):
            label = f"{socket.gethostname()}:{os.getpid()}:archive"
            self._elected = False
            if self._queue.acquire_lock(LOCK, self._owner, label, TERM) is not None:
                self._begin()
                self._elected = True
                log.info("This consumer archives what has ended in %s.", self._store.description)
        self._next_vote = now + TERM / 3
        return self._elected

    def _begin(self) -> None:
        self._queue.raise_place(self._store.last_place())
        if self._store.cursor() is None:  # what was cut before there was an archive, is not missed
            news = self._queue.news(0)
            self._store.keep((), 0, news.first - 1 if news else self._queue.last_event())
        self._leftovers = self._left_behind()

    def _left_behind(self) -> Iterator[list[str]]:
        """Of all jobs that have been enqueued up to now, those that have ended; events will tell of others."""
        place, last = 0, self._queue.last_place()
        while place < last and (found := self._queue.ids(_ENDED, place, BATCH)):
            yield [job_id for _, job_id in found]
            place = found[-1][0]

    # -- following ----------------------------------------------------------------------------------
    def _cursor(self) -> int:
        return self._store.cursor() or 0

    def _follow(self) -> bool:
        since = self._cursor()
        news = self._queue.news(since)
        if news is None:
            return self._queue.last_event() < since and self._start_over(since)
        if news.first > since + 1:
            self._jump(since, news)
        else:
            self._move(news.ended, since, news.last)
        return True

    def _start_over(self, since: int) -> bool:
        log.warning("The queue's events begin anew: Redis has lost what it knew. The archive goes on with them.")
        self._store.keep((), since, 0)
        self._begin()
        return True

    def _jump(self, since: int, news: News) -> None:
        """Some events are gone; of the jobs that they told of there may be records still."""
        cut = news.first - since - 1
        log.warning(
            "%s events were cut from Redis before they were archived. The jobs that it still has are archived now; for "
            "longer outages raise keep_events and keep_records.",
            f"{cut:,}",
        )
        self._store.keep((), since, news.first - 1, cut)
        self._leftovers = self._left_behind()

    def _move(self, ids: Sequence[str], since: int, upto: int) -> None:
        """Archive these jobs, and with the last of them that events were followed up to a number."""
        left = list(ids)
        while True:
            records, gone, looked = self._queue.records(left[:BATCH])
            left = left[looked:]
            cut = len(set(gone) - self._store.known(gone))
            if cut:
                log.warning("%d jobs were cut from Redis before they were archived; raise keep_records.", cut)
            kept = self._keep(records, since, since if left else upto, cut)
            self._store.delete_jobs(self._queue.drop(kept))
            if not left:
                return

    def _keep(self, records: Sequence[Record], since: int, upto: int, cut: int) -> Sequence[Record]:
        """Write them; those that the store takes."""
        try:
            if not self._store.keep(records, since, upto, cut):
                raise BackendError("another consumer has archived meanwhile")
            return records
        except Refused as error:
            if not records:
                raise
            half = len(records) // 2
            if half == 0:
                log.error("Job %s cannot be archived (%s); it stays on Redis while it can.", records[0].row.id, error)
                return self._keep((), since, upto, cut + 1)
            return [*self._keep(records[:half], since, since, 0), *self._keep(records[half:], since, upto, cut)]

    # -- ticks --------------------------------------------------------------------------------------
    def _move_ticks(self) -> bool:
        """Archive ticks that are over; they are not told of in events."""
        filed = self._queue.filed_ticks(BATCH)
        ticks = [tick for tick in filed.values() if tick is not None]
        if ticks:
            self._store.keep_ticks(ticks)
        if filed:
            self._queue.drop_ticks(filed, TICKS_LEFT)
        return len(filed) == BATCH

    def _prune(self) -> bool:
        """Delete what is not kept any longer, a part of it."""
        if time.monotonic() < self._next_pruning:
            return False
        more = self._pruner.step() or self._prune_ticks()
        if not more:
            self._next_pruning = time.monotonic() + PRUNING
        return more

    def _prune_ticks(self) -> bool:
        before = self._queue.now() - self._settings.keep_ticks
        return self._store.prune_ticks(before, self._settings.keep_ticks_most, BATCH) >= BATCH


class ArchiverThread:
    """Lets an archiver work, and says once when it cannot. Every consumer has one, where there is an archive."""

    def __init__(self, huey: Nephew) -> None:
        self._huey = huey
        self._pause = 0.0
        self._refused = False
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """See that it works."""
        idle = self._thread is None or not self._thread.is_alive()
        if self._huey.store is not None and idle and not self._refused and not self._stopping.is_set():
            self._thread = threading.Thread(target=self._loop, name="Archiver", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(LAST_WORD)

    def _loop(self) -> None:
        archiver = archiver_of(self._huey)
        while not self._refused and not self._stopping.wait(self._turn(archiver)):
            pass
        self._resign(archiver)
        self._huey.close()

    def _resign(self, archiver: Archiver) -> None:
        """Let another consumer try."""
        try:
            archiver.resign()
        except NephewError as error:
            log.debug("The archiver could not resign: %s", error)

    def _turn(self, archiver: Archiver) -> float:
        """Do a step; after how many seconds the next one is to be done."""
        try:
            more = archiver.step()
        except ConfigError as error:
            log.error("This consumer does not archive any more: %s", error)
            self._refused = True
            return 0.0
        except NephewError as error:
            return self._failed(archiver, str(error))
        except Exception as error:
            log.debug("The archiver failed.", exc_info=True)
            return self._failed(archiver, repr(error))
        if self._pause:
            log.info("Archiving goes on.")
            self._pause = 0.0
        return 0.0 if more else NEWS

    def _failed(self, archiver: Archiver, why: str) -> float:
        """Say it once, and let another consumer try; how long to wait."""
        self._resign(archiver)
        if not self._pause:
            log.warning("Could not archive (%s); jobs are run all the same, and it is tried until it succeeds.", why)
        self._pause = min(max(2 * self._pause, PAUSES[0]), PAUSES[1])
        return self._pause


def archiver_of(huey: Nephew) -> Archiver:
    """An archiver for an instance that has an archive."""
    assert huey.store is not None
    return Archiver(cast("RedisBackend", huey.backend), huey.store, Pruner(huey, where=huey.store), huey.settings)
