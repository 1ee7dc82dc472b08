"""What all tests share: servers, backends to run against, the check that a test leaves nothing running."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests import matrix, visits
from tests.leftovers import Watch
from tests.places import BACKENDS, on
from tests.servers import PostgresServer, RedisServer

#: A developer's own settings must not change what is tested.
APPLICATION_SETTINGS = ("DATABASE_URL", "REDIS_URL", "REDIS_HOST", "REDIS_PORT", "REDIS_PASSWORD", "SMTP_URL")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run at full size, the tests marked `long` included")
    parser.addoption("--soak", metavar="MINUTES", type=float, help="how long the soak is on each backend")


def pytest_configure(config: pytest.Config) -> None:
    for setting in [*APPLICATION_SETTINGS, *(name for name in os.environ if name.startswith("NEPHEW_"))]:
        os.environ.pop(setting, None)

    # No deadline: on a busy machine it fails at random. CI repeats its examples, a long run tries new ones.
    hypothesis.settings.register_profile("short", deadline=None, derandomize="CI" in os.environ)
    hypothesis.settings.register_profile("long", deadline=None, max_examples=5000)
    hypothesis.settings.load_profile("long" if config.getoption("long") else "short")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """More than there are cores, since most tests wait; at full size one at a time, for what is measured there."""
    return 0 if config.getoption("long") or config.getoption("soak") else (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="runs with --long"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """After a complete kill matrix its table is written into the documentation."""
    stats = terminalreporter.stats
    broken = {report.nodeid for report in [*stats.get("failed", []), *stats.get("error", [])]}
    reports = [report for report in stats.get("passed", []) if report.nodeid not in broken]
    cells = dict(matrix.passed(entry for report in reports for entry in report.user_properties))
    if matrix.write(cells):
        terminalreporter.write_line(f"the kill matrix was written into {matrix.GUARANTEES}")


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Reports travel between processes as UTF-8, which has no lone surrogates; what a test prints may have."""
    return json.loads(json.dumps((yield), ensure_ascii=False).encode(errors="replace"))


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """Fails a test, naming them, that leaves threads or processes behind."""
    watch = Watch()

    yield

    try:
        watch.assert_nothing_left()
    except AssertionError as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session")
def long(pytestconfig: pytest.Config) -> bool:
    """Whether to run at full size."""
    return bool(pytestconfig.getoption("long"))


@pytest.fixture
def name() -> str:
    """A name for an instance that no other test has: in one database they do not see each other's work."""
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL of our own for the whole run. A test that stops it has to start it again."""
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def redis() -> Iterator[RedisServer]:
    """A Redis of our own for the whole run."""
    server = RedisServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'nephew.db'}"  # the check of the books finds each file in this folder


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> str:
    visits.opened(postgres.url)
    return postgres.url


@pytest.fixture
def redis_url(redis: RedisServer) -> str:
    visits.opened(redis.url)
    return redis.url


backend_url = on(*BACKENDS)
