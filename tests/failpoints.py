"""Arming the engine's failpoints: hold a real process at an exact step, or have a reply lost there."""

from __future__ import annotations

from pathlib import Path

from tests.eventually import eventually


class Failpoints:
    """The folder that `NEPHEW_FAILPOINTS` names.

    :ivar variables: what a process has to be started with.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.variables = {"NEPHEW_FAILPOINTS": str(folder)}

    def hold(self, place: str) -> None:
        """Whoever comes to this place next has to wait there."""
        self._arm(place, "hold")

    def lose(self, place: str) -> None:
        """For whoever comes to this place next, the reply is lost."""
        self._arm(place, "lose")

    def _arm(self, place: str, action: str) -> None:
        draft = self._folder / f".{place}"  # nobody is to find a file that is still empty
        draft.write_text(action)
        draft.rename(self._folder / place)

    def is_armed(self, place: str) -> bool:
        """Whether nobody has come there yet."""
        return (self._folder / place).exists()

    def disarm(self, place: str) -> None:
        """Nobody has come there, and nobody is to be held any more."""
        (self._folder / place).unlink(missing_ok=True)

    def await_held(self, place: str, timeout: float = 30) -> int:
        """The process that waits at this place, once one does."""

        def process() -> int:
            held = list(self._folder.glob(f"{place}.*"))
            assert held, f"nobody has come to {place}"
            return int(held[0].suffix[1:])

        return eventually(process, timeout)

    def held_since(self, place: str) -> float:
        """When (epoch seconds) the process came to this place that waits there."""
        (held,) = self._folder.glob(f"{place}.*")
        return held.stat().st_ctime

    def let_go(self, place: str) -> None:
        """The process that waits at this place goes on."""
        for path in self._folder.glob(f"{place}.*"):
            path.unlink(missing_ok=True)

    def await_lost(self, place: str, timeout: float = 30) -> None:
        """Return when the reply was lost."""

        def lost() -> None:
            assert not list(self._folder.glob(f"{place}*")), f"nobody has come to {place}"

        eventually(lost, timeout)
