"""Jobs that expire while they wait: ended by the scheduler, in whatever queue they are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from huey import signals as S

from nephew import clock, endings, execution
from nephew.backends.records import Claimed
from nephew.endings import Finished
from nephew.errors import NephewError
from nephew.job import State
from nephew.logs import claim_extra
from nephew.message import decode

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.expiry")

#: The most jobs ended in one step.
BATCH = 100


class Expiry:
    """Ends the jobs of an instance that nobody has begun in time, with all that hangs on them."""

    def __init__(self, huey: Nephew) -> None:
        self.huey = huey
        #: The claim that may have been taken though its reply was lost: asked for again before any other.
        self._unanswered: tuple[int, list[str]] | None = None

    def step(self) -> bool:
        """End some of them and tell whoever listens; whether there may be more."""
        claimed = self._claim()
        ledger = self.huey.worker.ledger
        entries = [ledger.add(self._ended(job)) for job in claimed]
        ledger.flush()
        for entry in entries:
            if not entry.lost:
                execution.tell(self.huey, entry.finished, entry.enqueued)
        return len(claimed) == BATCH

    def _claim(self) -> list[Claimed]:
        worker = self.huey.worker
        if self._unanswered is None:
            ids = self.huey.backend.expired(BATCH)
            if not ids:
                return []
            self._unanswered = worker.next_claim(), ids
        token, ids = self._unanswered
        claimed = worker.claim(token, len(ids), ids=ids)
        self._unanswered = None
        return claimed

    def _ended(self, claimed: Claimed) -> Finished:
        if claimed.expires_at is None or claimed.expires_at >= self.huey.backend.now():
            return self._left(claimed)  # somebody has changed it since it was found
        try:
            task = decode(self.huey, claimed)
        except NephewError as error:
            return endings.unrunnable(claimed, error)  # who can read it ends it with its pipeline
        log.info("Task %s expired while it was waiting.", task, extra=claim_extra(claimed))
        reason = f"expired at {clock.aware(claimed.expires_at):%Y-%m-%d %H:%M:%S} UTC"
        try:
            return endings.not_run(self.huey, claimed, task, State.EXPIRED, reason, S.SIGNAL_EXPIRED, (task.revoke_id,))
        except Exception as error:
            log.exception("Job %s could not be brought to its end; it is failed.", claimed.id)
            return endings.broken(self.huey, claimed, task, error)

    def _left(self, claimed: Claimed) -> Finished:
        """It goes back to where it was."""
        row = self.huey.backend.row(claimed.id)
        outcome = endings.given_back(claimed)
        return Finished(outcome if row is None else outcome._replace(state=State(row.state), eta=row.eta))
