"""The keeper's promises: a job that begins late is seen, and a worker without a consumer ends in time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nephew import Nephew
from nephew.keeper import LINGER, SHOWN_AFTER, Keeper
from nephew.lane import Lane
from nephew.presence import Presence
from nephew.worker import Worker
from tests.eventually import eventually


@pytest.fixture
def huey(sqlite_url: str, name: str) -> Iterator[Nephew]:
    huey = Nephew(name, sqlite_url)
    yield huey
    huey.sign_off()
    huey.backend.close()


def test_a_job_that_begins_long_after_its_claim_is_shown_as_running(huey: Nephew):
    leave = threading.Event()
    states: list[str] = []

    @huey.task()
    def long() -> bool:
        return leave.wait(10)

    @huey.pre_execute()
    def slow(task: object) -> None:
        eventually(lambda: keeper._parked or time.monotonic() > until)

    keeper = Keeper(huey.worker)
    result = long()

    def watch() -> None:
        try:
            eventually(lambda: states.append(str(huey.job(result.id).state)) or states[-1] == "running", 5)
        finally:
            leave.set()
            huey.backend.close()

    lane = Lane(huey.worker, keeper)
    keeper.start()
    watcher = threading.Thread(target=watch)
    claimed = lane.next()
    assert claimed is not None
    until = time.monotonic() + 1
    watcher.start()
    lane.run(claimed)
    watcher.join()
    lane.close()
    keeper.stop()

    assert states[-1] == "running"


def test_jobs_that_take_long_side_by_side_are_shown_as_running_in_one_step(huey: Nephew):
    leave = threading.Event()
    huey.task(name="long")(lambda number: leave.wait(10)).map(range(3))
    worker = Worker(huey, slots=3)
    lanes = [Lane(worker) for _ in range(3)]
    keeper = Keeper(worker)

    def run(lane: Lane) -> None:
        claimed = lane.next()
        assert claimed is not None
        lane.run(claimed)
        lane.close()
        huey.backend.close()

    running = [threading.Thread(target=run, args=[lane]) for lane in lanes]
    for thread in running:
        thread.start()
    eventually(lambda: all(lane.running is not None for lane in lanes))
    keeper.keep(time.monotonic() + SHOWN_AFTER)
    leave.set()
    for thread in running:
        thread.join()
    worker.retire()
    keeper.stop()

    told = [[event.state for event in batch.events] for batch in huey.backend.events("0")]
    assert [states for states in told if "running" in states] == [["running"] * 3]


class Noting(Keeper):
    """Notes when it looks, and finds nothing to keep."""

    def __init__(self, huey: Nephew) -> None:
        super().__init__(huey.worker)
        self.looks: list[float] = []

    def keep(self, now: float) -> float | None:
        self.looks.append(now)
        return None


def test_the_keeper_is_parked_some_time_after_the_last_job(huey: Nephew):
    keeper = Noting(huey)
    keeper.start()

    eventually(lambda: keeper._parked)
    keeper.wake()
    woken = time.monotonic()
    eventually(lambda: keeper.looks[-1] > woken)
    eventually(lambda: keeper._parked)
    parked = time.monotonic()
    keeper.stop()

    assert parked - woken >= LINGER


def test_a_look_that_is_wanted_soon_is_not_put_off(huey: Nephew):
    keeper = Noting(huey)
    keeper.start()
    eventually(lambda: keeper._parked)

    for within in (60, 0.01, 0):
        wanted = time.monotonic()
        keeper.look(within)
        if within < 60:
            eventually(lambda after=wanted: keeper.looks[-1] > after)
        else:
            eventually(lambda after=wanted: keeper._next_look > after + 50)
    keeper.stop()

    assert not keeper._parked


class Broken:
    """The lifeline of a consumer that is gone."""

    def wait(self, seconds: float | None) -> bool:
        return True


class Stuck:
    """A lane that waits for the store for ever."""

    running = "a job"

    def __init__(self, free: threading.Event) -> None:
        self._free = free

    def give_back(self) -> None:
        self._free.wait(10)


class Idle:
    """A lane without a job, whose own thread ends it: another thread might sign the worker on again by a claim."""

    running = None

    def __init__(self) -> None:
        self.asked = False

    def give_back(self) -> None:
        self.asked = True


def test_a_worker_without_a_consumer_ends_though_the_store_keeps_it_waiting(
    sqlite_url: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    huey = Nephew(name, sqlite_url, drain=0.1)
    free, ended = threading.Event(), threading.Event()
    monkeypatch.setattr(os, "_exit", lambda code: ended.set())
    monkeypatch.setattr("nephew.keeper.LAST_WORD", 0.1)
    keeper = Keeper(huey.worker, Broken())
    idle = Idle()
    huey.worker.lanes += [idle, Stuck(free)]

    outlive = threading.Thread(target=keeper._outlive)
    outlive.start()
    in_time = ended.wait(3)
    huey.worker.lanes.clear()
    free.set()
    outlive.join()

    assert in_time
    assert keeper.orphaned
    assert not idle.asked
    huey.backend.close()


def test_whether_a_job_runs_in_a_slot_is_known_and_told(tmp_path: Path):
    presence = Presence(str(tmp_path), "mine", 2)
    told: list[bool] = []
    presence.listener = lambda: told.append(presence.is_busy(1))

    presence.began(1, 7, 1, 100.0)
    busy = [presence.is_busy(0), presence.is_busy(1)]
    presence.ended(1)

    assert (busy, told, presence.is_busy(1)) == ([False, True], [True], False)
    presence.remove()
