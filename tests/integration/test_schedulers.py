"""Real consumers and the ledger of their schedules: each due time has its row, and each row one job."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nephew.backends.schedules import TickRow
from nephew.job import Relation
from tests.consumers import Bench, Consumer
from tests.eventually import eventually
from tests.integration.conftest import open_bench
from tests.integration.test_bad_hosts import HOUR, clock_of, step

DAY, YEAR = 24 * HOUR, 365 * 24 * HOUR
APP = "tests.integration.apps.scheduled"
SETTINGS = {"lease": 1, "heartbeat": 0.3, "reaper": 0.3, "keep_ticks_most": 5000}


@pytest.fixture
def bench(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Iterator[Bench]:
    url = str(request.getfixturevalue(f"{request.param}_url"))
    with open_bench(request, url, name, tmp_path) as opened:
        yield opened


def on(first: str, *others: str) -> Any:
    """On one backend; on others only at full size."""
    params = [first, *(pytest.param(each, marks=pytest.mark.long) for each in others)]
    return pytest.mark.parametrize("bench", params, indirect=True)


def start(bench: Bench, ready: bool = True, **environment: str) -> Consumer:
    return bench.consumer("thread", 4, app=APP, ready=ready, environment=environment, **SETTINGS)


def ledger(bench: Bench, name: str = "beat") -> list[TickRow]:
    """What became of a schedule's due times, the earliest first."""
    return bench.huey.backend.ticks(f"{APP}.{name}", 100_000)[::-1]


def assert_complete(bench: Bench) -> list[TickRow]:
    """Of a schedule that makes up for everything each second has its row, and each row one job of its own."""
    rows = ledger(bench)
    dues = [row.due for row in rows]
    assert dues == [dues[0] + number for number in range(len(dues))]
    jobs = {job.id for job in bench.huey.jobs(task=f"{APP}.beat", limit=None) if job.relation == Relation.SCHEDULE}
    assert {row.fate for row in rows} == {"enqueued"}
    assert len(jobs) == len({row.job for row in rows} & jobs) == len(rows)
    return rows


def steered(bench: Bench) -> dict[str, str]:
    """What a consumer is started with whose clock `step` sets."""
    step(bench, 0, 0)
    wrong_clock = Path(__file__).parent / "apps" / "wrong_clock"
    return {"PYTHONPATH": str(wrong_clock), "TEST_CLOCK_ERROR": str(clock_of(bench, 0))}


@on("redis", "sqlite", "postgres")
def test_consumers_that_are_killed_at_random_around_due_times_enqueue_each_tick_once(bench: Bench, long: bool) -> None:
    chance, fleet = random.Random(7), [start(bench) for _ in range(2)]

    for _ in range(60 if long else 4):
        await_second(chance.uniform(-0.15, 0.15))
        if len(fleet) < (5 if long else 3) and chance.random() < 0.5:
            fleet.append(start(bench, ready=False))
        else:
            fleet.pop(chance.randrange(len(fleet))).kill()
    fleet.append(start(bench))
    until = time.time()
    eventually(lambda: ledger(bench)[-1].due > until, 20)
    for consumer in fleet:
        consumer.await_ready()
        assert consumer.stop() == 0

    assert_complete(bench)


def await_second(aside: float) -> None:
    """Return so many seconds before or after a full second."""
    second = round(time.time()) + 1
    eventually(lambda: time.time() >= second + aside)


@on("postgres", "sqlite", "redis")
def test_a_consumer_that_wakes_up_after_its_lease_repeats_nothing(bench: Bench) -> None:
    sleeper, other = start(bench), start(bench)
    eventually(lambda: len(ledger(bench)) > 0)

    sleeper.send_group(signal.SIGSTOP)
    stopped = ledger(bench)[-1].due
    eventually(lambda: ledger(bench)[-1].due > stopped + SETTINGS["lease"] + 1, 20)
    sleeper.send_group(signal.SIGCONT)
    other.kill()
    woken = time.time()
    eventually(lambda: ledger(bench)[-1].due > woken + 1, 20)

    assert sleeper.stop() == 0
    assert_complete(bench)


@pytest.mark.parametrize("bench", ["sqlite"], indirect=True)
@pytest.mark.parametrize("down", [3 * YEAR, *(pytest.param(each, marks=pytest.mark.long) for each in (3, 3 * DAY))])
def test_a_fleet_that_was_down_goes_on_at_once_and_says_what_it_missed(bench: Bench, down: int) -> None:
    """It makes up for a day, and for no more than a thousand ticks of it."""
    clock = steered(bench)
    consumer = start(bench, **clock)
    eventually(lambda: len(ledger(bench)) > 0)
    assert consumer.stop() == 0
    last = ledger(bench)[-1].due

    step(bench, 0, down)
    fleet = [start(bench, **clock), start(bench, **clock)]
    began = time.time() + down
    eventually(lambda: ledger(bench)[-1].due > began + 1, 20)
    for consumer in fleet:
        assert consumer.stop() == 0

    rows = [row for row in ledger(bench) if row.due > last]
    missed = [row for row in rows if row.fate == "missed"]
    assert rows[0].due == last + 1, "nothing is left out"
    assert [row.due for row in rows[1:]] == [(row.until or row.due) + 1 for row in rows[:-1]]
    assert len(missed) == (101 if down > 1000 else 0)
    assert down <= len(rows) + 60 if down < 1000 else 1000 <= len(rows) - len(missed) < 1060
    bench.await_all("succeeded", len(rows) - len(missed))


@on("sqlite", "postgres", "redis")
def test_jobs_that_take_longer_than_the_period_are_skipped_or_queued(bench: Bench) -> None:
    consumer = start(bench)
    eventually(lambda: len(bench.runs("ended", "slow")) >= 2 <= len(bench.runs("ended", "patient")), 20)
    assert consumer.stop() == 0

    for name in ("slow", "patient"):
        runs = sorted((run.at, run.word) for word in ("began", "ended") for run in bench.runs(word, name))
        assert [word for _, word in runs] == ["began", "ended"] * (len(runs) // 2), "one at a time"
    fates = [row.fate for row in ledger(bench, "slow")]
    assert set(fates) == {"enqueued", "skipped"} and fates.count("skipped") > fates.count("enqueued")
    patient = [row.fate for row in ledger(bench, "patient")]
    assert patient == sorted(patient) and set(patient) == {"enqueued", "waiting"}
