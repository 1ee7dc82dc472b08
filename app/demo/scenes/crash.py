"""A worker that dies."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from app.demo.stage import Stage, expect
from app.models import now
from tasks.demo import hold


def kill_a_worker(stage: Stage) -> str:
    """Kill the process that runs a job, with the signal that cannot be caught."""
    diary = stage.workspace / "diary"
    result = hold(str(diary))
    victim = stage.until(lambda: _pids(diary), "the job to begin")[0]
    os.kill(victim, signal.SIGKILL)
    killed_at = now()
    stage.say(f"The job runs in process {victim}; that process was just killed with SIGKILL.")
    expect(stage.value(result), 2, "the number of runs")
    job = stage.ended(result)
    first, second = _pids(diary)
    expect(first != second, True, "that another process ran it again")
    expect(job.state, "succeeded", "its state")
    expect(job.crashes, 1, "the crashes in its record")
    pause = ((job.started_at or killed_at) - killed_at).total_seconds()
    stage.say(f"Process {second} began it again after {pause:.2f} s and finished it. Its record: 1 crash.")
    return f"run again after {pause:.2f} s, 1 crash recorded"


def _pids(diary: Path) -> list[int]:
    return [int(line) for line in diary.read_text(encoding="utf-8").split()] if diary.exists() else []
