"""A mixed load with faults at random: nothing is lost, nothing is settled twice, nothing grows."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from tests.consumers import Bench, Consumer
from tests.eventually import eventually
from tests.soak import jobs
from tests.soak.books import Books, Runs
from tests.soak.faults import APPS, Faults, Victim
from tests.soak.gauges import Gauge, MemoryMeter, differences, gauge
from tests.soak.load import Load
from tests.soak.report import Found
from tests.soak.sites import Site

KINDS = ("process", "thread", "greenlet")

#: So short that tables and keys come to a steady state within a run; and what then is left of every second.
KEPT = {"SUCCEEDED": "1s", "FAILED": "1s", "CANCELLED": "1s", "EXPIRED": "1s"}
TICK = "tests.soak.jobs.tick"

#: How long (seconds) jobs that wait for a dead worker's lock, or for a server to come back, may need to end.
PATIENCE = 60


def test_a_mixed_load_with_faults_loses_nothing_settles_nothing_twice_and_grows_nothing(
    site: Site, name: str, tmp_path: Path, minutes: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    for state, time_kept in KEPT.items():
        monkeypatch.setenv(f"NEPHEW_KEEP_{state}", time_kept)
    monkeypatch.setenv("NEPHEW_KEEP_EVENTS", "20000")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    bench = Bench(site.url, name, tmp_path)
    try:
        found = soak(site, bench, minutes * 60, seed)
        eventually(bench.check_books, 2 * jobs.LOCKED)  # the lock of one that was killed is held till its time is over
    finally:
        bench.abandon()
        print(bench.logs())  # shown when the test has failed
    if minutes >= 1:
        found.write()
    assert not found.problems()


def soak(site: Site, bench: Bench, seconds: float, seed: int) -> Found:
    """Its first fifth is not measured, and brings everything to its usual size."""
    rng = random.Random(seed)
    is_long = seconds >= 60
    kinds = rng.sample(KINDS, len(KINDS))
    survivors = [bench.consumer(kind, 2, app=APPS[kind]) for kind in (kinds if is_long else kinds[:1])]
    memory = MemoryMeter(survivors, 1.0 if is_long else 0.2)
    tasks = jobs.install(bench.huey)
    started = time.monotonic()
    with Books(bench.huey) as books:
        victim = Victim(bench, kinds, rng)
        kinds_of_faults = [*victim.faults(), *site.faults(rng), *(site.slow_faults() if is_long else [])]
        faults = Faults(kinds_of_faults, rng, (0.5, 3.0) if is_long else (0.1, 0.3))
        with Load(bench.huey, books, tasks, seed) as warm_up:
            faults.go_on(started + seconds / 5)
        become_idle_without(victim, bench, books)
        site.end_all_connections()
        before = steady_gauge(bench, site, survivors)

        victim.start()
        with memory, Load(bench.huey, books, tasks, seed + 100) as load:
            faults.go_on(started + seconds)
        took = time.monotonic() - started
        become_idle_without(victim, bench, books)
        site.end_all_connections()
        after = settled_gauge(bench, site, survivors, before)
        pids = {consumer.kind: set(consumer.group()) for consumer in survivors}
        assert [consumer.stop() for consumer in survivors] == [0] * len(survivors)
    trouble = [*books.trouble, *warm_up.trouble, *load.trouble]
    assert not trouble, trouble
    runs = Runs(bench.runs_path, victim.killed)
    return Found(
        site.name,
        seed,
        took,
        books,
        runs,
        warm_up.calls + load.calls,
        faults.counts,
        memory,
        pids,
        before,
        after,
        site.size(),
    )


def become_idle_without(victim: Victim, bench: Bench, books: Books) -> None:
    """Return when the victim and all jobs have ended, and none is kept but for the latest ticks."""
    victim.end()
    with suppress(AssertionError):
        eventually(lambda: books.open == 0, PATIENCE)  # the report tells of what is lost
    eventually(lambda: assert_pruned(bench), PATIENCE)


def assert_pruned(bench: Bench) -> None:
    bench.huey.prune()
    left = bench.huey.jobs(limit=10)
    assert {job.task for job in left} <= {TICK}, f"left: {left}"


def steady_gauge(bench: Bench, site: Site, survivors: Sequence[Consumer]) -> Gauge:
    """What there is, once that does not change any more."""

    def steady() -> Gauge:
        first = gauge(bench, site, survivors)
        time.sleep(1.5)  # longer than an idle worker sleeps
        assert_pruned(bench)
        second = gauge(bench, site, survivors)
        assert not differences(first, second, allowed=1), f"{first} became {second}"
        return second

    return eventually(steady, PATIENCE)


def settled_gauge(bench: Bench, site: Site, survivors: Sequence[Consumer], before: Gauge) -> Gauge:
    """What there is, once it is as before, or has had the time to be."""

    def assert_as_before() -> None:
        assert_pruned(bench)
        assert not differences(before, gauge(bench, site, survivors))

    with suppress(AssertionError):
        eventually(assert_as_before, PATIENCE / 4)
    return gauge(bench, site, survivors)
