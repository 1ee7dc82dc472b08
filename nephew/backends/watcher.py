"""How a backend wakes those who wait. Part of the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from nephew.backends.records import Claimed


class Watcher(ABC):
    """Tells a consumer's main loop that something was written, without a thread."""

    #: Seconds between two looks of `changed`; None: wait for `fileno` to be readable.
    interval: float | None

    @abstractmethod
    def fileno(self) -> int | None:
        """A descriptor that becomes readable, if there is one."""

    @abstractmethod
    def changed(self) -> bool:
        """Whether something was written since the last call; never blocks."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds open."""


class Doorbell(ABC):
    """Brings an idle worker its next jobs, as soon as there are some and nobody who has waited longer takes them."""

    @abstractmethod
    def ask(self, worker: int, claim: int, limit: int, queues: Sequence[str], seconds: float) -> int | None:
        """Have the store do a claim once there is work, in `seconds` at the latest; see `Backend.claim`.

        What is returned becomes readable then. None: it cannot be asked now; it may have heard it all the same.
        """

    @abstractmethod
    def jobs(self) -> list[Claimed] | None:
        """What that claim took. None: nothing is known of it, and it is given up; the same claim, repeated, tells."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds open."""
