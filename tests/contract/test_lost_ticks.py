"""Ticks that a store that was away, or a timekeeper that died, must not lose."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from typing import Any

import pytest

from nephew import Nephew, cron
from nephew.backends.contract import Backend
from nephew.bell import ThreadBell
from nephew.errors import BackendError
from nephew.scheduler import LONGEST, Scheduler
from tests.contract.jobs import job

#: A moment in the past, on the full hour.
NOON = 1772366400.0


class Clock:
    """The store's time, set by the test."""

    def __init__(self, huey: Nephew, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = NOON - 20
        monkeypatch.setattr(huey.backend, "now", lambda: self.now)


@pytest.fixture
def clock(huey: Nephew, monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(huey, monkeypatch)


@pytest.fixture
def hourly(huey: Nephew) -> str:
    """A schedule that is due at noon; its name."""
    huey.periodic_task(cron("0 * * * *"), name="hourly")(lambda: None)
    ((name, _),) = huey.schedules()
    return name


def timekeeper(huey: Nephew) -> Scheduler:
    return Scheduler(huey, threading.Event(), 1, True, ThreadBell())


def away(*_: Any) -> bool:
    raise BackendError("the store is away")


def test_the_last_tick_of_a_schedule_is_known(backend: Backend):
    before = backend.last_tick("nightly")
    for due in (100.0, 300.0, 200.0):
        backend.tick("nightly", due, job())
    backend.tick("hourly", 900.0, job())

    assert (before, backend.last_tick("nightly")) == (None, 300.0)


def test_a_tick_that_came_due_while_the_store_was_away_is_written_later(
    huey: Nephew, hourly: str, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    keeper = timekeeper(huey)
    keeper.write_ticks()
    clock.now = NOON + 1

    with monkeypatch.context() as patch:
        patch.setattr(huey.backend, "tick", away)
        for _ in range(3):
            with pytest.raises(BackendError):
                keeper.write_ticks()
    clock.now = NOON + 300

    assert (keeper.write_ticks(), keeper.write_ticks()) == (1, 0)
    assert huey.backend.last_tick(hourly) == NOON


@pytest.mark.usefixtures("hourly")
def test_a_tick_that_cannot_be_written_is_not_tried_in_a_rush(
    huey: Nephew, clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    keeper = timekeeper(huey)
    keeper.write_ticks()
    clock.now = NOON + 1
    assert keeper._until_next() == 0.0
    monkeypatch.setattr(huey.backend, "tick", away)

    keeper._try("write ticks", keeper.write_ticks)

    assert keeper._until_next() == LONGEST


def test_a_schedule_that_fails_does_not_keep_the_others_from_their_ticks(
    huey: Nephew, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    for name in ("broken", "hourly"):
        huey.periodic_task(cron("0 * * * *"), name=name)(lambda: None)
    keeper = timekeeper(huey)
    keeper.write_ticks()
    clock.now = NOON + 1
    enqueue = huey.enqueue_tick
    monkeypatch.setattr(huey, "enqueue_tick", lambda name, due: 1 // 0 if "broken" in name else enqueue(name, due))
    caplog.set_level(logging.ERROR)

    assert (keeper.write_ticks(), keeper.write_ticks()) == (1, 0)
    assert caplog.text.count(".broken could not be enqueued") == 1


def test_a_timekeeper_that_dies_just_before_a_tick_loses_none(huey: Nephew, hourly: str, clock: Clock):
    huey.enqueue_tick(hourly, dt.datetime.fromtimestamp(NOON - 3600, dt.UTC))
    timekeeper(huey).write_ticks()

    clock.now = NOON + 5
    successor = timekeeper(huey)

    assert (successor.write_ticks(), timekeeper(huey).write_ticks()) == (1, 0)
    assert huey.backend.last_tick(hourly) == NOON


def test_what_was_due_long_before_the_timekeeper_came_is_not_made_up_for(huey: Nephew, hourly: str, clock: Clock):
    huey.enqueue_tick(hourly, dt.datetime.fromtimestamp(NOON - 3600, dt.UTC))
    clock.now = NOON + 300

    assert timekeeper(huey).write_ticks() == 0


@pytest.mark.usefixtures("hourly")
def test_a_new_schedule_starts_now(huey: Nephew, clock: Clock):
    clock.now = NOON + 5

    assert timekeeper(huey).write_ticks() == 0
