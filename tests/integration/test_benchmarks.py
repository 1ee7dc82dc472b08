"""The benchmarks work: every measure comes out of a tiny run. How large the figures are is not looked at."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import __main__ as command
from benchmarks import driver, environments, report, targets
from benchmarks.environments import ROOT
from benchmarks.findings import Findings
from benchmarks.imports import IMPORTS
from benchmarks.measures import MEASURES
from benchmarks.plan import TINY
from benchmarks.processes import alive, family
from benchmarks.runners import RUNNERS, is_ours
from tests.eventually import eventually

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
    assert set(found.figures["nephew_redis"]) | {"start_p99"} == {measure.key for measure in MEASURES}
    assert found.median("nephew_redis", "lost") == 0
    assert [len(found.imports[entry.title]) for entry in IMPORTS] == [TINY.imports] * len(IMPORTS)
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "\nold\n" not in text
    assert "| **Nephew, Redis** |" in text and "failed" not in text
    assert {path.name for path in (tmp_path / "images").iterdir()} == {chart.file for chart in report.charts.CHARTS}


def test_a_runner_that_cannot_be_measured_says_why_and_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_SERVER", "/bin/false")
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\nif 'huey.bin.huey_consumer' in sys.orig_argv: sys.exit('no')\n"
    )
    without_consumers = tmp_path / "python"
    without_consumers.write_text(f'#!/bin/sh\nPYTHONPATH={tmp_path} exec {sys.executable} "$@"\n')
    without_consumers.chmod(0o755)
    found = findings("sqlite_huey", "rq", "redis_huey")
    found.plan = replace(TINY, jobs=20)

    def some(name: str) -> Path:
        if name == "rq":
            raise environments.UnavailableError("there is no network")
        return without_consumers

    driver.run(found, some)

    assert set(found.figures) == {"sqlite_huey"}
    (failure,) = found.failures["redis_huey"]
    assert failure.startswith("Redis ended with exit code 1")
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
        "redis_huey": {"drain_one": [10_000.0] * 3},
    }

    rows = {what: (measured, verdict) for what, _, measured, verdict in targets.rows(found)}

    assert rows["Redis, one process, over RedisHuey"] == ("6.00 (0.90 – 7.00) ×", "holds")
    measured, verdict = rows["idle, enqueue→start, median, Redis"]
    assert measured == "1.20 ms" and verdict.startswith("**does not hold**; an enqueue and the claim")
    assert rows["Redis, two processes over one"][0] == "1.50 ×"
    assert rows["Redis, two processes over one"][1].endswith("the cores: consumers and server use 99 % of all")
    assert rows["Redis, one process, over BullMQ"] == ("not measured: drain_one of bullmq", "")


def test_over_the_fastest_peer_is_told_only_when_all_peers_were_measured() -> None:
    found = findings()
    found.figures = {"nephew_redis": {"enqueue_bulk": [60_000]}}
    for name, entry in RUNNERS.items():
        if entry.server == "redis" and not is_ours(name):
            found.figures[name] = {"enqueue_bulk": [10_000]}

    def measured() -> str:
        return next(row[2] for row in targets.rows(found) if row[0] == "Redis, bulk enqueue, over its fastest peer")

    whole = measured()
    del found.figures["arq"]

    assert whole == "6.00 ×"
    assert measured() == "not measured: enqueue_bulk of arq"


def test_a_target_is_not_judged_where_too_little_was_measured() -> None:
    found = findings()
    found.figures = {f"nephew_{backend}": {"naps": [1.01]} for backend in ("sqlite", "postgres", "redis")}

    verdicts = {row[0]: row[-1] for row in targets.rows(found)}

    assert verdicts["jobs of 0.1 s at concurrency 50, the slowest"].startswith("not judged: naps is 50")


def test_every_second_round_goes_backwards_and_each_begins_with_another_runner() -> None:
    assert [driver.turned("abc", number) for number in range(4)] == [list("abc"), list("acb"), list("cab"), list("cba")]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("--growth --runner rq", "--growth measures nephew_sqlite, nephew_postgres, nephew_redis, not rq"),
        ("--growth --again", "a run of --growth is not kept"),
        ("--growth --runner nephew_redis --write", "--write needs all of --growth"),
        ("--again --rounds 7", "--again measures nothing"),
        ("--again --runner rq", "--again measures nothing"),
        ("--again", "there is no run of this kind and version"),
        ("--rounds 0", "argument --rounds: expected a whole number from 1 on, got 0"),
        ("--jobs many", "argument --jobs: expected a whole number from 1 on, got many"),
    ],
)
def test_arguments_that_cannot_be_followed_are_refused(
    arguments: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        command.main(arguments.split(), tmp_path)

    assert refused.value.code == 2
    assert reason in capsys.readouterr().err


def test_a_run_that_lacks_figures_of_nephew_ends_with_1_and_leaves_the_page_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = findings(*RUNNERS)
    found.figures = {"nephew_redis": {"drain_one": [1.0]}}
    found.save(tmp_path / command.NEWEST)
    before = report.PAGE.read_bytes()

    assert command.main(["--again", "--write"], tmp_path) == 1
    assert "figures of Nephew's own are missing" in capsys.readouterr().err
    assert report.PAGE.read_bytes() == before


def test_a_whole_run_is_kept_apart_from_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file, machine in (command.WHOLE, "all"), (command.NEWEST, "some"):
        found = findings("rq")
        found.machine = machine
        found.save(tmp_path / file)

    assert command.main(["--again"], tmp_path) == command.main(["--again", "--all"], tmp_path) == 0
    assert [line for line in capsys.readouterr().out.splitlines() if "Machine" in line] == [
        "* Machine: some.",
        "* Machine: all.",
    ]


@pytest.mark.parametrize(("blow", "code"), [(signal.SIGHUP, 129), (signal.SIGKILL, -9)])
def test_nothing_runs_on_when_the_driver_ends(blow: signal.Signals, code: int, tmp_path: Path) -> None:
    program = """
import signal
from benchmarks.__main__ import end_by_signals
from tests.integration.test_benchmarks import driver, findings, ours
signal.signal(signal.SIGHUP, signal.SIG_DFL)
end_by_signals()
driver.run(findings("sqlite_huey"), ours)
"""
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, env=os.environ | {"TMPDIR": str(tmp_path)}) as run:
        eventually(lambda: len(family(run.pid)) >= 3, 20)  # a session with a consumer
        below = family(run.pid)
        run.send_signal(blow)

    assert run.returncode == code
    eventually(lambda: not alive(below), 20)


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", RUNNERS)
def test_every_runner_can_be_measured_in_an_environment_of_its_own(name: str) -> None:
    found = findings(name)

    driver.run(found)

    assert not found.failures
    assert found.all(name, "drain_two") and found.all(name, "result_p50") and found.all(name, "behind_long")
