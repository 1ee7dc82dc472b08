"""The drains beside something that grows can be measured. How large the figures are is not looked at."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.growth import run, table
from benchmarks.growth.comparisons import BACKENDS, POSTGRES, REDIS, SQLITE, TINY, Comparison, Load
from benchmarks.growth.drain import Cost
from benchmarks.growth.run import Findings
from nephew import Nephew
from tests.contract.ageing import fill
from tests.contract.jobs import Hand, job, succeeded

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def findings(*costs: tuple[float, float], reasons: dict[str, str] | None = None) -> Findings:
    """One cost a load, on Redis: µs of wall and of processor time."""
    loads = tuple(Load(f"load {number}", jobs=10) for number in range(len(costs)))
    comparison = Comparison("Waiting", "jobs waiting", loads, reasons=reasons or {})
    found = [[Cost(wall / 1e6, cpu / 1e6, 0.0, 0.0)] for wall, cpu in costs]
    return Findings(comparison, REDIS, "7.4", found, [400.0] * len(costs))


def test_every_load_is_drained_and_has_a_row(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    begin, end = report.GROWTH
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")

    found = run.measure(TINY, print, [SQLITE])
    report.write(table.render(found, TINY.rounds, "python -m benchmarks --growth"), report.GROWTH, page)

    assert [each.failure for each in found] == [""] * len(TINY.comparisons())
    assert all(len(costs) == TINY.rounds for each in found for costs in each.costs)
    assert all(cost.wall > 0 for each in found for costs in each.costs for cost in costs)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert text.count("| SQLite |") == sum(len(comparison.loads) for comparison in TINY.comparisons())


def test_a_cost_is_flat_up_to_a_quarter_more_and_what_grows_has_a_reason() -> None:
    measured = (40, 24), (49, 29), (60, 36), (60, 24)
    explained = table.render([findings(*measured, reasons={REDIS: "It has to."})], 1, "command")
    unexplained = table.render([findings(*measured)], 1, "command")

    rows = [line.split(" | ") for line in explained.splitlines() if line.startswith("| Redis |")]
    assert [row[-1] for row in rows] == ["flat |", "flat |", "grows |", "waits longer |"]
    assert rows[0][2:4] == ["400", "25,000"] and rows[2][-2] == "1.50 ×" and rows[0][-3] == "0.6"
    assert "* **Redis** grows: It has to." in explained
    assert "* Redis 7.4." in explained
    assert "* **Redis** grows: it should not; no reason is known." in unexplained


def test_a_comparison_that_fails_says_why_and_does_not_end_the_run() -> None:
    tiny = replace(TINY, waiting=(), finished=(), queues=(0,), arguments=(), consumers=(1,))

    found = run.measure(tiny, print, [SQLITE])

    queues, consumers = found
    assert not consumers.failure
    assert queues.failure.startswith("ZeroDivisionError") and "failed" in table.render(found, 1, "command")


def test_a_server_that_does_not_start_fails_only_what_is_measured_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_SERVER", "/bin/false")
    tiny = replace(TINY, waiting=(), finished=(), queues=(), arguments=(), consumers=(1,))

    redis, sqlite = run.measure(tiny, print, [REDIS, SQLITE])

    assert not sqlite.failure
    assert redis.failure.startswith("Redis ended with exit code 1")
    assert "| Redis | 1 | – | failed |" in table.render([redis, sqlite], 1, "command")


def test_on_sqlite_claims_and_settles_take_as_many_steps_whatever_waits_behind_and_has_ended(tmp_path: Path) -> None:
    little, much = (
        steps(f"sqlite:///{tmp_path / f'{waiting}.db'}", waiting, ended)
        for waiting, ended in ((200, 0), (10_000, 20_000))
    )

    assert little["claim"] and little["settle"] and much == little


def steps(url: str, waiting: int, ended: int) -> dict[str, int]:
    """The steps of SQLite's virtual machine for a claim of 100 jobs and its settle, in hundreds."""
    huey = Nephew("growth", url)
    hand, counted, done = Hand(huey.backend), dict.fromkeys(("claim", "settle"), 0), ""

    def count() -> None:
        counted[done] += 1

    fill(huey, ended, days=1)
    huey.backend.enqueue([job() for _ in range(waiting)])
    huey.backend.database.connection().set_progress_handler(count, 100)
    done = "claim"
    claimed = hand.claim(100)
    done = "settle"
    hand.settle(*map(succeeded, claimed))
    huey.backend.retire(hand.number)
    huey.backend.close()
    return counted


@pytest.mark.long
@pytest.mark.parametrize("backend", [POSTGRES, REDIS])
def test_every_backend_can_be_measured(backend: str) -> None:
    found = run.measure(TINY, print, [backend])

    assert {each.failure for each in found} == {""}
    assert BACKENDS[backend] in table.render(found, TINY.rounds, "command")
