"""Jobs that take their worker down each time: what becomes of them, what is told of it, and who else is drawn in."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from nephew import Job
from nephew.death import Death
from nephew.job import Attempt
from tests.consumers import Bench, Consumer

#: The ways of `perish`, and what the consumer of a worker process sees of each.
DEATHS = {
    "killed": Death(signal="SIGKILL", signal_number=signal.SIGKILL),
    "starved": Death(signal="SIGABRT", signal_number=signal.SIGABRT),
    "exited": Death(exit_code=3),
}
#: The ways that are tried where the whole consumer dies each time, which takes long.
WAYS = {"process": list(DEATHS), "thread": ["killed"], "greenlet": ["starved"]}
#: What the starving one had before it was refused more (bytes).
EATEN = 64 << 20


def test_who_kills_its_worker_each_time_is_failed_with_the_cause_and_its_last_words_and_nobody_else_is(
    cell: tuple[Bench, str], long: bool
) -> None:
    bench, kind = cell
    ways = list(DEATHS) if long else WAYS[kind]
    consumer = bench.consumer(kind, 4, ready=False)
    beside = [bench.tasks.spell(f"beside-{number}", 0.3) for number in range(2)]
    killers = {way: bench.tasks.perish.s(way, "key-4711").error(bench.tasks.handle, way) for way in ways}
    bench.huey.enqueue_many(list(killers.values()))
    beside += [bench.tasks.spell(f"beside-{number}", 0.1) for number in range(2, 5)]

    supervise(bench, consumer, [*killers.values(), *beside])

    for way, call in killers.items():
        job = bench.job(call)
        assert (job.state, job.crashes) == ("failed", 2)
        # Beside others at most once, when nobody knows who it was: after that it runs alone.
        assert len(bench.runs("began", way)) in ((2,) if kind == "process" else (2, 3))
        assert [attempt.outcome for attempt in job.attempts] == ["crashed", "crashed"]
        assert f"its worker died 2 times while it was running; the last time: {job.attempts[1].error}" == job.error
        for attempt in job.attempts:
            assert_told(attempt, DEATHS[way] if kind == "process" else Death())
        assert said(bench, job) == [
            [f"attempt {number} began with [redacted]", f"attempt {number} ends with [redacted]"] for number in (1, 2)
        ]
        assert bench.await_run("handled", str(job.error).replace(" ", "_"))
        assert way != "starved" or kind != "process" or peak_of(job) > EATEN
    for result in beside:
        job = bench.job(result)
        assert (job.state, job.crashes, len(job.attempts)) == ("succeeded", 0, 1)
    assert "key-4711" not in bench.logs()


def test_the_end_of_a_worker_process_is_seen_though_gevent_has_patched_the_application(sqlite_bench: Bench) -> None:
    """gevent waits for the children of such a process, and may be told first; then their memory is not known."""
    bench = sqlite_bench
    bench.consumer("process", 1, app="green")

    job = bench.await_state(bench.tasks.perish("exited", "key-4711"), "failed")

    assert [attempt.death and attempt.death.exit_code for attempt in job.attempts] == [3, 3]


def supervise(bench: Bench, consumer: Consumer, calls: Sequence[Any]) -> None:
    """Start the consumer anew whenever it has died, until all of these have ended."""
    deadline = time.monotonic() + 60
    while not all(bench.job(call).ended for call in calls):
        assert time.monotonic() < deadline, bench.logs()
        if not consumer.is_running():
            assert consumer.wait() in (-signal.SIGKILL, -signal.SIGABRT, 3)
            consumer.start(ready=False)
        time.sleep(0.05)
    consumer.await_ready()


def assert_told(attempt: Attempt, expected: Death) -> None:
    """Of a worker process its consumer tells how it ended, of all others somebody that it is gone."""
    death = attempt.death
    assert death is not None and attempt.started_at is not None and attempt.finished_at is not None
    assert (death.signal, death.signal_number, death.exit_code) == (
        expected.signal,
        expected.signal_number,
        expected.exit_code,
    )
    if expected == Death():
        assert "its process is gone; last sign of life" in str(attempt.error)
        assert death.last_seen is not None
        assert attempt.started_at - timedelta(seconds=1) < death.last_seen <= attempt.finished_at
    else:
        assert death.peak_memory is not None and death.peak_memory > 10 << 20


def said(bench: Bench, job: Job) -> list[list[str]]:
    return [[line.text for line in log.lines] for log in bench.huey.logs(job.id)]


def peak_of(job: Job) -> int:
    return min(attempt.death.peak_memory or 0 for attempt in job.attempts if attempt.death is not None)
