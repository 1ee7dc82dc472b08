"""SIGKILL: of a worker in the middle of a job, of a whole consumer, of its parent process alone."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from tests.consumers import Bench, Run, await_gone
from tests.eventually import eventually

#: What the design promises: a kill repeats at most what had finished in the last 10 ms …
SETTLED_AFTER = 0.010
#: … and what the settle itself takes, with both cores shared by other test runs.
MARGIN = 0.060

REPORTS = Path(__file__).resolve().parents[2] / "docs" / "reports"


def test_a_job_whose_worker_was_killed_runs_again_with_its_crash_recorded(bench: Bench) -> None:
    consumer = bench.consumer("process", 2)
    result = bench.tasks.spell("victim", 1.0)
    first = bench.await_run("began", "victim")

    killed = time.time()
    os.kill(first.pid, signal.SIGKILL)

    second = bench.await_run("began", "victim", 2)
    assert second.at - killed < 2
    assert second.pid != first.pid
    job = bench.await_state(result, "succeeded")
    assert (job.crashes, job.result) == (1, 2)
    assert [attempt.outcome for attempt in job.attempts] == ["crashed", "succeeded"]
    assert str(job.attempts[0].error).startswith("it was killed by SIGKILL (signal 9)")
    assert str(first.pid) in str(job.attempts[0].worker)
    eventually(lambda: len(consumer.worker_pids()) == 2)


def test_what_was_claimed_beside_the_victim_is_not_charged(bench: Bench) -> None:
    """One worker, many short jobs claimed ahead, the culprit among them."""
    bench.consumer("process", 1, max_crashes=2)
    for number in range(100):
        bench.tasks.note(f"warm-{number}")
    bench.await_all("succeeded", 100)

    before = [bench.tasks.note.s(f"before-{number}") for number in range(10)]
    killer = bench.tasks.kill_me.s("killer")
    after = [bench.tasks.note.s(f"after-{number}") for number in range(10)]
    bench.huey.enqueue_many([*before, killer, *after])

    job = bench.await_state(killer, "failed")
    assert job.crashes == 2
    for result in (*before, *after):
        assert bench.await_state(result, "succeeded").crashes == 0


def test_a_killed_consumer_leaves_no_process_and_its_successor_runs_its_jobs(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    first = bench.consumer(kind, 2)
    results = [bench.tasks.spell(f"job-{number}", 0.6) for number in range(2)]
    for number in range(2):
        bench.await_run("began", f"job-{number}")
    results += [bench.tasks.spell(f"job-{number}", 0.0) for number in range(2, 12)]

    pids = first.group()
    first.kill()

    assert await_gone(pids, 10) < 10
    second = bench.consumer(kind, 2, ready=False)
    bench.await_all("succeeded", 12)
    started = _started_at(second.log())
    for number in range(2):
        again = bench.runs("began", f"job-{number}")[1]
        assert again.at - started < 2
    jobs = [bench.job(result) for result in results]
    # In one process nobody knows which of the two it was: neither is charged.
    assert [job.crashes for job in jobs] == [int(kind == "process")] * 2 + [0] * 10
    assert kind != "process" or "gone" in str(jobs[0].attempts[0].error)
    assert len(bench.runs("ended")) == 12


def _started_at(log: str) -> float:
    """When a consumer said that it starts; importing the application took its time before."""
    line = next(line for line in log.splitlines() if " started: " in line)
    moment, _, fraction = line[1:].partition("]")[0].partition(",")
    return time.mktime(time.strptime(moment, "%Y-%m-%d %H:%M:%S")) + int(fraction) / 1000


def test_workers_whose_consumer_was_killed_finish_their_job_and_take_no_other(bench: Bench) -> None:
    consumer = bench.consumer("process", 2)
    running = [bench.tasks.spell(f"running-{number}", 0.8) for number in range(2)]
    for number in range(2):
        bench.await_run("began", f"running-{number}")
    waiting = [bench.tasks.spell(f"waiting-{number}", 0.01) for number in range(10)]
    pids = consumer.group()

    consumer.send(signal.SIGKILL)

    consumer.wait()
    assert await_gone(pids, 10) < 10
    assert [bench.job(result).state for result in running] == ["succeeded"] * 2
    assert {bench.job(result).state for result in waiting} == {"queued"}
    assert len(bench.runs("began")) == 2
    bench.consumer("process", 2)
    bench.await_all("succeeded", 12)
    assert {bench.job(result).crashes for result in (*running, *waiting)} == {0}


def test_workers_whose_consumer_was_killed_end_when_their_job_takes_too_long(bench: Bench) -> None:
    consumer = bench.consumer("process", 1, drain=1)
    long = bench.tasks.spell("long", 60)
    bench.await_run("began", "long")
    pids = consumer.group()

    consumer.send(signal.SIGKILL)

    consumer.wait()
    assert await_gone(pids, 11) < 11
    job = bench.job(long)
    assert (job.state, job.crashes) == ("queued", 0)
    bench.huey.cancel(long.id)


def test_idle_workers_end_with_their_consumer(bench: Bench) -> None:
    consumer = bench.consumer("process", 2)
    pids = consumer.group()

    consumer.send(signal.SIGKILL)

    consumer.wait()
    assert await_gone(pids, 10) < 10


def test_a_kill_repeats_no_more_than_what_had_just_finished(bench: Bench) -> None:
    """One worker in the middle of thousands of short jobs, which it claims and settles in batches."""
    consumer = bench.consumer("process", 1)
    _enqueue(bench, 3000, 0.0)
    eventually(lambda: len(bench.runs("ended")) > 500)

    (pid,) = consumer.worker_pids()
    killed = time.time()
    os.kill(pid, signal.SIGKILL)

    bench.await_all("succeeded", 3000)
    late = _repeated_after(bench.runs("ended"), [(killed, pid)])
    assert all(age < SETTLED_AFTER + MARGIN for age in late), sorted(late)
    assert len({run.key for run in bench.runs("ended")}) == 3000


def test_every_job_ends_while_workers_are_killed_at_random(bench: Bench, long: bool) -> None:
    jobs, pause, seconds = (10_000, 1.0, 0.004) if long else (2_000, 0.5, 0.002)
    consumer = bench.consumer("process", 2, max_crashes=50)
    _enqueue(bench, jobs, seconds)
    kills: list[tuple[float, int]] = []
    rng = random.Random(7)
    deadline = time.monotonic() + 240

    while bench.huey.backend.counts().get("succeeded", 0) < jobs:
        assert time.monotonic() < deadline, bench.logs()
        time.sleep(pause)
        pids = consumer.worker_pids()
        if pids:
            pid = rng.choice(pids)
            kills.append((time.time(), pid))
            os.kill(pid, signal.SIGKILL)

    ended = bench.runs("ended")
    late = _repeated_after(ended, kills)
    again = _ran_again_after(bench.runs("began"), ended, kills)
    assert len({run.key for run in ended}) == jobs
    assert bench.claimed() == 0
    assert all(age < SETTLED_AFTER + MARGIN for age in late), sorted(late)
    assert sum(age > 2 * SETTLED_AFTER for age in late) <= len(late) / 5, sorted(late)
    assert max(again, default=0.0) < 2
    if long:
        _report(bench, jobs, kills, ended, late, again)


def _enqueue(bench: Bench, count: int, seconds: float) -> None:
    """In batches, each in one step."""
    for start in range(0, count, 500):
        calls = [bench.tasks.spell.s(f"job-{n}", seconds) for n in range(start, min(start + 500, count))]
        bench.huey.enqueue_many(calls)


def _repeated_after(ended: list[Run], kills: list[tuple[float, int]]) -> list[float]:
    """For each run whose job had to be run again: how long before the kill of its worker it had finished."""
    killed = {pid: at for at, pid in kills}
    last = {run.key: run for run in ended}
    return [killed[run.pid] - run.at for run in ended if run is not last[run.key] and run.pid in killed]


def _ran_again_after(began: list[Run], ended: list[Run], kills: list[tuple[float, int]]) -> list[float]:
    """For each job that was cut off: how long after the kill it ran again."""
    killed = {pid: at for at, pid in kills}
    finished = {(run.key, run.pid) for run in ended}
    waits = []
    for index, run in enumerate(began):
        if run.pid in killed and (run.key, run.pid) not in finished:
            waits += [later.at - killed[run.pid] for later in began[index + 1 :] if later.key == run.key][:1]
    return waits


def _report(
    bench: Bench,
    jobs: int,
    kills: list[tuple[float, int]],
    ended: list[Run],
    late: list[float],
    again: list[float],
) -> None:
    name = bench.url.partition(":")[0]
    seconds = ended[-1].at - ended[0].at
    rows = {
        "jobs": f"{jobs:,}",
        "seconds": f"{seconds:.0f}",
        "workers killed": str(len(kills)),
        "jobs cut off by a kill": str(len(again)),
        "longest time until one of them ran again": f"{max(again, default=0.0):.2f} s",
        "finished jobs that were repeated": str(len(late)),
        "the longest that one of them had been finished": f"{max(late, default=0.0) * 1000:.0f} ms",
        "lost": "0",
    }
    text = [
        f"# Workers killed at random: {name}",
        "",
        "Written by `tests/integration/test_kill.py` (`./run_tests.sh --long`): two process workers, a random one",
        "killed with SIGKILL every second until all jobs had ended.",
        "",
        "| | |",
        "|---|---|",
        *(f"| {what} | {value} |" for what, value in rows.items()),
    ]
    REPORTS.mkdir(parents=True, exist_ok=True)
    (REPORTS / f"kill-{name}.md").write_text("\n".join(text) + "\n")
