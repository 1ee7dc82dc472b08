"""The benchmarks work: every measure comes out of a tiny run. How large the figures are is not looked at."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import driver, environments, report, targets
from benchmarks.findings import Findings
from benchmarks.imports import IMPORTS
from benchmarks.measures import MEASURES
from benchmarks.plan import TINY
from benchmarks.runners import RUNNERS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def ours(name: str) -> Path:
    """The Python of the tests."""
    return Path(sys.executable)


def findings(*names: str) -> Findings:
    return Findings(TINY, "a machine", "2026-11-22", "python -m benchmarks", list(names))


def test_a_run_measures_everything_and_shows_it(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    begin, end = report.FIGURES
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")
    found = findings("nephew_redis")

    driver.run(found, ours)
    found.save(tmp_path / "kept" / "findings.json")
    again = Findings.load(tmp_path / "kept" / "findings.json")
    report.write(report.illustrate(again, page) + report.render(again), page=page)

    assert not found.failures
    assert set(found.figures["nephew_redis"]) == {measure.key for measure in MEASURES}
    assert found.median("nephew_redis", "lost") == 0
    assert [len(found.imports[entry.title]) for entry in IMPORTS] == [TINY.imports] * len(IMPORTS)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert "| **Nephew, Redis** |" in text and "failed" not in text
    assert {path.name for path in (tmp_path / "images").iterdir()} == {chart.file for chart in report.charts.CHARTS}


def test_a_runner_that_cannot_be_measured_says_why_and_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'huey.bin.huey_consumer' in sys.orig_argv: sys.exit('no')\n"
    )
    found = findings("sqlite_huey", "rq")
    found.plan = replace(TINY, jobs=20)

    def some(name: str) -> Path:
        if name == "rq":
            raise environments.UnavailableError("there is no network")
        return ours(name)

    driver.run(found, some)

    assert set(found.figures["sqlite_huey"]) == {"enqueue"}
    assert all("a consumer ended with code 1" in failure for failure in found.failures["sqlite_huey"])
    text = report.render(found)
    assert "| **SqliteHuey** | " in text and "| failed |" in text and "there is no network" in text


def test_a_target_holds_or_does_not_or_was_not_measured() -> None:
    found = findings()
    found.figures = {
        "nephew_redis": {
            "drain_one": [9000, 60_000, 70_000],
            "drain_two": [90_000],
            "cores_two": [99],
            "start_p50": [1.2],
        },
        "redis_huey": {"drain_one": [10_000.0]},
    }

    rows = {what: (measured, verdict) for what, _, measured, verdict in targets.rows(found)}

    assert rows["Redis, one process, over RedisHuey"] == ("6.00 ×", "holds")
    assert rows["idle, enqueue→start, median, Redis"] == ("1.20 ms", "**does not hold**")
    assert rows["Redis, two processes over one"] == ("1.50 ×", "bounded by the cores: 99 % of all are in use")
    assert rows["Redis, one process, over BullMQ"] == ("not measured: drain_one of bullmq", "")


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", RUNNERS)
def test_every_runner_can_be_measured_in_an_environment_of_its_own(name: str) -> None:
    found = findings(name)

    driver.run(found)

    assert not found.failures
    assert found.all(name, "drain_two") and found.all(name, "result_p50") and found.all(name, "behind_long")
