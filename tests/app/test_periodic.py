"""What runs when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.queue import huey
from nephew import cron


def test_everything_runs_in_the_configured_zone():
    found = {plan.name: plan.schedule for plan in huey.schedules.of_code()}

    assert found == {
        "tasks.overdue.overdue_check_hourly": cron("0 * * * *", tz="Europe/Berlin"),
        "tasks.statistics.statistics_hourly": cron("55 * * * *", tz="Europe/Berlin"),
        "tasks.cleanup.daily_cleanup_at_2": cron("0 2 * * *", tz="Europe/Berlin"),
        "tasks.cleanup.history_pruning_at_3": cron("0 3 * * *", tz="Europe/Berlin"),
        "tasks.downloads.download_expiry_at_4": cron("0 4 * * *", tz="Europe/Berlin"),
    }


def test_the_clean_up_comes_once_on_the_days_on_which_the_clock_changes_and_is_missed_when_it_does_not():
    (clean_up,) = (plan for plan in huey.schedules.of_code() if plan.policy.expect_within is not None)
    spring, autumn = datetime(2026, 3, 28, 12, tzinfo=UTC), datetime(2026, 10, 24, 12, tzinfo=UTC)

    due = [list(clean_up.schedule.between(day, day + timedelta(days=1))) for day in (spring, autumn)]

    assert due == [[datetime(2026, 3, 29, 1, tzinfo=UTC)], [datetime(2026, 10, 25, 0, tzinfo=UTC)]]
    assert clean_up.policy.expect_within == timedelta(hours=26)
