"""Locks in an event loop: it never waits for the store, and tasks of one loop contend like anybody else."""

from __future__ import annotations

import asyncio
import time

import pytest
from huey.exceptions import TaskLockedException

from nephew import Nephew
from nephew.errors import LockLost, LockNotAcquired, NephewError
from tests.contract.conftest import Work
from tests.eventually import eventually


def held(huey: Nephew) -> list[str]:
    return [row.name for row in huey.backend.locks()]


def test_tasks_of_one_loop_hold_a_lock_one_after_the_other(huey: Nephew):
    lock = huey.lock("stock", wait=20)
    inside, fences, longest = [0], [], [0.0]

    async def contend() -> None:
        async with lock:
            inside[0] += 1
            assert inside == [1]
            fences.append(lock.fence)
            await asyncio.sleep(0.002)
            inside[0] -= 1

    async def tick() -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(0)
            now = time.monotonic()
            longest[0], before = max(longest[0], now - before), now

    async def program() -> None:
        ticking = asyncio.create_task(tick())
        await asyncio.gather(*(contend() for _ in range(8)))
        ticking.cancel()

    asyncio.run(program())

    assert sorted(fences) == list(range(1, 9))
    assert longest[0] < 0.5, "the loop goes on while a lock is waited for"
    assert held(huey) == []
    eventually(lambda: huey.errands._thread is None)


def test_a_lock_keeps_other_tasks_and_threads_out_until_its_time_is_over(huey: Nephew):
    async def program() -> str:
        async with huey.lock("stock") as lock:
            assert lock.fence == 1
            with pytest.raises(LockNotAcquired, match=r"within 0.05 s; .*Task-[0-9]+ holds it"):
                await huey.lock("stock", wait=0.05).acquire_async()
            with pytest.raises(LockNotAcquired):
                await asyncio.to_thread(in_a_thread)
            with pytest.raises(TaskLockedException):
                await huey.lock_task("stock").acquire_async()
            with pytest.raises(NephewError, match="'stock' is not held here"):
                await asyncio.create_task(lock.release_async())
        return "done"

    def in_a_thread() -> None:
        try:
            huey.lock("stock", wait=0).acquire()
        finally:
            huey.backend.close()

    assert asyncio.run(program()) == "done"
    assert held(huey) == []


@pytest.mark.parametrize("moment", [0.0, 0.001, 0.05])
def test_a_task_that_is_cancelled_holds_nothing(huey: Nephew, moment: float):
    """While it takes the lock, or while it has it."""
    huey.backend.locks()

    async def hold() -> None:
        async with huey.lock("stock"):
            await asyncio.sleep(60)

    async def program() -> None:
        holder = asyncio.create_task(hold())
        await asyncio.sleep(moment)
        holder.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holder
        async with huey.lock("stock", wait=5):
            pass

    asyncio.run(program())

    assert held(huey) == []


def test_who_lost_a_lock_is_told_unless_there_is_worse(huey: Nephew):
    async def lose(error: Exception | None) -> None:
        async with huey.lock("stock"):
            await asyncio.to_thread(lambda: (huey.backend.release_lock("stock", None), huey.backend.close()))
            if error is not None:
                raise error

    with pytest.raises(LockLost):
        asyncio.run(lose(None))
    with pytest.raises(ValueError, match="worse"):
        asyncio.run(lose(ValueError("worse")))


def test_a_function_of_a_loop_is_guarded_while_it_runs(huey: Nephew, work: Work):
    @huey.lock("stock")
    async def guarded() -> list[str]:
        await asyncio.sleep(0)
        return await asyncio.to_thread(lambda: (held(huey), huey.backend.close())[0])

    assert asyncio.run(guarded()) == ["stock"]

    @huey.task()
    def program() -> list[str]:
        return asyncio.run(guarded())

    result = program()
    work(huey)
    assert result() == ["stock"]
    assert held(huey) == []
