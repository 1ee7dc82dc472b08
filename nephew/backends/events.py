"""What a backend says of what happens. Part of the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple


class EventRow(NamedTuple):
    """A job came into a state.

    :ivar id: the event's; whoever has seen it reads on behind it.
    :ivar worker: where the job ran.
    :ivar error: what the attempt ended with.
    """

    id: str
    at: float
    job: str
    task: str
    state: str
    worker: str | None
    error: str | None


class EventBatch(NamedTuple):
    """Events that became true together."""

    id: str
    events: tuple[EventRow, ...]


class Events(ABC):
    """What happened, in its order."""

    @abstractmethod
    def latest_event(self) -> str:
        """Behind which id the events are that have not happened yet."""

    @abstractmethod
    def events(self, after: str, limit: int = 100) -> list[EventBatch]:
        """What happened after an event, or after a moment that `latest_event` told; '0': all that is kept.

        :param limit: the most batches.
        """

    @abstractmethod
    def first_event_after_gap(self, after: str) -> str | None:
        """The first event that is kept, if others between it and the one with the id `after` are not; else None.

        '' when none is kept.
        """

    @abstractmethod
    def cut_events(self, most: int) -> bool:
        """Delete some of the oldest events, but for so many; whether there are more to be deleted."""

    @abstractmethod
    def join_group(self, group: str, after: str) -> None:
        """Make a group that reads what happens after an event, unless there is one of that name."""

    @abstractmethod
    def take_events(self, group: str, consumer: str, idle: float, again: bool = False) -> EventBatch | None:
        """The next batch for a consumer of a group, which nobody else of the group gets; None: there is none yet.

        First come those that a consumer has not acknowledged for `idle` seconds.

        :param again: the first batch that this consumer itself took and has not acknowledged.
        """

    @abstractmethod
    def acknowledge(self, group: str, batch: str) -> None:
        """A batch that a group has taken is dealt with."""
