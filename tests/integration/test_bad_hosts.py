"""Hosts whose clocks are wrong, and kernels that end a job's process."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from tests.consumers import Bench, Consumer, Run
from tests.eventually import eventually
from tests.integration.conftest import Mount

HOUR = 3600
WRONG_CLOCK = Path(__file__).parent / "apps" / "wrong_clock"

#: A short lease: who does not heed the store's clock is taken for dead at once.
SHORT = {"lease": 2, "heartbeat": 0.5, "reaper": 0.3}


def start(bench: Bench, error: int, ticking: bool = True) -> Consumer:
    """A consumer whose clock is wrong by so many seconds; `step` changes it."""
    step(bench, len(bench.consumers), error)
    environment = {
        "PYTHONPATH": str(WRONG_CLOCK),
        "TEST_CLOCK_ERROR": str(clock_of(bench, len(bench.consumers))),
        **({"TEST_CLOCK": "1"} if ticking else {}),
    }
    return bench.consumer("process", 1, environment=environment, **SHORT)


def step(bench: Bench, number: int, error: int) -> None:
    changed = clock_of(bench, number).with_suffix(".changed")
    changed.write_text(str(error))
    changed.rename(clock_of(bench, number))


def clock_of(bench: Bench, number: int) -> Path:
    return bench.folder / f"clock-{number}"


def really(run: Run) -> float:
    """When a job ran by a right clock; those in these tests are wrong by whole hours."""
    return run.at - round((run.at - time.time()) / HOUR) * HOUR


@pytest.fixture
def hosts(postgres_bench: Bench, mount: Mount, tmp_path: Path) -> Bench:
    """Two hosts, as far as each of two consumers can see: one hour early and one hour late."""
    for name, error in (("early", HOUR), ("late", -HOUR)):
        boot = tmp_path / name
        boot.write_text(f"{name}\n")
        mount("--bind", boot, "/proc/sys/kernel/random/boot_id")
        start(postgres_bench, error)
    return postgres_bench


def test_nobody_is_taken_for_dead_by_a_host_with_another_time(hosts: Bench) -> None:
    results = [hosts.tasks.spell(f"long-{number}", 3.0) for number in range(2)]

    for result in results:
        job = hosts.await_state(result, "succeeded")
        assert (job.crashes, len(job.attempts)) == (0, 1)
    assert len({run.pid for run in hosts.runs("began")}) == 2
    assert "ended:" not in hosts.logs()
    assert "taken" not in hosts.logs()


def test_delays_and_retries_are_measured_by_the_stores_clock(hosts: Bench) -> None:
    began, tasks = time.time(), hosts.tasks
    results = [tasks.note.schedule((f"delayed-{number}",), delay=1.0) for number in range(4)]
    results += [
        task(f"{task.__name__}-{number}") for number in range(4) for task in (tasks.retry_later, tasks.retry_soon)
    ]

    for result in results:
        hosts.await_state(result, "succeeded")

    for number in range(4):
        assert 0.99 <= really(hosts.runs("ran", f"delayed-{number}")[0]) - began < 3
        for key, delay in ((f"retry_later-{number}", 0.3), (f"retry_soon-{number}", 0.4)):
            first, second = map(really, hosts.runs("ran", key))
            assert delay - 0.01 <= second - first < delay + 1.5
    assert len({run.pid for run in hosts.runs("ran")}) == 2, "one of the hosts had nothing to do"


def test_a_job_expires_by_the_stores_clock(hosts: Bench) -> None:
    """Not at once on the host that is early, nor an hour late on the other."""
    results = [hosts.tasks.note.schedule((f"valid-{number}",), delay=0.1, expires=30) for number in range(10)]

    for result in results:
        hosts.await_state(result, "succeeded")


def test_ticks_are_due_by_the_stores_clock_and_once(hosts: Bench) -> None:
    eventually(lambda: len(hosts.runs("tick")) >= 4, 30)

    moments = [really(run) for run in hosts.runs("tick")]
    assert max(Counter(round(moment) for moment in moments).values()) == 1, moments
    due = hosts.column("SELECT due FROM nephew_tick WHERE name = ? ORDER BY due")
    assert all(abs(moment - time.time()) < 20 for moment in due), due


@pytest.mark.parametrize("error", [-HOUR, pytest.param(HOUR, marks=pytest.mark.long)])
def test_on_sqlite_a_clock_that_is_set_disturbs_neither_leases_nor_ticks(sqlite_bench: Bench, error: int) -> None:
    bench = sqlite_bench
    start(bench, 0)
    start(bench, 0)
    results = [bench.tasks.spell(f"long-{number}", 3.0) for number in range(2)]
    for number in range(2):
        bench.await_run("began", f"long-{number}")
    eventually(lambda: len(bench.runs("tick")) > 0)

    ticks = len(bench.runs("tick"))
    for number in range(2):
        step(bench, number, error)

    for result in results:
        job = bench.await_state(result, "succeeded")
        assert (job.crashes, len(job.attempts)) == (0, 1)
    eventually(lambda: ("The clock was set back" in bench.logs()) == (error < 0))
    for number in range(2):
        step(bench, number, max(error, 0))  # while it is an hour early, nothing is due that was not before
    eventually(lambda: len(bench.runs("tick")) >= ticks + 3)
    assert "ended:" not in bench.logs()
    assert "taken" not in bench.logs()


# -- kernels -----------------------------------------------------------------------------------------


def test_a_job_that_the_kernel_kills_is_charged_and_failed_at_the_cap_with_the_cause(postgres_bench: Bench) -> None:
    """It used more processor time than its limit allows."""
    bench = postgres_bench
    bench.consumer("process", 1)
    result = bench.tasks.overwork("greedy")
    after = bench.tasks.note("after")

    job = bench.await_state(result, "failed")

    assert (job.crashes, len(bench.runs("began", "greedy"))) == (2, 2)
    assert [attempt.outcome for attempt in job.attempts][:2] == ["crashed"] * 2
    assert "it was killed by SIGKILL (signal 9)" in str(job.attempts[1].error)
    assert "its worker died 2 times while it was running" in str(job.error)
    assert bench.await_state(after, "succeeded").crashes == 0


def test_a_job_without_memory_fails_by_its_error_and_its_worker_goes_on(sqlite_bench: Bench) -> None:
    bench = sqlite_bench
    consumer = bench.consumer("process", 1)
    pids = consumer.worker_pids()

    job = bench.await_state(bench.tasks.overeat("greedy"), "failed")

    assert (job.crashes, len(job.attempts)) == (0, 1)
    assert "MemoryError" in str(job.error)
    bench.await_state(bench.tasks.note("after"), "succeeded")
    assert consumer.worker_pids() == pids
