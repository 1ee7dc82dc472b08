"""What a preview shows: the coming ticks in their zone, and the changes of the clock among them."""

from datetime import datetime
from itertools import islice

import pytest

from nephew.preview import preview
from nephew.schedules import Schedule, cron, every
from tests.unit.test_schedules import OwnSchedule
from tests.unit.zones import HOUR, utc


def lines(schedule: Schedule, start: datetime, days: float | None = None, around_dst: bool = False) -> list[str]:
    entries = preview(schedule, start, days, around_dst)
    return [f"{entry.at:%a %m-%d %H:%M %Z} {entry.kind} {entry.note}".rstrip() for entry in entries]


def test_ticks_are_shown_in_the_zone_of_their_schedule() -> None:
    assert lines(cron("0 2 * * *", tz="Europe/Berlin"), utc("2025-07-01T12:00"), days=2) == [
        "Wed 07-02 02:00 CEST tick",
        "Thu 07-03 02:00 CEST tick",
    ]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            cron("30 2 * * *", tz="Europe/Berlin"),
            [
                "Sun 03-30 03:00 CEST gap clock forward from 02:00 to 03:00: skips 02:30, due when the gap ends",
                "Sun 03-30 03:00 CEST tick for 02:30, which the clock skips",
            ],
        ),
        (
            cron("30 2 * * *", tz="Europe/Berlin", gap="skip"),
            ["Sun 03-30 03:00 CEST gap clock forward from 02:00 to 03:00: skips 02:30, not due"],
        ),
        (
            cron("*/10 2 * * *", tz="Europe/Berlin"),
            [
                "Sun 03-30 03:00 CEST gap clock forward from 02:00 to 03:00: "
                "skips 02:00, 02:10, 02:20 and 3 more, not due"
            ],
        ),
        (
            cron("0 12 * * *", tz="Europe/Berlin"),
            ["Sun 03-30 03:00 CEST gap clock forward from 02:00 to 03:00", "Sun 03-30 12:00 CEST tick"],
        ),
        (every(days=1), ["Sun 03-30 00:00 UTC tick"]),
    ],
)
def test_a_gap_tells_what_becomes_of_the_times_that_are_skipped(schedule: Schedule, expected: list[str]) -> None:
    assert lines(schedule, utc("2025-03-29T23:00"), days=1) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (
            cron("30 2 * * *", tz="Europe/Berlin"),
            [
                "Sun 10-26 02:30 CEST tick the first 02:30",
                "Sun 10-26 02:00 CET fold clock back from 03:00 to 02:00: shows 02:30 twice, due the first time only",
            ],
        ),
        (
            cron("30 2 * * *", tz="Europe/Berlin", fold="both"),
            [
                "Sun 10-26 02:30 CEST tick the first 02:30",
                "Sun 10-26 02:00 CET fold clock back from 03:00 to 02:00: shows 02:30 twice, due both times",
                "Sun 10-26 02:30 CET tick the second 02:30",
            ],
        ),
        (
            cron("15 30 */2 * * *", tz="Europe/Berlin"),
            [
                "Sun 10-26 02:30 CEST tick the first 02:30:15",
                "Sun 10-26 02:00 CET fold clock back from 03:00 to 02:00: shows 02:30:15 twice, due both times",
                "Sun 10-26 02:30 CET tick the second 02:30:15",
            ],
        ),
    ],
)
def test_a_fold_tells_what_becomes_of_the_times_that_are_shown_twice(schedule: Schedule, expected: list[str]) -> None:
    assert lines(schedule, utc("2025-10-25T22:45"), days=0.15) == expected


def test_a_clock_that_jumps_over_midnight_is_told_with_its_days() -> None:
    (jump,) = [
        line for line in lines(cron("0 12 * * *", tz="Pacific/Apia"), utc("2011-12-30"), days=1) if "gap" in line
    ]

    assert jump.endswith("clock forward from 2011-12-30 00:00 to 2011-12-31 00:00: skips 12:00, due when the gap ends")


def test_around_the_changes_of_the_clock_two_ticks_before_and_after_each_are_shown() -> None:
    assert lines(cron("0 5 * * MON", tz="Europe/Berlin"), utc("2025-01-01"), around_dst=True) == [
        "Mon 03-17 05:00 CET tick",
        "Mon 03-24 05:00 CET tick",
        "Sun 03-30 03:00 CEST gap clock forward from 02:00 to 03:00",
        "Mon 03-31 05:00 CEST tick",
        "Mon 04-07 05:00 CEST tick",
        "Mon 10-13 05:00 CEST tick",
        "Mon 10-20 05:00 CEST tick",
        "Sun 10-26 02:00 CET fold clock back from 03:00 to 02:00",
        "Mon 10-27 05:00 CET tick",
        "Mon 11-03 05:00 CET tick",
    ]


def test_a_tick_at_the_end_of_a_gap_comes_behind_the_gap() -> None:
    assert lines(cron("30 2 * * *", tz="Europe/Berlin"), utc("2025-03-01"), around_dst=True)[1:5] == [
        "Sat 03-29 02:30 CET tick",
        "Sun 03-30 03:00 CEST gap clock forward from 02:00 to 03:00: skips 02:30, due when the gap ends",
        "Sun 03-30 03:00 CEST tick for 02:30, which the clock skips",
        "Mon 03-31 02:30 CEST tick",
    ]


def test_a_tick_shows_which_of_two_it_is_also_where_the_change_itself_is_not_shown() -> None:
    hourly, at_the_change = cron("0 * * * *", tz="Europe/Berlin"), utc("2025-10-26T01:00")

    assert lines(hourly, at_the_change - HOUR, days=1 / 48) == []
    assert lines(hourly, at_the_change - 2 * HOUR, days=1 / 24) == ["Sun 10-26 02:00 CEST tick the first 02:00"]
    assert lines(cron("30 * * * *", tz="Europe/Berlin"), at_the_change, days=1 / 24) == [
        "Sun 10-26 02:30 CET tick the second 02:30"
    ]


def test_where_two_changes_are_near_each_other_no_tick_is_shown_twice() -> None:
    shown = lines(cron("0 5 1 * *", tz="Africa/Casablanca"), utc("2025-01-01T12:00"), around_dst=True)

    assert [line[:13] for line in shown if "tick" in line] == [
        "Sat 02-01 05:",
        "Sat 03-01 05:",
        "Tue 04-01 05:",
        "Thu 05-01 05:",
        "Sun 06-01 05:",
    ]


def test_around_a_change_that_comes_at_once_nothing_is_shown_that_has_passed() -> None:
    shown = preview(cron("0 * * * *", tz="Europe/Berlin"), utc("2025-10-26T00:30"), around_dst=True)

    assert [entry.kind for entry in islice(shown, 2)] == ["fold", "tick"]


@pytest.mark.parametrize("schedule", [every(hours=1), cron("@daily"), cron("@daily", tz="Asia/Tokyo"), OwnSchedule()])
def test_nothing_is_shown_around_changes_of_a_clock_that_never_changes(schedule: Schedule) -> None:
    assert lines(schedule, utc("2025-01-01"), around_dst=True) == []


def test_a_preview_of_very_many_ticks_is_found_one_at_a_time() -> None:
    entries = preview(every(seconds=0.1), utc("2025-01-01"), days=36500)

    assert len(list(islice(entries, 3))) == 3
