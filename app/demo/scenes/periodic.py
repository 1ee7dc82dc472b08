"""What runs by the clock."""

from __future__ import annotations

from itertools import pairwise

from app.demo.stage import Stage, expect
from app.queue import huey
from nephew import Job

TASK = "tasks.demo.tick_every_2_seconds"


def watch_ticks(stage: Stage) -> str:
    """See at least two ticks, each once."""
    ticks = stage.until(_two_ticks, "two ticks")
    times = sorted(tick.started_at for tick in ticks)
    stage.say(f"{len(ticks)} ticks since the consumer started; nobody called them.")
    gaps = [round((later - earlier).total_seconds()) for earlier, later in pairwise(times)]
    expect(set(gaps), {2}, "the whole seconds between the ticks")
    return f"{len(ticks)} ticks, 2 s apart"


def _two_ticks() -> list[Job]:
    ticks = huey.jobs(task=TASK, state="succeeded")
    return ticks if len(ticks) >= 2 else []
