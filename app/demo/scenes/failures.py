"""Jobs that fail."""

from __future__ import annotations

from app.demo.stage import Stage, expect
from nephew import Job
from tasks.demo import broken, flaky


def fail_twice(stage: Stage) -> str:
    """Two failed attempts, a third that succeeds."""
    result = flaky(failures=2)
    job = stage.ended(result)
    _show_attempts(stage, job)
    expect(job.state, "succeeded", "its state")
    expect([attempt.outcome for attempt in job.attempts], ["failed", "failed", "succeeded"], "its attempts")
    expect(stage.value(result), "answered in attempt 3", "its result")
    return "3 attempts, succeeded"


def always_fail(stage: Stage) -> str:
    """A failure that stays on record."""
    result = broken("twelve")
    job = stage.ended(result)
    expect(job.state, "failed", "its state")
    for words in ("ValueError", "twelve"):
        expect(words in (job.error or ""), True, f"that its error names {words!r}")
    expect("in broken" in (job.traceback or ""), True, "that its traceback shows the line that failed")
    stage.say(f"The job is {job.state}, and its record keeps where and why:")
    for line in (job.traceback or "").rstrip().splitlines()[-3:]:
        stage.say(f"  {line}")
    return "failed, traceback kept"


def _show_attempts(stage: Stage, job: Job) -> None:
    for attempt in job.attempts:
        reason = f" — {attempt.error}" if attempt.error else ""
        stage.say(f"attempt {attempt.number}: {attempt.outcome}{reason}")
