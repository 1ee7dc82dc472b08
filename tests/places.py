"""Where a backend keeps its jobs, in turn."""

from __future__ import annotations

from typing import Any

import pytest

#: The backends that are databases, where jobs are rows and may belong to a transaction; and all of them.
DATABASES = ("sqlite", "postgres")
BACKENDS = (*DATABASES, "redis")


def on(*places: str) -> Any:
    """A fixture, to be given a name: the URL of each of these places. Each test that asks for it runs once on each."""

    @pytest.fixture(params=places)
    def place(request: pytest.FixtureRequest) -> str:
        return "memory://" if request.param == "memory" else str(request.getfixturevalue(f"{request.param}_url"))

    return place
