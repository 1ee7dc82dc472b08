"""How a backend wakes those who wait. Part of the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod


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


class Doorbell(Watcher):
    """Tells one idle worker of work."""

    @abstractmethod
    def hang_up(self) -> bool:
        """Be called no more until the next `fileno`; whether a call came that was not answered."""
