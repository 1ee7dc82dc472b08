"""What runs by the clock."""

from __future__ import annotations

from app.demo.stage import Stage, expect
from app.models import now
from app.queue import huey
from nephew import Job

TASK = "tasks.demo.tick_every_2_seconds"

PERIOD_SECONDS = 2


def watch_ticks(stage: Stage) -> str:
    """See at least two ticks, and none twice, although nobody calls them."""
    ticks = stage.until(_two_ticks, "two ticks")
    times = sorted(tick.started_at for tick in ticks)
    # One at each end of the time in between, and one for a worker that was late.
    most = (now() - times[0]).total_seconds() / PERIOD_SECONDS + 2
    expect(len(ticks) <= most, True, f"that {len(ticks)} ticks are not more than were due")
    stage.say(f"Nobody called it, and it ran at {', '.join(f'{time:%H:%M:%S}' for time in times)} (UTC).")
    return f"{len(ticks)} ticks"


def _two_ticks() -> list[Job]:
    ticks = huey.jobs(task=TASK, state="succeeded")
    return ticks if len(ticks) >= 2 else []
