"""Events as they are read: by anybody who says how far he is, or by a group whose members share them."""

from __future__ import annotations

from collections.abc import Sequence

from nephew.backends.events import EventBatch, EventRow
from nephew.backends.records import Ended
from nephew.backends.redis import packing
from nephew.backends.redis.results import Results
from nephew.errors import BackendError, NephewError

#: For how long (seconds) ends that are waited for, and all events, are told of: a few looks of whoever waits.
TOLD_SECONDS = 5


class Events(Results):
    """The stream of events, and who is told of them."""

    def ended(self, ids: Sequence[str], follows: bool = False) -> set[str]:
        """Which of these jobs have ended; see the contract."""
        told = self.run("awaited", TOLD_SECONDS, TOLD_SECONDS if follows else "", *ids)
        return {job_id.decode() for job_id in told}

    def told_of_end(self, job_id: str, seconds: float) -> Ended | None:
        """How a job has ended, or does within so many seconds. The word comes as a token, for all who wait.

        The server looks at its clock ten times a second: it may be so much later that it gives up.
        """
        kept = self.run("expect", job_id, TOLD_SECONDS)
        if kept is None:
            told = self.key("told", job_id)
            kept = self.call("BLMOVE", told, told, "LEFT", "LEFT", seconds)
        return None if kept is None else Ended(packing.ending(kept)[1] if kept else None)

    def latest_event(self) -> str:
        """The id of the latest event; see the contract."""
        found: bytes = self.call("GET", self.key("event")) or b"0"
        return found.decode()

    def events(self, after: str, limit: int = 100) -> list[EventBatch]:
        """What happened; see the contract."""
        seen = _number(after)
        entries = self.call("XRANGE", self.key("events"), f"({seen}-0", "+", "COUNT", limit)
        batches = [_batch(number, values[1], values[3]) for number, values in entries]
        if batches:  # the first one may have been read in part
            unseen = tuple(event for event in batches[0].events if int(event.id) > seen)
            batches[0] = batches[0]._replace(events=unseen)
        return batches

    def first_event_after_gap(self, after: str) -> str | None:
        """The first event that is kept, if some before it are not; see the contract."""
        seen = _number(after)
        if seen == 0:
            return None
        entries = self.call("XRANGE", self.key("events"), "-", "+", "COUNT", 1)
        if entries:
            first = _batch(entries[0][0], *entries[0][1][1::2]).events[0].id
            return first if int(first) > seen + 1 else None
        return "" if int(self.latest_event()) > seen else None

    def cut_events(self, most: int) -> bool:
        """Nothing to do: whoever writes events cuts the oldest; see the contract."""
        return False

    def join_group(self, group: str, after: str) -> None:
        """Make a group; see the contract."""
        try:
            self.call("XGROUP", "CREATE", self.key("events"), group, f"{_number(after)}-0", "MKSTREAM")
        except BackendError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def take_events(self, group: str, consumer: str, idle: float, again: bool = False) -> EventBatch | None:
        """The next batch for a consumer of a group; see the contract."""
        try:
            found = self.run("take_events", group, consumer, int(idle * 1000), "1" if again else "")
        except BackendError as error:
            if "NOGROUP" not in str(error):
                raise
            self.join_group(group, "0")  # the server has lost it, and whatever had been read
            return None
        return _batch(*found) if found else None

    def acknowledge(self, group: str, batch: str) -> None:
        """A batch is dealt with; see the contract."""
        self.call("XACK", self.key("events"), group, batch)


def _number(event_id: str) -> int:
    try:
        return max(int(event_id), 0)
    except ValueError:
        raise NephewError(f"expected the id of an event, a number, got {event_id!r}") from None


def _batch(entry: bytes, at: bytes, of: bytes) -> EventBatch:
    """The events of an entry, whose id is the number of the last of them."""
    told = packing.events(of)
    first = int(entry.partition(b"-")[0]) - len(told) + 1
    moment = float(at)
    rows = (EventRow(str(number), moment, *event) for number, event in enumerate(told, first))
    return EventBatch(entry.decode(), tuple(rows))
