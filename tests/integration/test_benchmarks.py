"""The benchmarks work: every measure comes out of a short run. How large the figures are is not looked at."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import driver, growth, report
from benchmarks.imports import IMPORTS
from benchmarks.measures import MEASURES
from benchmarks.plan import SHORT

RUNNERS = ["nephew_redis", "redis_huey"]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_short_run_measures_everything(tmp_path: Path) -> None:
    page = tmp_path / "benchmarks.md"
    begin, end = report.FIGURES
    page.write_text(f"before\n{begin}\nold\n{end}\nafter\n")

    found = driver.run(SHORT, RUNNERS)
    report.write(report.render(found, "python -m benchmarks --short"), page=page)

    assert list(found.figures) == RUNNERS
    for name, figures in found.figures.items():
        assert set(figures) == {measure.key for measure in MEASURES}, name
        assert all(len(rounds) == 1 and min(rounds) > 0 for rounds in figures.values()), (name, figures)
    assert [len(found.imports[entry.title]) for entry in IMPORTS] == [SHORT.imports] * len(IMPORTS)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert all(about.title in text for about in found.abouts.values())


def test_long_queues_are_measured_beside_short_ones() -> None:
    text = report.render_growth(growth.measure((100, 1000), print), "python -m benchmarks --growth")

    assert "| 100 | " in text and "| 1,000 | " in text and "| 1,000 ÷ 100 |" in text


def test_a_runner_that_cannot_be_measured_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'huey.bin.huey_consumer' in sys.orig_argv: sys.exit('no')\n"
    )

    with pytest.raises(driver.SessionError, match=r"a consumer ended with code 1"):
        driver.run(replace(SHORT, jobs=20), ["sqlite_huey"])
