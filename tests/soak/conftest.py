"""The places of a soak, and how long it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.places import BACKENDS
from tests.servers import RedisServer
from tests.soak.sites import PostgresSite, RedisSite, Site, SqliteSite

#: Of a run without `--soak`.
SHORT_MINUTES = 0.25


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if "minutes" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(_minutes(config) * 60 + 240))


@pytest.fixture
def minutes(pytestconfig: pytest.Config) -> float:
    """How long a soak is."""
    return _minutes(pytestconfig)


def _minutes(config: pytest.Config) -> float:
    return float(config.getoption("soak") or SHORT_MINUTES)


@pytest.fixture
def durable_redis() -> Iterator[RedisServer]:
    """One that keeps everything when it is restarted, and which nobody else uses."""
    server = RedisServer(settings={"appendonly": "yes"})
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(params=BACKENDS)
def site(request: pytest.FixtureRequest) -> Site:
    """Each place in turn."""
    if request.param == "postgres":
        return PostgresSite(request.getfixturevalue("postgres"))
    if request.param == "redis":
        return RedisSite(request.getfixturevalue("durable_redis"))
    return SqliteSite(request.getfixturevalue("sqlite_url"))
