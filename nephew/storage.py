"""Huey's storage interface (raw bytes in and out) over a backend. Nothing else speaks it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from huey.constants import EmptyData
from huey.registry import Message
from huey.storage import BaseStorage

from nephew import clock
from nephew.backends.records import Filter, NewJob
from nephew.job import new_id

if TYPE_CHECKING:
    from nephew.instance import Nephew


class Storage(BaseStorage):
    """What Huey and its tests call `huey.storage`."""

    blocking = False
    priority = True

    def __init__(self, huey: Nephew) -> None:
        super().__init__(huey.name)
        self._huey = huey

    def close(self) -> bool:
        """Close the calling thread's connection."""
        self._huey.close_before_fork()
        return True

    # -- queue --------------------------------------------------------------------------------------
    def enqueue(self, data: bytes, priority: float | None = None) -> None:
        """Store a message."""
        self._huey.backend.enqueue([self._job(data, priority, None)])

    def _job(self, data: bytes, priority: float | None, eta: float | None) -> NewJob:
        try:
            message: Any = self._huey.serializer.deserialize(data)
        except Exception:  # any bytes may be stored; what cannot be read is parked when it is claimed
            message = None
        if isinstance(message, Message):
            return NewJob(message.id, message.name, "default", data, float(priority or 0), eta)
        return NewJob(new_id(), "", "default", data, float(priority or 0), eta)

    def dequeue(self) -> bytes | None:
        """Take the next message out for good."""
        worker = self._huey.worker
        for claimed in worker.claim(worker.next_claim(), 1):
            self._huey.backend.delete_jobs([claimed.id])
            return claimed.payload
        return None

    def _waiting(self, states: tuple[str, ...], limit: int | None) -> list[bytes]:
        rows = self._huey.backend.rows(Filter(states), limit=limit, oldest_first=True)
        return [row.payload for row in rows if row.worker is None]

    def enqueued_items(self, limit: int | None = None) -> list[bytes]:
        """The next messages, left where they are."""
        return self._waiting(("queued",), limit)

    def queue_size(self) -> int:
        """How many messages wait for a worker."""
        return self._huey.backend.waiting_count()

    def flush_queue(self) -> None:
        """Delete all waiting messages."""
        self._huey.backend.flush("queue")

    # -- schedule -----------------------------------------------------------------------------------
    def add_to_schedule(self, data: bytes, ts: dt.datetime) -> None:
        """Store a message for later."""
        eta = clock.to_epoch(ts, self._huey.utc) or 0.0
        self._huey.backend.add_scheduled(self._job(data, None, eta))

    def read_schedule(self, ts: dt.datetime) -> list[bytes]:
        """Take out for good what is due at `ts`."""
        moment = clock.to_epoch(ts, self._huey.utc) or 0.0
        due = [
            row
            for row in self._huey.backend.rows(Filter(("scheduled", "retrying")), limit=None, oldest_first=True)
            if row.eta is not None and row.eta <= moment
        ]
        self._huey.backend.delete_jobs([row.id for row in due])
        return [row.payload for row in due]

    def schedule_size(self) -> int:
        """How many messages wait for their time."""
        counts = self._huey.backend.counts()
        return counts.get("scheduled", 0) + counts.get("retrying", 0)

    def scheduled_items(self, limit: int | None = None) -> list[bytes]:
        """Scheduled messages, soonest first, left where they are."""
        return self._waiting(("scheduled", "retrying"), limit)

    def flush_schedule(self) -> None:
        """Delete all scheduled messages."""
        self._huey.backend.flush("schedule")

    # -- data ---------------------------------------------------------------------------------------
    def put_data(self, key: Any, value: bytes, is_result: bool = False) -> None:
        """Store a value."""
        self._huey.backend.put(_text(key), value)

    def peek_data(self, key: Any) -> Any:
        """Read a value; `EmptyData` when there is none."""
        return self._huey.backend.peek([_text(key)]).get(_text(key), EmptyData)

    def peek_many(self, keys: list[Any]) -> dict[Any, bytes]:
        """Read values."""
        found = self._huey.backend.peek([_text(key) for key in keys])
        return {key: found[_text(key)] for key in keys if _text(key) in found}

    def pop_data(self, key: Any) -> Any:
        """Read a value and delete it."""
        found = self._huey.backend.pop(_text(key))
        return EmptyData if found is None else found

    def has_data_for_key(self, key: Any) -> bool:
        """Whether there is a value."""
        return self.peek_data(key) is not EmptyData

    def put_if_empty(self, key: Any, value: bytes, ttl: float | None = None) -> bool:
        """Store a value under a free key; whether it was."""
        return self._huey.backend.put_new(_text(key), value, ttl)

    def wait_result(
        self, key: Any, timeout: float | None = None, backoff: float = 1.15, max_delay: float = 1.0
    ) -> bool:
        """Wait until a job has ended or a value is there; whether it is."""
        job_id = _text(key)
        ended = self._huey.backend.ended([job_id])
        return bool(ended) or not self._huey.waiting_room.wait([job_id], timeout, max_delay)

    def incr(self, key: Any, amount: int = 1) -> int:
        """Change a counter; its new value."""
        return self._huey.backend.add(_text(key), amount)

    def delete_counter(self, key: Any) -> None:
        """Forget a counter."""
        self._huey.backend.drop_counter(_text(key))

    def result_store_size(self) -> int:
        """How many values and results are kept."""
        return len(self._huey.backend.items())

    def result_items(self) -> dict[str, bytes]:
        """All values and results."""
        return self._huey.backend.items()

    def flush_results(self) -> None:
        """Delete all values and results."""
        self._huey.backend.flush("results")

    def flush_counters(self) -> None:
        """Delete all counters."""
        self._huey.backend.flush("counters")


def _text(key: Any) -> str:
    return key.decode() if isinstance(key, bytes) else str(key)
