"""Schedules and policies as they are stored."""

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nephew.catchup import Policy
from nephew.errors import ConfigError
from nephew.schedules import Schedule, as_schedule, cron, every
from nephew.specs import from_spec, policy_from_spec, policy_spec, spec
from tests.unit.zones import utc


@pytest.mark.parametrize(
    "schedule",
    [
        cron("0 2 * * *"),
        cron("@daily", tz="Europe/Berlin", gap="skip", fold="both"),
        every(minutes=15),
        every(seconds=0.123457, anchor=utc("2025-01-01T08:00:00.5")),
        every(hours=1, jitter=12.5),
        every(hours=1, jitter=12.5).salted("report-7"),
    ],
)
def test_a_stored_schedule_is_the_same_one(schedule: Schedule) -> None:
    assert from_spec(json.loads(json.dumps(spec(schedule)))) == schedule


@given(
    seconds=st.integers(100_000, 10**14).map(lambda microseconds: microseconds / 1e6),
    share=st.floats(0, 0.9),
)
def test_a_stored_period_is_the_same_to_the_microsecond(seconds: float, share: float) -> None:
    schedule = every(seconds=seconds, jitter=share * seconds)

    assert from_spec(json.loads(json.dumps(spec(schedule)))) == schedule


def test_a_function_cannot_be_stored() -> None:
    with pytest.raises(ConfigError, match="a function lives in the code only"):
        spec(as_schedule(lambda moment: True))


@pytest.mark.parametrize(
    "stored",
    [{}, None, {"cron": "0 2 * * *"}, {"every": 5}, {"cron": "61 * * * *", "tz": None, "gap": "skip", "fold": "first"}],
)
def test_what_is_no_stored_schedule_is_refused(stored: Any) -> None:
    with pytest.raises(ConfigError, match="expected"):
        from_spec(stored)


@pytest.mark.parametrize("policy", [Policy(), Policy("all", timedelta(days=3), "queue", timedelta(hours=26))])
def test_a_stored_policy_is_the_same_one(policy: Policy) -> None:
    assert policy_from_spec(json.loads(json.dumps(policy_spec(policy)))) == policy


def test_a_stored_policy_of_a_later_version_is_refused() -> None:
    with pytest.raises(ConfigError, match="a stored policy: expected"):
        policy_from_spec({"catch_up": "some"})
