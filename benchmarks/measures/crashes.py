"""What becomes of jobs whose processes are killed: all of a consumer's in the middle of its work, or one worker's."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress

from benchmarks.bench import START_SECONDS, Bench
from benchmarks.consumers import Consumers
from benchmarks.measures import Figures

_NAP_SECONDS = 0.2


def measure(bench: Bench) -> Iterator[Figures]:
    """Nothing in the rounds in which nobody is killed."""
    if bench.plan.crash_jobs:
        yield _of_a_consumer(bench)
        if bench.runner.watches_workers:
            yield _of_a_worker(bench)


def _of_a_consumer(bench: Bench) -> Figures:
    board, jobs = bench.board, range(bench.plan.crash_jobs)
    _fill(bench)
    with bench.consumers(2) as killed:
        _await_the_middle(bench, killed)
        killed.kill()
    interrupted = [number for number in _running(bench) if not board.moments[number]]
    for number in interrupted:
        board.begun[number] = 0

    with bench.consumers(2) as next_one, suppress(TimeoutError):
        board.await_all(jobs, bench.plan.crash_seconds, next_one.check)
    missing = [number for number in jobs if not board.moments[number]]
    late = [number for number in missing if _is_due_later(bench, number, interrupted)]
    figures = {"lost": (len(missing) - len(late)) / len(jobs) * 100, "late": len(late) / len(jobs) * 100}
    if not missing:
        figures["recovered"] = (max(board.moments[number] for number in jobs) - next_one.began) / 1e9
    again = [board.begun[number] for number in interrupted if board.begun[number]]
    if again:
        figures["again"] = (max(again) - next_one.began) / 1e9
    return figures


def _is_due_later(bench: Bench, number: int, interrupted: Sequence[int]) -> bool:
    """Whether a job that was not done in time is one that the runner does later, by its own settings."""
    about = bench.runner.about
    return about.late_seconds > bench.plan.crash_seconds and not (about.loses_running and number in interrupted)


def _of_a_worker(bench: Bench) -> Figures:
    board = bench.board
    _fill(bench)
    with bench.consumers(2) as consumers:
        victim, interrupted = _stopped_at_work(bench, consumers)
        for number in interrupted:
            board.begun[number] = 0
        died = time.monotonic_ns()
        os.kill(victim, signal.SIGKILL)
        again = [board.begun[board.await_begin([number], START_SECONDS, consumers.check)] for number in interrupted]
    return {"worker_again": (max(again) - died) / 1e9}


def _stopped_at_work(bench: Bench, consumers: Consumers) -> tuple[int, list[int]]:
    """A worker process that is stopped in the middle of naps, and the naps; none is caught between two of them."""
    board = bench.board
    while True:
        victim = board.pids[_await_the_middle(bench, consumers)]
        os.kill(victim, signal.SIGSTOP)
        if naps := [number for number in _running(bench) if board.pids[number] == victim]:
            return victim, naps
        os.kill(victim, signal.SIGCONT)


def _fill(bench: Bench) -> None:
    bench.board.clear()
    bench.runner.enqueue_naps(range(bench.plan.crash_naps), _NAP_SECONDS)
    bench.runner.enqueue_bulk(range(bench.plan.crash_naps, bench.plan.crash_jobs))


def _await_the_middle(bench: Bench, consumers: Consumers) -> int:
    """A nap that is about half over, or has just ended where the machine is slow."""
    board = bench.board
    waiting = [number for number in range(bench.plan.crash_naps) if not board.moments[number]]
    begun = board.await_begin(waiting, START_SECONDS, consumers.check)
    time.sleep(_NAP_SECONDS / 2)
    return begun


def _running(bench: Bench) -> list[int]:
    board = bench.board
    return [number for number in range(bench.plan.crash_naps) if board.begun[number] and not board.moments[number]]
