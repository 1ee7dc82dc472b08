"""Finished jobs whose outcomes are not settled yet, of one process; settled together, oldest first."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from nephew.backends.records import Outcome, Settled
from nephew.endings import Finished, refused
from nephew.errors import Refused

log = logging.getLogger("huey.nephew.ledger")

#: More outcomes than this are not left waiting for their age.
FULL = 128
#: A settle begins at this share of the age that no outcome may reach, for it takes its time as well.
EARLY = 0.6
#: The most outcomes in one settle.
BATCH = 500


class Entry:
    """A finished job on its way to be settled; `lost` when its claim had been taken over."""

    __slots__ = ("enqueued", "finished", "lost", "settled")

    def __init__(self, finished: Finished) -> None:
        self.finished = finished
        self.settled = False
        self.lost = False
        self.enqueued: tuple[str, ...] = ()


class Ledger:
    """Collects outcomes and settles them in batches. Any thread may add and flush."""

    def __init__(
        self,
        settle: Callable[[Sequence[Outcome]], Settled],
        within: float = 0.01,
        overruled: Callable[[Finished, str], Finished] = lambda finished, reason: finished,
    ) -> None:
        """
        :param within: seconds after which no outcome should be waiting any more.
        :param overruled: what a job comes to that ended though somebody had asked for its end, and why.
        """
        self._settle, self._overruled = settle, overruled
        self.within = within * EARLY
        self._pending: list[Entry] = []
        self._batch: list[Entry] = []
        self._oldest: float | None = None
        self._adding = threading.Lock()
        self._flushing = threading.Lock()

    def __len__(self) -> int:
        return len(self._pending) + len(self._batch)

    def add(self, finished: Finished) -> Entry:
        """Take a finished job in; it will be settled by the next flush, unless it is already."""
        entry = Entry(finished)
        if finished.reply is not None:
            self._close(entry, finished.reply)
            return entry
        with self._adding:
            if self._oldest is None:
                self._oldest = time.monotonic()
            self._pending.append(entry)
        return entry

    def age(self) -> float:
        """Seconds since the oldest of them finished; 0.0 when there is none."""
        oldest = self._oldest
        if self._batch:
            return float("inf")
        return 0.0 if oldest is None else time.monotonic() - oldest

    def is_due(self) -> bool:
        """Whether the oldest has waited long enough."""
        return self.age() >= self.within

    def is_full(self) -> bool:
        """Whether so many wait that they should be settled now."""
        return len(self._pending) >= FULL

    def flush(self) -> None:
        """Settle all that wait. Whoever comes while another flushes finds its own settled with it.

        :raises BackendError: when the store cannot be reached; nothing is forgotten, the next flush tries again.
        """
        with self._flushing:
            while batch := self._next_batch():
                try:
                    self._settle_batch(batch)
                except Refused as error:
                    self._settle_one_by_one(batch, error)
                self._batch = []

    def _settle_batch(self, batch: Sequence[Entry]) -> None:
        firsts: dict[tuple[int, int], Entry] = {}
        for entry in batch:  # a claim ends once, however many ends it is given
            if not entry.settled:
                firsts.setdefault(_claim_of(entry), entry)
        reply = self._settle([entry.finished.outcome for entry in firsts.values()])
        for key, first in firsts.items():
            if key not in reply.stopped:
                self._close(first, reply)
        stopped = [firsts[key] for key in reply.stopped]
        for entry in batch:
            if not entry.settled and entry not in stopped:
                self._close(entry, Settled({_claim_of(entry): None}, ()))
        for key in reply.stopped:
            firsts[key].finished = self._overruled(firsts[key].finished, reply.stopped[key])
        if stopped:
            self._settle_batch(stopped)

    def _settle_one_by_one(self, batch: Sequence[Entry], error: Refused) -> None:
        """Something in a batch is not taken: settle the others, and end that one without it."""
        for entry in batch:
            for finished in (entry.finished, *refused(entry.finished, error)):
                entry.finished = finished
                try:
                    self._settle_batch([entry])
                    break
                except Refused as again:
                    log.error("The end of job %s is not taken by the store: %s", finished.outcome.id, again)

    def _next_batch(self) -> list[Entry]:
        # A batch without an answer may have been applied: it is repeated unchanged, before anything else.
        if not self._batch:
            with self._adding:
                self._batch, self._pending = self._pending[:BATCH], self._pending[BATCH:]
                self._oldest = time.monotonic() if self._pending else None
        return self._batch

    def _close(self, entry: Entry, reply: Settled) -> None:
        outcome = entry.finished.outcome
        key = _claim_of(entry)
        entry.lost, entry.enqueued, entry.settled = key in reply.lost, reply.enqueued, True
        if entry.lost:
            holder = reply.lost[key]
            log.warning(
                "Job %s ended as %s, but its claim %d had been taken over %s: that end is dropped, "
                "the run that replaced it stands.",
                outcome.id,
                outcome.state,
                outcome.claim,
                "and given up" if holder is None else f"by claim {holder.claim} of worker {holder.worker}",
            )


def _claim_of(entry: Entry) -> tuple[int, int]:
    return entry.finished.outcome.seq, entry.finished.outcome.claim
