"""Bells wake one waiter, or the next that comes; a lifeline tells children that their consumer is gone."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from nephew.bell import ForkBell, Lifeline, ThreadBell

KINDS = [ThreadBell, ForkBell]


@pytest.mark.parametrize("make", KINDS)
def test_a_rung_bell_is_heard_once_by_whoever_comes_next(make: Callable[[], ThreadBell]):
    bell = make()

    bell.ring()
    bell.ring()

    assert [bell.wait(0), bell.wait(0)] == [True, False]


@pytest.mark.parametrize("make", KINDS)
def test_a_silent_bell_is_waited_for_no_longer_than_said(make: Callable[[], ThreadBell]):
    assert not make().wait(0.01)


@pytest.mark.parametrize("make", KINDS)
def test_a_waiter_is_woken(make: Callable[[], ThreadBell]):
    bell = make()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bell.wait, 10)
        bell.ring()

        assert waiting.result(10)


@pytest.mark.parametrize("make", KINDS)
def test_one_ring_wakes_one_waiter(make: Callable[[], ThreadBell]):
    bell = make()
    heard: list[bool] = []
    over = threading.Event()

    def wait() -> None:
        if bell.wait(10):
            heard.append(True)
            over.set()

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    bell.ring()
    over.wait(10)
    count = len(heard)
    for _ in threads:
        bell.ring()
        threads[-1].join(0.05)
    for _ in range(50):
        bell.ring()
        for thread in threads:
            thread.join(0.01)

    assert count == 1
    assert not any(thread.is_alive() for thread in threads)


def test_who_does_not_hear_a_ring_first_waits_on():
    bell = ForkBell()

    def waited() -> tuple[bool, float]:
        began = time.monotonic()
        return bell.wait(0.3), time.monotonic() - began

    with ThreadPoolExecutor(3) as pool:
        waits = [pool.submit(waited) for _ in range(3)]
        bell.ring()
        results = [wait.result(10) for wait in waits]

    assert sorted(rang for rang, _ in results) == [False, False, True]
    assert all(rang or seconds >= 0.29 for rang, seconds in results)


def test_any_number_of_rings_that_nobody_hears_blocks_nobody():
    bell = ForkBell()
    for _ in range(100_000):
        bell.ring()

    assert [bell.wait(0), bell.wait(0)] == [True, False]


def test_a_lifeline_breaks_when_its_holder_lets_go():
    lifeline = Lifeline()
    before = lifeline.wait(0)

    lifeline.hold_as_child()

    assert (before, lifeline.wait(0), lifeline.wait(None)) == (False, True, True)


def test_who_waits_for_a_bell_wakes_when_the_lifeline_breaks():
    lifeline = Lifeline()
    bell = ForkBell(lifeline)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(bell.wait, 30)
        lifeline.hold_as_child()

        assert waiting.result(10) is False


def test_a_lifeline_holds_while_the_consumer_lives_and_breaks_with_it():
    lifeline = Lifeline()
    read, write = os.pipe()
    consumer = os.fork()
    if consumer == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    lifeline.hold_as_child()
    held = lifeline.wait(0.01)

    os.close(write)
    os.waitpid(consumer, 0)

    assert not held
    assert lifeline.wait(10)
