"""Ended jobs that nobody wants to keep any longer: deleted in small steps, in the order of their places."""

from __future__ import annotations

from collections.abc import Mapping

from nephew.backends.records import Keep
from nephew.backends.sql.history import History


class Pruning(History):
    """The end of the history."""

    def prune(self, keep: Mapping[str, Keep], after: int = 0, limit: int = 500) -> tuple[int, int | None]:
        """Delete what is not to be kept; see the contract."""
        raise NotImplementedError
