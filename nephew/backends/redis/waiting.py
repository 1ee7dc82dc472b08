"""Jobs that wait: moved when they are due, changed, parked, and put back."""

from __future__ import annotations

from collections.abc import Sequence

from nephew.backends.records import Change, NewJob
from nephew.backends.redis import packing
from nephew.backends.redis.queue import Queue

#: The most jobs moved in one step.
PROMOTED = 500
#: The most steps in one call: whoever moves jobs has ticks to write as well.
STEPS = 20


class Waiting(Queue):
    """The jobs that nobody holds."""

    def add_scheduled(self, job: NewJob) -> None:
        """Store a job in the schedule; see the contract."""
        self.run("add_scheduled", *packing.new_job(job), tells=True)

    def promote(self, now: float | None = None) -> int:
        """Move due jobs to the queue; see the contract."""
        moment = self.now() if now is None else now
        total = 0
        for _ in range(STEPS):
            moved = int(self.run("promote", moment, PROMOTED))
            total += moved
            if moved < PROMOTED:
                break
        return total

    def next_due(self) -> float | None:
        """When the next scheduled job is due; see the contract."""
        eta = self.run("next_due")
        return None if eta is None else float(eta)

    def parked(self, after: int = 0, limit: int = 100) -> list[tuple[int, str, str]]:
        """Parked jobs behind a place; see the contract."""
        found = self.run("parked", after, limit)
        return [(int(place), *(text.decode(errors="replace") for text in texts)) for place, *texts in found]

    def unpark(self, ids: Sequence[str]) -> int:
        """Put parked jobs back; see the contract."""
        return int(self.run("unpark", *ids))

    def requeue(self, job_id: str) -> bool:
        """Run an ended job again; see the contract."""
        return bool(self.run("requeue", job_id))

    def change(self, job_id: str, change: Change) -> bool:
        """Change a waiting job; see the contract."""
        values = (change.priority, change.queue, change.eta, change.expires_at)
        return bool(self.run("change", job_id, *("" if value is None else value for value in values)))

    def expired(self, limit: int = 100) -> list[str]:
        """Waiting jobs that have expired; see the contract."""
        return [job_id.decode() for job_id in self.run("expired", limit)]
