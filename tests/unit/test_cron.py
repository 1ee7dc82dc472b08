"""Cron expressions: the words they understand, and what is refused."""

import os
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from nephew.errors import ConfigError
from nephew.schedules import cron, every
from tests.unit.zones import utc


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 2 * * *", "2025-01-02T02:00"),
        ("*/10 * * * * *", "2025-01-01T12:00:10"),
        ("0 9 * * MON-FRI", "2025-01-02T09:00"),
        ("0 0 L * *", "2025-01-31T00:00"),
        ("0 0 LW 5 *", "2025-05-30T00:00"),
        ("0 0 * * MON#2", "2025-01-13T00:00"),
        ("0 0 * * 5L", "2025-01-31T00:00"),
        ("0 0 29 feb *", "2028-02-29T00:00"),
        ("@hourly", "2025-01-01T13:00"),
        ("@daily", "2025-01-02T00:00"),
        ("@midnight", "2025-01-02T00:00"),
        ("@weekly", "2025-01-05T00:00"),
        ("@monthly", "2025-02-01T00:00"),
        ("@Yearly", "2026-01-01T00:00"),
        ("@annually", "2026-01-01T00:00"),
    ],
)
def test_cron_understands_the_usual_words_and_means_utc_by_default(expression: str, expected: str) -> None:
    assert cron(expression).next_after(utc("2025-01-01T12:00")) == utc(expected)


def test_a_moment_may_be_given_in_any_zone() -> None:
    noon = datetime(2025, 7, 1, 12, tzinfo=ZoneInfo("Asia/Tokyo"))

    assert cron("0 * * * *").next_after(noon) == utc("2025-07-01T04:00")
    assert every(hours=1).next_after(noon) == utc("2025-07-01T04:00")


def test_an_expression_that_no_day_fits_is_never_due() -> None:
    assert cron("0 0 */31 * MON#3").next_after(utc("2025-01-01")) is None


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("60 2 * * *", "expected minute to be 0-59"),
        ("0 25 * * *", "expected hour to be 0-23"),
        ("0 2 0 * *", "expected day-of-month to be 1-31"),
        ("0 2 * FOO *", "expected month to be 1-12"),
        ("0 2 * * 8", "expected day-of-week to be 0-7"),
        ("61 0 2 * * *", "expected second to be 0-59"),
        ("*/0 2 * * *", "expected minute to be"),
        (f"{'9' * 5000} 2 * * *", "cron"),
        ("0 0 31 2 *", "expected a day that month 2 has, got 31"),
        ("0 2 * *", "expected 5 fields (minute, hour, day-of-month, month, day-of-week)"),
        ("", "got 0"),
        ("@reboot", "expected one of @hourly @daily"),
    ],
)
def test_a_wrong_expression_is_refused_at_once_naming_the_field(expression: str, message: str) -> None:
    with pytest.raises(ConfigError) as refused:
        cron(expression)

    assert message in str(refused.value)


def test_the_message_of_a_wrong_expression_shows_all_one_needs() -> None:
    with pytest.raises(ConfigError) as refused:
        cron("0 25 * * *")

    assert str(refused.value) == (
        'cron("0 25 * * *"): expected hour to be 0-23, *, a list 1,2, a range 1-5 or a step */2, got 25'
    )


def test_an_expression_that_is_no_text_is_refused() -> None:
    unfit: Any = 5

    with pytest.raises(ConfigError, match=r"expected an expression .* got 5"):
        cron(unfit)


@pytest.mark.parametrize("zone", ["Europe/Berlim", "Europe", "../etc/passwd", "", 5, UTC])
def test_an_unknown_zone_is_refused_at_once(zone: Any) -> None:
    with pytest.raises(ConfigError, match="expected tz to be a"):
        cron("0 2 * * *", tz=zone)


def test_a_misspelt_zone_is_told_its_name() -> None:
    with pytest.raises(ConfigError, match=r"got 'Europe/Berlim'; did you mean Europe/Berlin\?"):
        cron("0 2 * * *", tz="Europe/Berlim")


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"gap": "run_before"}, "expected gap to be 'run_after' or 'skip', got 'run_before'"),
        ({"fold": "second"}, "expected fold to be 'first' or 'both', got 'second'"),
        ({"fold": None}, "expected fold to be"),
    ],
)
def test_an_unknown_way_over_a_clock_change_is_refused(policy: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cron("0 2 * * *", **policy)


def test_zones_come_from_a_package_where_the_system_has_none() -> None:
    look = """
import zoneinfo
import os
import subprocess
import sys
from datetime import UTC, datetime
from nephew import cron
assert not zoneinfo.TZPATH
print(cron("0 2 * * *", tz="Europe/Berlin").next_after(datetime(2025, 7, 1, tzinfo=UTC)))
"""
    without = {**os.environ, "PYTHONTZPATH": ""}

    shown = subprocess.run([sys.executable, "-c", look], env=without, capture_output=True, text=True, check=True).stdout

    assert shown == "2025-07-02 00:00:00+00:00\n"
