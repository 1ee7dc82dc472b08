"""Ticks that a store that was away, or a timekeeper that died, must not lose."""

from __future__ import annotations

import datetime as dt
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nephew import Nephew, cron, failpoints
from nephew.backends.contract import Backend
from nephew.bell import ThreadBell
from nephew.errors import BackendError
from nephew.scheduler import LONGEST, Scheduler
from tests.contract.jobs import job
from tests.failpoints import Failpoints

#: A moment in the past, on the full hour.
NOON = 1772366400.0


class Clock:
    """The time that a timekeeper goes by, set by the test."""

    def __init__(self) -> None:
        self.now = NOON - 20

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def points(tmp_path: Path) -> Iterator[Failpoints]:
    """This process as one that was started with failpoints."""
    failpoints.armed = str(tmp_path / "points")
    yield Failpoints(tmp_path / "points")
    failpoints.armed = ""


@pytest.fixture
def hourly(huey: Nephew) -> str:
    """A schedule that is due at noon; its name."""
    huey.periodic_task(cron("0 * * * *"), name="hourly")(lambda: None)
    ((name, _),) = huey.schedules()
    return name


def timekeeper(huey: Nephew, clock: Clock) -> Scheduler:
    return Scheduler(huey, threading.Event(), 1, True, ThreadBell(), now=clock)


def test_the_last_tick_of_a_schedule_is_known(backend: Backend):
    before = backend.last_tick("nightly")
    for due in (100.0, 300.0, 200.0):
        backend.tick("nightly", due, job())
    backend.tick("hourly", 900.0, job())

    assert (before, backend.last_tick("nightly")) == (None, 300.0)


def test_a_tick_that_came_due_while_the_store_was_away_is_written_later(
    huey: Nephew, hourly: str, clock: Clock, points: Failpoints
):
    keeper = timekeeper(huey, clock)
    keeper.write_ticks()
    clock.now = NOON + 1

    for _ in range(3):
        points.lose("before-tick")
        with pytest.raises(BackendError):
            keeper.write_ticks()
    clock.now = NOON + 300

    assert (keeper.write_ticks(), keeper.write_ticks()) == (1, 0)
    assert huey.backend.last_tick(hourly) == NOON


def test_a_tick_whose_reply_was_lost_is_not_written_twice(huey: Nephew, hourly: str, clock: Clock, points: Failpoints):
    keeper = timekeeper(huey, clock)
    keeper.write_ticks()
    clock.now = NOON + 1
    points.lose("tick-written")

    with pytest.raises(BackendError):
        keeper.write_ticks()

    assert (keeper.write_ticks(), huey.backend.last_tick(hourly), len(huey.jobs())) == (0, NOON, 1)


@pytest.mark.usefixtures("hourly")
def test_a_tick_that_cannot_be_written_is_not_tried_in_a_rush(huey: Nephew, clock: Clock, points: Failpoints):
    keeper = timekeeper(huey, clock)
    keeper.write_ticks()
    clock.now = NOON + 1
    assert keeper._until_next() == 0.0
    points.lose("before-tick")

    keeper._try("write ticks", keeper.write_ticks)

    assert keeper._until_next() == LONGEST


def test_a_schedule_that_fails_does_not_keep_the_others_from_their_ticks(
    huey: Nephew, clock: Clock, caplog: pytest.LogCaptureFixture
):
    huey.periodic_task(cron("0 * * * *"), name="broken", unique=lambda: 1 // 0)(lambda: None)
    huey.periodic_task(cron("0 * * * *"), name="hourly")(lambda: None)
    keeper = timekeeper(huey, clock)
    keeper.write_ticks()
    clock.now = NOON + 1
    caplog.set_level(logging.ERROR)

    assert (keeper.write_ticks(), keeper.write_ticks()) == (1, 0)
    assert caplog.text.count(".broken could not be enqueued") == 1


def test_a_timekeeper_that_dies_just_before_a_tick_loses_none(huey: Nephew, hourly: str, clock: Clock):
    huey.enqueue_tick(hourly, dt.datetime.fromtimestamp(NOON - 3600, dt.UTC))
    timekeeper(huey, clock).write_ticks()

    clock.now = NOON + 5
    successor = timekeeper(huey, clock)

    assert (successor.write_ticks(), timekeeper(huey, clock).write_ticks()) == (1, 0)
    assert huey.backend.last_tick(hourly) == NOON


def test_what_was_due_long_before_the_timekeeper_came_is_not_made_up_for(huey: Nephew, hourly: str, clock: Clock):
    huey.enqueue_tick(hourly, dt.datetime.fromtimestamp(NOON - 3600, dt.UTC))
    clock.now = NOON + 300

    assert timekeeper(huey, clock).write_ticks() == 0


@pytest.mark.usefixtures("hourly")
def test_a_new_schedule_starts_now(huey: Nephew, clock: Clock):
    clock.now = NOON + 5

    assert timekeeper(huey, clock).write_ticks() == 0
