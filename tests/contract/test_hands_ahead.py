"""Hands of jobs that are claimed while the one before is being run, where the store can do that: none is lost by it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nephew import Nephew, failpoints
from nephew.job import State
from nephew.keeper import Keeper
from nephew.lane import Lane
from nephew.request import Request
from nephew.worker import Worker
from tests.contract.conftest import Work
from tests.contract.jobs import Hand
from tests.eventually import eventually
from tests.failpoints import Failpoints

#: Enough for the hands to have grown, so that one is on its way while another is run.
MANY = 40


@pytest.fixture
def worker(huey: Nephew) -> Iterator[Worker]:
    worker = Worker(huey)
    yield worker
    worker.retire()


def run_until_more_is_on_its_way(lane: Lane) -> int:
    """Run hand after hand, up to one that leaves something else to give back; how many jobs have been run."""
    count = 0
    while (claimed := lane.next()) is not None:
        lane.run(claimed)
        count += 1
        if len(lane.waiting) >= 3:
            break
    return count


def test_every_job_is_run_once_and_in_order(huey: Nephew, work: Work):
    ran: list[int] = []
    results = huey.task(name="note")(ran.append).map(range(300))

    assert work(huey) == 300
    assert ran == list(range(300))
    assert {len(huey.job(result.id).attempts) for result in results} == {1}
    assert huey.backend.held(huey.worker.number) == []


def test_what_is_in_hand_and_on_its_way_goes_back_in_order(huey: Nephew, worker: Worker):
    ids = [result.id for result in huey.task(name="noop")(lambda number: None).map(range(MANY))]
    lane = Lane(worker)
    done = run_until_more_is_on_its_way(lane)

    lane.give_back()
    elsewhere = [claimed.id for claimed in Hand(huey.backend).claim(MANY)]

    assert elsewhere == ids[done:]
    assert not lane.holds_more
    assert [claim[1] for claim in huey.backend.held(worker.number)] == []
    assert {len(huey.job(job_id).attempts) for job_id in elsewhere} == {0}


def test_nothing_is_claimed_past_what_is_being_given_back(
    huey: Nephew, worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    ran: list[int] = []
    huey.task(name="note")(ran.append).map(range(MANY))
    lane = Lane(worker)
    run_until_more_is_on_its_way(lane)
    points = Failpoints(tmp_path / "points")
    monkeypatch.setattr(failpoints, "armed", str(tmp_path / "points"))
    points.hold("claimed")

    def keep() -> None:
        lane.give_back()
        huey.backend.leave()

    keeper = threading.Thread(target=keep)
    keeper.start()
    eventually(lambda: not points.is_armed("claimed") or not keeper.is_alive())  # it asks for what is on its way
    points.disarm("claimed")
    later = threading.Timer(0.2, points.let_go, ["claimed"])
    later.start()
    while (claimed := lane.next()) is not None:
        lane.run(claimed)
    later.join()
    keeper.join()
    while (claimed := lane.next()) is not None:
        lane.run(claimed)

    assert ran == list(range(MANY))
    lane.close()


def test_a_lane_that_ends_gives_back_what_is_on_its_way(huey: Nephew, worker: Worker):
    ids = [result.id for result in huey.task(name="noop")(lambda number: None).map(range(MANY))]
    lane = Lane(worker)
    done = run_until_more_is_on_its_way(lane)

    lane.close()

    assert [claimed.id for claimed in Hand(huey.backend).claim(MANY)] == ids[done:]


def test_a_job_that_turns_out_long_keeps_nothing_from_the_others(huey: Nephew, worker: Worker):
    leave = threading.Event()
    short, long = huey.task(name="short")(lambda number: None), huey.task(name="long")(lambda: leave.wait(10))
    short.map(range(15))  # hands of 1, 2, 4 and 8
    long()
    ids = [result.id for result in short.map(range(MANY))]
    keeper = Keeper(worker)
    lane = Lane(worker, keeper)
    keeper.start()

    def run_all() -> None:
        while not leave.is_set() and (claimed := lane.next()) is not None:
            lane.run(claimed)
        huey.backend.close()

    running = threading.Thread(target=run_all)
    running.start()
    eventually(lambda: lane.running is not None and lane.running.task.endswith("long") and not lane.holds_more)
    elsewhere: list[str] = []
    other = Hand(huey.backend)
    eventually(lambda: elsewhere.extend(claimed.id for claimed in other.claim(MANY)) or len(elsewhere) == MANY)
    leave.set()
    running.join()
    lane.close()
    keeper.stop()

    assert sorted(elsewhere) == sorted(ids)


def test_the_end_of_a_job_may_bring_the_next_one_of_the_same_worker(huey: Nephew, work: Work):
    tries: list[int] = []

    @huey.task(retries=20)
    def stubborn() -> None:
        tries.append(1)
        if len(tries) < 20:
            raise ConnectionError("no answer")

    result = stubborn()

    assert work(huey) == 20
    assert result.state == State.SUCCEEDED


def test_a_worker_that_was_taken_for_dead_signs_on_anew_by_its_next_claim(huey: Nephew, worker: Worker):
    first = worker.number
    huey.task(name="noop")(lambda number: None).map(range(2))
    request = Request(worker, 2)
    huey.backend.retire(first)

    request.send()
    jobs = request.jobs()

    assert len(jobs) == 2
    assert worker.number != first


def test_a_request_that_was_answered_gives_the_same_jobs_again(huey: Nephew, worker: Worker):
    huey.task(name="noop")(lambda number: None).map(range(4))
    request = Request(worker, 3)
    request.send()

    once, again = request.jobs(), request.jobs()

    assert len(once) == 3
    assert again == once
