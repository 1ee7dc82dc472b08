"""Workers of every kind keep what jobs log, while they run and when they are killed."""

from __future__ import annotations

import os
import signal
from typing import Any

from nephew import State
from tests.consumers import Bench
from tests.eventually import eventually


def said(bench: Bench, result: Any) -> list[str]:
    return [line.text for log in bench.huey.logs(result.id) for line in log.lines]


def test_lines_are_seen_while_the_job_runs_and_complete_at_its_end(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    bench.consumer(kind)
    result = bench.tasks.tell("key-4711", 1.0)

    eventually(lambda: said(bench, result) == ["attempt 1 began [redacted]"])
    state = result.state
    bench.await_state(result, State.SUCCEEDED)

    assert state == State.RUNNING
    assert said(bench, result) == ["attempt 1 began [redacted]", "attempt 1 ended [redacted]"]
    assert bench.job(result).tags == ("told",)
    assert "key-4711" not in bench.logs()


def test_what_a_killed_attempt_logged_is_kept_beside_the_next_ones(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    consumer = bench.consumer("process", 1)
    result = bench.tasks.tell("key-4711", 2.0)
    eventually(lambda: said(bench, result) != [])

    (pid,) = consumer.worker_pids()
    os.kill(pid, signal.SIGKILL)
    bench.await_state(result, State.SUCCEEDED)

    first, second = bench.huey.logs(result.id)
    assert [line.text for line in first.lines] == ["attempt 1 began [redacted]"]
    assert len(second.lines) == 2
