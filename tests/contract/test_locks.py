"""Locks with an owner: they expire, are renewed while held, can be seen and broken, and carry a fence."""

from __future__ import annotations

import logging
import random
import threading

import pytest
from huey.exceptions import TaskLockedException

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.errors import JobCancelled, LockLost, LockNotAcquired, NephewError
from nephew.lane import Lane
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.eventually import eventually


def test_a_lock_is_held_by_one(backend: Backend):
    first = backend.acquire_lock("video", "me", "host:1", 60)
    second = backend.acquire_lock("video", "you", "host:2", 60)
    other = backend.acquire_lock("another", "you", "host:2", 60)

    assert (first, second) == (1, None)
    assert other is not None


def test_the_fence_grows_with_every_acquisition(backend: Backend):
    fences = []
    for owner in "abc":
        fences.append(backend.acquire_lock("video", owner, "", 60))
        backend.release_lock("video", owner)

    assert fences == [1, 2, 3]


def test_only_the_owner_releases(backend: Backend):
    backend.acquire_lock("video", "me", "", 60)

    assert not backend.release_lock("video", "you")
    assert backend.release_lock("video", "me")
    assert not backend.release_lock("video", "me")


def test_an_expired_lock_is_free_and_no_longer_the_first_owners(backend: Backend):
    backend.acquire_lock("video", "me", "", -1)

    assert not backend.renew_lock("video", "me", 60)
    assert backend.locks() == []
    assert backend.acquire_lock("video", "you", "", 60) == 2
    assert not backend.release_lock("video", "me")
    assert [lock.owner for lock in backend.locks()] == ["you"]


def test_a_renewed_lock_is_held_for_longer(backend: Backend):
    backend.acquire_lock("video", "me", "", 10)

    assert backend.renew_lock("video", "me", 1000)
    assert not backend.renew_lock("video", "you", 1000)

    (lock,) = backend.locks()
    assert lock.expires_at > backend.now() + 900


def test_a_held_lock_is_seen_with_its_holder(backend: Backend):
    now = backend.now()
    backend.acquire_lock("video", "me", "host:1:worker", 60)

    (lock,) = backend.locks()

    assert (lock.name, lock.owner, lock.label, lock.fence) == ("video", "me", "host:1:worker", 1)
    assert lock.acquired_at == pytest.approx(now, abs=1)  # a server's clock is known within a round trip
    assert lock.expires_at == pytest.approx(lock.acquired_at + 60)


def test_a_lock_can_be_broken_by_anybody(backend: Backend):
    backend.acquire_lock("video", "me", "", 60)

    assert backend.release_lock("video", None)
    assert not backend.release_lock("video", None)
    assert backend.acquire_lock("video", "you", "", 60) == 2


def test_of_many_who_want_a_lock_at_once_one_gets_it(backend: Backend):
    for attempt in range(10):
        fences = at_once(backend, 6, lambda index: backend.acquire_lock("video", str(index), "", 60))

        assert sorted(fences, key=bool) == [None] * 5 + [attempt + 1]
        backend.release_lock("video", None)


def test_a_lock_is_held_inside_the_block_and_free_after_it(huey: Nephew):
    lock = huey.lock("video")

    with lock as held:
        assert held is lock
        assert huey.is_locked("video")
        assert (lock.fence, lock.holder().name) == (1, "video")

    assert not huey.is_locked("video")
    assert lock.holder() is None


def test_a_lock_that_is_held_is_refused_with_its_holder(huey: Nephew):
    with (
        huey.lock("video"),
        pytest.raises(LockNotAcquired, match=r"unable to acquire lock video within 0 s; .*MainThread holds it"),
        huey.lock("video", wait=0),
    ):
        pytest.fail("it was let in")


def test_a_waiting_caller_is_let_in_when_the_holder_is_done(huey: Nephew):
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with huey.lock("video"):
            entered.set()
            leave.wait(10)
        huey.backend.close()

    holder = threading.Thread(target=hold)
    holder.start()
    entered.wait(10)
    threading.Timer(0.05, leave.set).start()

    with huey.lock("video", wait=10) as lock:
        assert lock.fence == 2

    holder.join()


def test_threads_that_share_a_lock_object_exclude_each_other(huey: Nephew):
    lock = huey.lock("counter", wait=20)
    inside: list[int] = []
    most: list[int] = []

    def enter(index: int) -> None:
        with lock:
            inside.append(index)
            most.append(len(inside))
            inside.remove(index)

    at_once(huey.backend, 5, enter)

    assert most == [1] * 5


def test_a_held_lock_is_renewed_beyond_its_ttl(huey: Nephew):
    with huey.lock("video", ttl=0.3) as lock:
        first = lock.holder().expires_at

        eventually(lambda: huey.backend.now() > first)

        assert lock.holder() is not None


def test_who_has_lost_a_lock_is_told_when_releasing_it(huey: Nephew):
    lock = huey.lock("video")
    lock.acquire()
    huey.backend.release_lock("video", None)

    with pytest.raises(LockLost, match="lock video was lost before it was released"):
        lock.release()


def test_the_functions_own_error_is_not_hidden_by_a_lost_lock(huey: Nephew):
    with pytest.raises(ValueError, match="mine"), huey.lock("video"):
        huey.backend.release_lock("video", None)
        raise ValueError("mine")


def test_a_lock_is_released_when_the_block_fails(huey: Nephew):
    with pytest.raises(ValueError), huey.lock("video"):
        raise ValueError

    assert not huey.is_locked("video")


def test_a_lock_decorates_a_function(huey: Nephew):
    @huey.lock("video")
    def fetch(url: str) -> tuple[str, bool]:
        """Fetches."""
        return url, huey.is_locked("video")

    assert fetch("here") == ("here", True)
    assert (fetch.__name__, fetch.__doc__) == ("fetch", "Fetches.")
    assert not huey.is_locked("video")


def test_what_is_not_held_cannot_be_released(huey: Nephew):
    lock = huey.lock("video")

    with pytest.raises(NephewError, match="lock 'video' is not held here"):
        lock.release()
    with pytest.raises(NephewError, match="lock 'video' is not held here"):
        _ = lock.fence


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ttl": 0}, "expected the ttl of lock 'video' to be seconds greater than 0, got 0"),
        ({"ttl": "1m"}, "expected the ttl of lock 'video' to be seconds greater than 0, got '1m'"),
        ({"wait": -1}, "expected wait for lock 'video' to be seconds or None, got -1"),
    ],
)
def test_unusable_numbers_are_refused(huey: Nephew, options: dict, message: str):
    with pytest.raises(NephewError) as caught:
        huey.lock("video", **options)

    assert str(caught.value) == message


def test_a_task_lock_is_not_waited_for(huey: Nephew, work: Work):
    @huey.task(retries=1)
    @huey.lock_task("report")
    def report() -> str:
        return "made"

    result = report()
    with huey.lock_task("report"):
        lane_ran = work_one(huey)
    work(huey)

    assert lane_ran
    assert result.get() == "made"
    assert [attempt.outcome for attempt in huey.job(result.id).attempts] == ["locked", "succeeded"]


def work_one(huey: Nephew) -> bool:
    task = huey.dequeue()
    huey.execute(task)
    return True


def test_a_task_lock_that_is_held_raises_hueys_error(huey: Nephew):
    with huey.lock_task("report"), pytest.raises(TaskLockedException), huey.lock_task("report"):
        pytest.fail("it was let in")


def test_task_locks_can_be_flushed(huey: Nephew, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.WARNING)
    with huey.lock_task("report"):
        flushed = huey.flush_locks()
        locked = huey.is_locked("report")

    assert (flushed, locked) == ({"report"}, False)
    assert "lock report was lost" in caplog.text


def test_a_job_that_is_stopped_while_it_takes_or_releases_a_lock_leaves_none_behind(huey: Nephew):
    stops = 30

    @huey.task()
    def go_in_and_out() -> None:
        while True:
            with huey.lock("door", wait=5):
                pass

    lane = Lane(huey.worker)
    random.seed(1)

    def stop_each() -> None:
        for _ in range(stops):
            job = eventually(lambda: lane.job or False)
            threading.Event().wait(random.random() * 0.01)
            job.stopped = JobCancelled("stopped by a test")
            lane.stop(job, job.stopped)
            eventually(lambda: lane.job is not job)  # noqa: B023

    stopper = threading.Thread(target=stop_each)
    stopper.start()
    results = [go_in_and_out() for _ in range(stops)]
    for _ in results:
        claimed = lane.next()
        assert claimed is not None
        lane.run(claimed)
        assert huey.backend.locks() == []
    stopper.join()
    lane.close()

    assert {str(result.state) for result in results} == {"cancelled"}
    assert not [thread for thread in threading.enumerate() if thread.name == "Lock door"]
