"""A claim on its way: sent before its jobs are needed where the store can do that, else when they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nephew.backends.records import Claimed
from nephew.backends.watcher import Doorbell
from nephew.errors import BackendError, UnknownWorker

if TYPE_CHECKING:
    from nephew.worker import Worker


class Request:
    """One claim of a worker.

    :ivar token: the claim token; its own until it is answered.
    :ivar limit: the most jobs that it takes.
    :ivar waited: it was made to wait for work, so that its answer says what there is now.
    """

    def __init__(self, worker: Worker, limit: int) -> None:
        self._worker, self.limit = worker, limit
        self.token = worker.next_claim()
        self.waited = False
        self._answer: Callable[[], list[Claimed] | None] | None = None

    def send(self) -> bool:
        """Have the store begin with it; False when the store does nothing before it is waited for."""
        try:
            self._answer = self._worker.claim_ahead(self.token, self.limit)
        except BackendError:  # it may have heard it all the same
            return True
        return self._answer is not None

    def wait_at(self, doorbell: Doorbell, seconds: float) -> int | None:
        """Have the store do it once there is work, in `seconds` at the latest; see `Doorbell.ask`."""
        self.waited = True
        descriptor = self._worker.claim_at(doorbell, self.token, self.limit, seconds)
        self._answer = None if descriptor is None else lambda: self._worker.claimed_at(doorbell)
        return descriptor

    def jobs(self) -> list[Claimed]:
        """The jobs that it takes; waits for them.

        :raises BackendError: when the store cannot be reached. It may be asked again, by whichever thread: the store
            gives the jobs that it took.
        """
        answer, self._answer = self._answer, None
        if answer is not None:
            try:
                jobs = answer()
            except UnknownWorker:
                jobs = None  # taken for dead meanwhile; the claim below finds that as well, and signs on anew
            if jobs is not None:
                return jobs
        return self._worker.claim(self.token, self.limit)
