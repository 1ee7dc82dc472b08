"""Huey's own tests, run against Nephew on every backend. What is left out is named, with its reason."""

from __future__ import annotations

import unittest
import uuid
from typing import Any, ClassVar

import huey.tests.base
import huey.tests.test_api
import huey.tests.test_asyncio
import huey.tests.test_consumer
import huey.tests.test_immediate
import huey.tests.test_priority
import huey.tests.test_registry
import huey.tests.test_signals
import huey.tests.test_storage
import huey.tests.test_wrappers
import pytest

from nephew import Nephew
from nephew.consumer import Consumer
from tests.places import BACKENDS

_DELAYED = "expects a delayed call in the queue first; Nephew puts it into the schedule at once"

LEFT_OUT = {
    "TestQueue.test_pending_scheduled_unregistered": _DELAYED,
    "TestQueue.test_reschedule": _DELAYED,
    "TestQueue.test_schedule_s": _DELAYED,
    "TestQueue.test_scheduling": _DELAYED,
    "TestQueue.test_scheduling_expires": _DELAYED,
    "TestDecorators.test_task_id": _DELAYED,
    "TestChordPrimitive.test_chord_scheduling": _DELAYED,
    "TestStorageWrappers.test_storage_wrappers": _DELAYED,
    "TestPriority.test_schedule_priority": _DELAYED,
    "TestSignals.test_signals_simple": _DELAYED,
    "TestChordPrimitive.test_chord_bookkeeping_cleared": "looks inside MemoryStorage (`_counters`)",
    "TestProcessWorkers.test_process_worker_integration": "looks inside SqliteStorage (`_conn`)",
    "TestHueyAPIs.test_flush_named_locks": "makes locks by writing Huey's keys; Nephew's have an owner",
}

SUITES = (
    huey.tests.test_api,
    huey.tests.test_asyncio,
    huey.tests.test_immediate,
    huey.tests.test_priority,
    huey.tests.test_registry,
    huey.tests.test_signals,
    huey.tests.test_wrappers,
)
CONSUMER_CASES = (
    huey.tests.test_consumer.TestConsumerConfig,
    huey.tests.test_consumer.TestConsumerShutdown,
    huey.tests.test_consumer.TestForkSafeFlag,
    huey.tests.test_consumer.TestProcessTimeout,
    huey.tests.test_consumer.TestProcessWorkers,
)
#: Modules in which a test makes its own Huey, and the class it makes it of.
MAKERS = (
    (huey.tests.base, "MemoryHuey"),
    (huey.tests.test_api, "MemoryHuey"),
    (huey.tests.test_immediate, "MemoryHuey"),
    (huey.tests.test_consumer, "SqliteHuey"),
)


class Stand(Nephew):
    """Stands for Huey's classes: the same arguments, on the backend under test."""

    url: ClassVar[str] = ""
    made: ClassVar[list[Nephew]] = []

    def __init__(self, name: str = "huey", filename: str | None = None, **options: Any) -> None:
        super().__init__(f"{name}-{uuid.uuid4().hex}", self.url, results_read_once=True, **options)
        self.made.append(self)


class _OnBackend:
    place: ClassVar[str]
    consumer_class = Consumer

    def tearDown(self) -> None:
        super().tearDown()  # type: ignore[misc]
        while Stand.made:
            Stand.made.pop().stop_consuming()


@pytest.fixture(scope="module")
def sqlite_file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('huey') / 'jobs.db'}"


@pytest.fixture(autouse=True)
def _stands_for_huey(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, sqlite_file: str) -> None:
    for module, name in MAKERS:
        if hasattr(module, name):
            monkeypatch.setattr(module, name, Stand)
    place = getattr(request.cls, "place", "sqlite")
    Stand.url = sqlite_file if place == "sqlite" else request.getfixturevalue(place).url


def _cases() -> list[type[unittest.TestCase]]:
    found: list[type[unittest.TestCase]] = list(CONSUMER_CASES)
    for module in SUITES:
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == module.__name__:
                found.append(value)
    storage = type("TestStorage", (huey.tests.test_storage.StorageTests, huey.tests.base.BaseTestCase), {})
    return [*found, storage]


def _on(case: type[unittest.TestCase], place: str) -> type[unittest.TestCase]:
    """The case on one backend, without what is left out."""
    names = [name for name in LEFT_OUT if name.startswith(f"{case.__name__}.")]
    body: dict[str, Any] = {name.partition(".")[2]: None for name in names}
    return type(f"{case.__name__}On{place.title()}", (_OnBackend, case), {**body, "place": place})


for _case in _cases():
    for _place in BACKENDS:
        _made = _on(_case, _place)
        globals()[_made.__name__] = _made
del _case, _place, _made


def test_what_is_left_out_exists_and_is_little() -> None:
    known = {f"{case.__name__}.{name}" for case in _cases() for name in dir(case)}

    assert set(LEFT_OUT) <= known
    assert len(LEFT_OUT) <= 15
