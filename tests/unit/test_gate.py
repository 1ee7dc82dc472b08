"""The gate: many run together, a suspect runs alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from nephew.gate import Gate
from tests.eventually import eventually


def in_a_thread(act: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=act)
    thread.start()
    return thread


def test_many_pass_together():
    gate = Gate()
    meeting = threading.Barrier(4)

    def meet() -> None:
        with gate.together():
            meeting.wait(10)

    with ThreadPoolExecutor(4) as pool:
        for future in [pool.submit(meet) for _ in range(4)]:
            future.result()

    assert not meeting.broken


def test_who_wants_to_be_alone_is_let_in_when_all_others_have_left():
    gate = Gate()
    order: list[str] = []
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with gate.together():
            inside.set()
            leave.wait(10)
            order.append("the others left")

    thread = in_a_thread(stay)
    inside.wait(10)
    threading.Timer(0.02, leave.set).start()
    with gate.alone(10) as granted:
        order.append("alone")
    thread.join()

    assert granted
    assert order == ["the others left", "alone"]


def test_nobody_enters_beside_who_is_alone():
    gate = Gate()
    entered: list[str] = []

    def enter() -> None:
        with gate.together():
            entered.append("entered")

    with gate.alone(0) as granted:
        thread = in_a_thread(enter)
        eventually(lambda: thread.is_alive())
        seen = list(entered)
    thread.join(10)

    assert (granted, seen, entered) == (True, [], ["entered"])


def test_patience_ends_and_the_others_go_on():
    gate = Gate()
    with gate.together():
        with gate.alone(0.01) as granted:
            pass
        thread = in_a_thread(lambda: gate.together().__enter__())
        thread.join(10)

    assert not granted
    assert not thread.is_alive()


def test_two_who_want_to_be_alone_take_turns():
    gate = Gate()
    inside: list[int] = []
    most: list[int] = []

    def enter(index: int) -> None:
        with gate.alone(10) as granted:
            assert granted
            inside.append(index)
            most.append(len(inside))
            inside.remove(index)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(enter, range(20)))

    assert most == [1] * 20


def test_the_gate_opens_again_when_the_job_raised():
    gate = Gate()

    with pytest.raises(ValueError), gate.alone(0):
        raise ValueError
    with pytest.raises(ValueError), gate.together():
        raise ValueError

    with gate.alone(0) as granted:
        assert granted


def test_who_does_not_wait_is_told_at_once_that_the_gate_is_closed():
    gate = Gate()

    with gate.alone(0), gate.together(wait=False) as granted:
        closed = gate.closed
    with gate.together(wait=False) as later:
        pass
    with gate.alone(0) as alone:
        pass

    assert (closed, granted, later, alone) == (True, False, True, True)


def test_after_one_waited_in_vain_the_next_keeps_nobody_out():
    gate = Gate()

    with gate.together():
        with gate.alone(0.05):
            pass
        start = time.monotonic()
        with gate.alone(10) as granted:
            waited = time.monotonic() - start
    with gate.alone(0) as at_once:
        pass

    assert not granted
    assert waited < 5
    assert at_once
    assert gate.refused == 0


def test_who_waits_for_the_gate_hears_of_its_opening():
    gate = Gate()
    open_again: list[bool] = []

    def wait() -> None:
        gate.await_open(10)
        open_again.append(not gate.closed)

    with gate.alone(0):
        gate.await_open(0.001)
        thread = in_a_thread(wait)
    thread.join(10)

    assert open_again == [True]
