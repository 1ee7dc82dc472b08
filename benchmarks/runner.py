"""What an adapter has to say and do, so that every runner is measured in the same way."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class About:
    """What has to be known to judge a runner's figures."""

    #: Its name in the table.
    title: str
    #: How its workers are started.
    worker: str
    #: What it acknowledges, and when.
    acknowledges: str
    #: What it keeps of a finished job.
    keeps: str
    #: What a power cut may take.
    durability: str
    #: How the bulk enqueue is done.
    bulk: str
    #: The versions of the packages that take part.
    versions: dict[str, str]

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


class Runner(ABC):
    """One job runner, seen from the application that uses it."""

    about: About

    @abstractmethod
    def enqueue(self, number: int) -> object:
        """Enqueue the no-op job of this number as applications do; returns its handle."""

    @abstractmethod
    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """Enqueue many no-op jobs in the fastest way that the runner documents."""

    @abstractmethod
    def await_result(self, handle: object, seconds: float) -> object:
        """Wait for a job's result as applications do."""

    @abstractmethod
    def commands(self, workers: int) -> list[list[str]]:
        """The commands that start consumers with so many worker processes in all."""

    @abstractmethod
    def waiting(self) -> int:
        """How many jobs have not been taken."""

    @abstractmethod
    def kept(self) -> int:
        """How many results the store holds."""
