"""Finished jobs whose outcomes are not settled yet, of one process; settled together, oldest first."""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections import deque
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
    """A finished job on its way to be settled.

    :ivar since: when it came to its end (monotonic seconds).
    :ivar reply: what the store answered once it was settled.
    """

    __slots__ = ("finished", "reply", "since")

    def __init__(self, finished: Finished) -> None:
        self.finished = finished
        self.since = time.monotonic()
        self.reply: Settled | None = None

    @property
    def claim(self) -> tuple[int, int]:
        """Its claim, as answers of the store name it."""
        return self.finished.outcome.seq, self.finished.outcome.claim

    @property
    def settled(self) -> bool:
        """Whether its end stands, or was dropped."""
        return self.reply is not None

    @property
    def lost(self) -> bool:
        """Whether its claim had been taken over, so that its end was dropped."""
        return self.reply is not None and self.claim in self.reply.lost

    @property
    def enqueued(self) -> tuple[str, ...]:
        """The jobs that followed from it, and from those that were settled with it."""
        return () if self.reply is None else self.reply.enqueued


class Batch:
    """Finished jobs that are settled in one step.

    :ivar firsts: each claim's first end, which counts: a claim ends once, however many ends it is given.
    :ivar outcomes: what is settled.
    :ivar answer: what waits for the store's answer, and `sent` since when (monotonic seconds); None: it was not sent.
    """

    __slots__ = ("answer", "entries", "firsts", "outcomes", "sent")

    def __init__(self, entries: Sequence[Entry]) -> None:
        self.entries = entries
        self.firsts: dict[tuple[int, int], Entry] = {}
        for entry in entries:
            if entry.reply is None:
                outcome = entry.finished.outcome
                self.firsts.setdefault((outcome.seq, outcome.claim), entry)
        self.outcomes = [entry.finished.outcome for entry in self.firsts.values()]
        self.answer: Callable[[], Settled] | None = None
        self.sent = 0.0

    def close(self, reply: Settled) -> None:
        """Note what the store has answered."""
        for key, first in self.firsts.items():
            if key not in reply.stopped:
                first.reply = reply
        for key in reply.lost:
            _report_lost(self.firsts[key])
        if len(self.firsts) < len(self.entries):
            self._drop_seconds()

    def _drop_seconds(self) -> None:
        for entry in self.entries:
            if entry.reply is None and self.firsts[entry.claim] is not entry:
                entry.reply = Settled({entry.claim: None}, ())
                _report_lost(entry)


class Ledger:
    """Collects outcomes and settles them in batches. Any thread may add and flush."""

    def __init__(
        self,
        settle: Callable[[Sequence[Outcome]], Settled],
        within: float = 0.01,
        overruled: Callable[[Finished, str], Finished] = lambda finished, reason: finished,
        settle_ahead: Callable[[Sequence[Outcome]], Callable[[], Settled] | None] = lambda outcomes: None,
    ) -> None:
        """
        :param settle: has the store apply outcomes.
        :param within: seconds after which no outcome should be waiting any more.
        :param overruled: what a job comes to that ended though somebody had asked for its end, and why.
        :param settle_ahead: sends outcomes; what it returns waits for the answer. None: `settle` has to do.
        """
        self._settle, self._settle_ahead, self._overruled = settle, settle_ahead, overruled
        self.within = within * EARLY
        #: Appended to on the right and taken from on the left, each in one step of the interpreter.
        self._pending: deque[Entry] = deque()
        #: What was taken from there and is not answered yet.
        self._batch: Batch | None = None
        self._flushing = threading.Lock()

    def __len__(self) -> int:
        batch = self._batch
        return len(self._pending) + (0 if batch is None else len(batch.entries))

    def add(self, finished: Finished) -> Entry:
        """Take a finished job in; it will be settled by the next flush, unless it is already."""
        entry = Entry(finished)
        if finished.reply is None:
            self._pending.append(entry)
        else:
            entry.reply = finished.reply
            if entry.lost:
                _report_lost(entry)
        return entry

    def age(self, now: float | None = None) -> float:
        """Seconds since the oldest of them finished, or was sent; 0.0 when there is none.

        :param now: in monotonic seconds.
        """
        now = time.monotonic() if now is None else now
        batch = self._batch
        if batch is not None:
            return math.inf if batch.answer is None else now - batch.sent
        try:
            return now - self._pending[0].since
        except IndexError:
            return 0.0

    def is_due(self, now: float | None = None) -> bool:
        """Whether the oldest has waited long enough, or so many wait that they should be settled now."""
        return len(self._pending) >= FULL or self.age(now) >= self.within

    def flush(self) -> None:
        """Settle all that wait. Whoever comes while another flushes finds its own settled with it.

        :raises BackendError: when the store cannot be reached; nothing is forgotten, the next flush tries again.
        """
        with self._flushing:
            self._finish()
            while self._take():
                self._finish()

    def send(self) -> None:
        """The same, but the answer to the last step may come later, where the store can do that.

        :raises BackendError: as `flush` does.
        """
        with self._flushing:
            self._finish()
            while batch := self._take():
                if not self._pending and self._sent_ahead(batch):
                    break
                self._finish()

    def _take(self) -> Batch | None:
        """The next of those that wait."""
        pending = self._pending
        if pending:
            self._batch = Batch([pending.popleft() for _ in range(min(len(pending), BATCH))])
        return self._batch

    def _sent_ahead(self, batch: Batch) -> bool:
        with contextlib.suppress(Refused):  # it will be again, and is dealt with then
            batch.answer, batch.sent = self._settle_ahead(batch.outcomes), time.monotonic()
        return batch.answer is not None

    def _finish(self) -> None:
        """Settle what was taken. Without an answer a step may have been applied: it is repeated unchanged."""
        while (batch := self._batch) is not None:
            try:
                self._batch = self._settled(batch)
            except Refused as error:
                self._settle_one_by_one(batch, error)

    def _settled(self, batch: Batch) -> Batch | None:
        """Have a batch settled; what is to be settled instead of those whose end somebody had asked for."""
        answer, batch.answer = batch.answer, None
        reply = self._settle(batch.outcomes) if answer is None else answer()
        batch.close(reply)
        for key, reason in reply.stopped.items():
            stopped = batch.firsts[key]
            stopped.finished = self._overruled(stopped.finished, reason)
        return Batch([batch.firsts[key] for key in reply.stopped]) if reply.stopped else None

    def _settle_one_by_one(self, batch: Batch, error: Refused) -> None:
        """Something in a batch is not taken: settle the others, and end that one without it."""
        left = [entry for entry in batch.entries if entry.reply is None]
        self._pending.extendleft(reversed(left))  # where the next flush finds them, should a step not be answered
        for _ in left:
            self._settle_alone(self._pending.popleft(), error)
        self._batch = None

    def _settle_alone(self, entry: Entry, error: Refused) -> None:
        for finished in (entry.finished, *refused(entry.finished, error)):
            entry.finished = finished
            self._batch = Batch([entry])
            try:
                while self._batch is not None:
                    self._batch = self._settled(self._batch)
                return
            except Refused as again:
                log.error("The end of job %s is not taken by the store: %s", finished.outcome.id, again)


def _report_lost(entry: Entry) -> None:
    assert entry.reply is not None
    outcome, holder = entry.finished.outcome, entry.reply.lost[entry.claim]
    log.warning(
        "Job %s ended as %s, but its claim %d had been taken over %s: that end is dropped, "
        "the run that replaced it stands.",
        outcome.id,
        outcome.state,
        outcome.claim,
        "and given up" if holder is None else f"by claim {holder.claim} of worker {holder.worker}",
    )
