"""Waiting for jobs: told at once, whoever ends them, however many are waited for, and nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from huey.exceptions import ResultTimeout, TaskException

from nephew import JobEnded, Nephew
from nephew.backends.contract import Backend
from nephew.backends.records import Ended
from nephew.errors import NephewError
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, fails, jobs, succeeded
from tests.eventually import eventually

#: What a waiting thread is called.
ROOM = "Waiting room"


def ready(huey: Nephew):
    """Two tasks: one that returns its argument, one that fails."""
    return huey.task(name="echo")(lambda value=None: value), huey.task(name="fails")(fails)


@contextmanager
def soon(huey: Nephew, work: Work) -> Iterator[None]:
    """All jobs are run while somebody waits."""

    def run() -> None:
        eventually(lambda: bool(huey.waiting_room._visits))
        work(huey)
        huey.backend.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def is_empty(huey: Nephew) -> bool:
    return huey.waiting_room._bell is None and not any(thread.name == ROOM for thread in threading.enumerate())


def test_who_waits_is_told_of_the_end_and_leaves_nothing_behind(huey: Nephew, work: Work):
    echo, _ = ready(huey)
    result = echo(7)

    with soon(huey, work):
        started = time.monotonic()
        assert result.get(blocking=True, timeout=20) == 7

    assert time.monotonic() - started < 5
    eventually(lambda: is_empty(huey))


def test_an_end_that_nobody_told_of_is_seen_within_two_seconds(huey: Nephew, work: Work):
    echo, _ = ready(huey)
    result = echo(7)
    huey.waiting_room._backend = Deaf(huey.backend)

    with soon(huey, work):
        assert result.get(blocking=True, timeout=20) == 7
        seen = huey.backend.now()

    row = huey.backend.row(result.id)
    assert row is not None and row.finished_at is not None and seen - row.finished_at < 2


class Deaf:
    """A backend whose watcher hears nothing: every word that it is told is lost."""

    def __init__(self, backend) -> None:
        self._backend = backend

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def ends_watcher(self):
        return Nothing()


class Nothing:
    interval = None

    def fileno(self) -> None:
        return None

    def changed(self) -> bool:
        return False

    def close(self) -> None:
        pass


def test_waiting_for_several_tells_which_have_ended(huey: Nephew, work: Work):
    echo, failing = ready(huey)
    done, failed = echo(1), failing()
    later = echo.schedule((2,), delay=600)
    cancelled = echo.schedule((3,), delay=600)
    cancelled.cancel()

    with soon(huey, work):
        waited = huey.wait([done, later.id, failed, cancelled], timeout=0.5)

    assert waited == ([done, failed, cancelled], [later.id])
    assert huey.wait([done, later], timeout=0) == ([done], [later])
    assert huey.wait([done, failed]).pending == []
    assert huey.wait([]) == ([], [])


def test_a_result_of_another_instance_is_refused(huey: Nephew):
    other = Nephew("another", "memory://")

    with pytest.raises(NephewError, match=r"expected results of this instance, got <Result: job .*> of 'another'"):
        huey.wait([ready(other)[0]()])


def test_an_event_loop_waits_for_many_and_goes_on_meanwhile(huey: Nephew, work: Work):
    echo, failing = ready(huey)
    results = [echo(number) for number in range(100)]
    failed, ended = failing(), echo.schedule((1,), delay=600)
    ended.cancel()

    async def program() -> list:
        waited = asyncio.gather(*results)
        longest, before = 0.0, time.monotonic()
        while not waited.done():
            await asyncio.sleep(0)
            now = time.monotonic()
            longest, before = max(longest, now - before), now
        with pytest.raises(TaskException, match="oops"):
            await failed
        with pytest.raises(JobEnded, match="cancelled"):
            await ended
        assert await huey.wait_async([*results, ended.id], timeout=5) == ([*results, ended.id], [])
        assert longest < 0.5
        return await waited

    with soon(huey, work):
        values = asyncio.run(program())

    assert values == list(range(100))
    eventually(lambda: is_empty(huey))


def test_who_is_cancelled_waits_no_more(huey: Nephew):
    echo, _ = ready(huey)
    result = echo.schedule((1,), delay=600)

    async def program() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(result, 0.1)
        assert (await huey.wait_async([result], timeout=0.05)).pending == [result]

    asyncio.run(program())

    eventually(lambda: is_empty(huey))


def test_many_threads_wait_through_one(huey: Nephew, work: Work):
    echo, _ = ready(huey)
    results = [echo(number) for number in range(20)]

    with soon(huey, work), ThreadPoolExecutor(20) as pool:
        values = list(
            pool.map(lambda result: (result.get(blocking=True, timeout=20), huey.backend.close())[0], results)
        )

    assert values == list(range(20))


def test_a_timeout_is_kept_and_may_revoke(huey: Nephew):
    echo, _ = ready(huey)
    result = echo.schedule((1,), delay=600)

    started = time.monotonic()
    with pytest.raises(ResultTimeout, match="it is scheduled"):
        result.get(blocking=True, timeout=0.1, revoke_on_timeout=True)

    assert 0.1 <= time.monotonic() - started < 3
    assert result.is_revoked()


def test_data_under_a_key_is_waited_for_as_well(huey: Nephew):
    storage = huey.storage

    assert not storage.wait_result("key", timeout=0.05)
    storage.put_data("key", b"value")
    assert storage.wait_result("key", timeout=20)


def test_a_child_that_was_forked_while_others_wait_waits_by_itself(make_huey: Callable[..., Nephew], work: Work):
    huey = make_huey()
    echo, _ = ready(huey)
    first, second = echo(1), echo(2)
    waiting = threading.Thread(target=lambda: (first.get(blocking=True, timeout=20), huey.backend.close()))
    waiting.start()
    eventually(lambda: bool(huey.waiting_room._visits))

    child = os.fork()
    if child == 0:
        read = None
        try:
            read = second.get(blocking=True, timeout=20)
        finally:
            os._exit(0 if read == 2 else 1)
    work(huey)

    assert os.waitpid(child, 0)[1] == 0
    waiting.join()


def test_an_end_that_comes_soon_is_told_at_once(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("a", "b"))
    ending, _ = hand.claim(2)

    def end() -> Ended:
        try:
            return eventually(lambda: backend.ends_soon("a", 20) or False)
        finally:
            backend.leave()

    with ThreadPoolExecutor(2) as pool:
        waiting = [pool.submit(end) for _ in range(2)]
        hand.settle(succeeded(ending))
        told = [each.result() for each in waiting]

    assert set(told) <= {Ended(), Ended(b"result")}
    assert backend.ends_soon("b", 0.001) is None


def test_an_end_is_not_taken_for_that_of_the_next_run(backend: Backend):
    hand = Hand(backend)
    backend.enqueue(jobs("a"))
    assert backend.ends_soon("a", 20) is None  # somebody expects it
    hand.settle(succeeded(*hand.claim()))

    backend.requeue("a")

    assert backend.ends_soon("a", 20) is None


def test_a_result_too_long_to_be_told_is_read(huey: Nephew, work: Work):
    longest = huey.task(name="long")(lambda: "x" * 10_000)
    result = longest()
    huey.backend.ends_soon(result.id, 20)

    work(huey)

    assert result.get(blocking=True, timeout=20) == "x" * 10_000
