"""Ticks that a store that was away, or a timekeeper that died, must not lose."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nephew import Nephew, cron, every, failpoints
from nephew.errors import BackendError
from nephew.scheduler import LONGEST
from nephew.ticker import Ticker
from tests.contract.crowd import at_once
from tests.contract.timekeeping import HOUR, NOON, Clock, at, rows, ticker, timekeeper, write
from tests.failpoints import Failpoints


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
def keeper(huey: Nephew, clock: Clock) -> Ticker:
    """It looks after a schedule that is due at noon."""
    huey.periodic_task(cron("0 * * * *"), name="hourly")(lambda: None)
    return ticker(huey, clock)


def test_a_tick_that_came_due_while_the_store_was_away_is_written_later(
    huey: Nephew, keeper: Ticker, clock: Clock, points: Failpoints
):
    clock.now = NOON + 1

    for _ in range(3):
        points.lose("before-tick")
        with pytest.raises(BackendError):
            keeper.write()
    clock.now = NOON + 300
    write(keeper)

    assert rows(huey) == [(0, "enqueued")]


def test_a_tick_whose_reply_was_lost_is_not_written_twice(
    huey: Nephew, keeper: Ticker, clock: Clock, points: Failpoints
):
    clock.now = NOON + 1
    points.lose("tick-written")

    with pytest.raises(BackendError):
        keeper.write()
    write(keeper)

    assert (rows(huey), len(huey.jobs())) == ([(0, "enqueued")], 1)


def test_a_tick_that_cannot_be_written_is_not_tried_in_a_rush(huey: Nephew, clock: Clock, points: Failpoints):
    huey.periodic_task(cron("0 * * * *"), name="hourly")(lambda: None)
    keeper = timekeeper(huey, clock)
    keeper.ticker.write()
    clock.now = NOON + 1
    assert keeper._until_next() == 0.0
    points.lose("before-tick")

    keeper._try("write ticks", keeper.ticker.write)

    assert keeper._until_next() == LONGEST


def test_a_schedule_that_fails_does_not_keep_the_others_from_their_ticks(
    huey: Nephew, clock: Clock, caplog: pytest.LogCaptureFixture
):
    huey.periodic_task(cron("0 * * * *"), name="broken", unique=lambda: 1 // 0)(lambda: None)
    huey.periodic_task(cron("0 * * * *"), name="hourly")(lambda: None)
    keeper = ticker(huey, clock)
    clock.now = NOON + 1
    caplog.set_level(logging.ERROR)

    write(keeper, keeper)

    assert (rows(huey), rows(huey, "broken")) == ([(0, "enqueued")], [(0, "skipped")])
    assert caplog.text.count(".broken has no job") == 1


@pytest.mark.usefixtures("keeper")
def test_a_timekeeper_that_dies_just_before_a_tick_loses_none(huey: Nephew, clock: Clock):
    clock.now = NOON + 5

    ticker(huey, clock)
    ticker(huey, clock)

    assert rows(huey) == [(0, "enqueued")]


def test_one_that_slept_while_others_decided_finds_what_they_left(huey: Nephew, keeper: Ticker, clock: Clock):
    clock.now = NOON + 5
    other = ticker(huey, clock)
    clock.now = NOON + HOUR
    write(other)
    huey.backend.claim(huey.worker.number, huey.worker.next_claim(), 1)

    clock.now = NOON + 2 * HOUR
    write(keeper, other)

    assert [due for due, _ in rows(huey)] == [0, HOUR, 2 * HOUR]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_schedulers_that_come_and_are_killed_decide_each_due_time_once(
    make_huey: Callable[..., Nephew], count: int, points: Failpoints
):
    """One that dies before or after a step is replaced by one that knows what is in the store, and nothing else."""
    clock, chance = Clock(), random.Random(count)
    schedules = {"a": every(seconds=7), "b": every(seconds=10, jitter=8), "c": cron("*/10 * * * * *")}
    instances = [make_huey() for _ in range(count)]
    for huey in instances:
        for name, schedule in schedules.items():
            huey.periodic_task(schedule, name=name, catch_up="all", overlap="allow")(lambda: None)
    start, tickers = clock.now, [ticker(huey, clock) for huey in instances]

    def look(index: int) -> None:
        try:
            tickers[index].write()
        except BackendError:
            tickers[index] = Ticker(instances[index], clock)
        instances[index].backend.close()

    for _ in range(8):
        clock.now += chance.uniform(1, 12)
        points.lose(chance.choice(("before-tick", "tick-written")))
        at_once(instances[0].backend, count, look)
    for place in ("before-tick", "tick-written"):
        points.disarm(place)
    write(*tickers)

    for name in schedules:
        plan = instances[0].schedules.get(name)
        dues = [due.timestamp() - NOON for due in plan.schedule.between(at(start), at(clock.now))]
        assert rows(instances[0], name) == [(due, "enqueued") for due in dues]
        jobs = {tick.job for tick in instances[0].schedules.ticks(name, 1000)}
        assert len(jobs) == len(dues) == len(instances[0].jobs(task=f"{__name__}.{name}"))
