"""What becomes of due times that have passed: for each policy the same as in a slow, obvious reference."""

import random
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nephew import clock
from nephew.catchup import LATE, MOST, ON_TIME, ROWS, Fate, Policy, Verdict, decide
from nephew.errors import ConfigError
from nephew.schedules import Schedule, as_schedule, cron, every
from tests.unit.zones import DAY, HOUR, MINUTE, utc

#: Dense and sparse ones, with time zones, in bursts, with a jitter.
SCHEDULES: list[Schedule] = [
    every(seconds=10),
    every(minutes=7, jitter=60),
    every(days=3),
    cron("0 * * * *"),
    cron("30 2 * * *", tz="Europe/Berlin"),
    cron("*/15 * * * *", tz="Australia/Lord_Howe"),
    cron("* 5 * * MON", tz="America/New_York"),
    cron("0 0 1 * *"),
    as_schedule(lambda moment: moment.minute % 20 == 0),
]
POLICIES = [
    Policy("none"),
    Policy("last"),
    Policy("last", within=timedelta(hours=2)),
    Policy("all"),
    Policy("all", within=timedelta(minutes=30)),
    Policy("all", within=timedelta(days=400)),
]


class Outcome:
    """What a slow reader makes of all due times, one after the other."""

    def __init__(self, schedule: Schedule, policy: Policy, start: datetime, end: datetime) -> None:
        self.due = list(schedule.between(start, end))
        self.enqueued = [due for due in self.due if self._is_made_up_for(policy, due, end)]
        self.missed = [due for due in self.due if due not in self.enqueued]

    def _is_made_up_for(self, policy: Policy, due: datetime, now: datetime) -> bool:
        late, is_last = now - due, due == self.due[-1]
        if policy.catch_up == "none":
            return is_last and late <= timedelta(minutes=1)
        if policy.catch_up == "last":
            return is_last and late <= (policy.within or timedelta(days=1))
        return due in self.due[-1000:] and late <= (policy.within or timedelta(days=1))


def told(verdict: Verdict) -> tuple[list[datetime], list[datetime]]:
    """The due times that are enqueued, and those that have a row of their own as missed."""
    alone = [fate for fate in verdict.ticks if fate.until is None]
    enqueued = [clock.at(fate.due) for fate in alone if fate.enqueue]
    return enqueued, [clock.at(fate.due) for fate in alone if not fate.enqueue]


@given(
    schedule=st.sampled_from(SCHEDULES),
    policy=st.sampled_from(POLICIES),
    now=st.datetimes(datetime(2024, 2, 1), datetime(2026, 12, 1), timezones=st.just(UTC)),
    away=st.one_of(st.timedeltas(timedelta(0), HOUR), st.timedeltas(timedelta(0), 9 * DAY)),
)
def test_for_each_policy_the_ticks_are_those_of_a_slow_reference(
    schedule: Schedule, policy: Policy, now: datetime, away: timedelta
) -> None:
    if schedule == every(seconds=10):
        away /= 24
    expected = Outcome(schedule, policy, now - away, now)

    verdict = decide(schedule, policy, (now - away).timestamp(), now.timestamp())

    if not expected.due:
        assert verdict is None
        return
    assert verdict is not None
    assert clock.at(verdict.upto) == expected.due[-1]
    enqueued, missed = told(verdict)
    assert enqueued == expected.enqueued
    assert missed[-100:] == expected.missed[-100:]
    older = expected.missed[:-100]
    if len(older) > 1:
        shared = verdict.ticks[0]
        assert (clock.at(shared.due), clock.at(shared.until or 0), shared.enqueue) == (older[0], older[-1], False)
        assert len(missed) == 100
    else:
        assert missed == expected.missed
    assert list(verdict.ticks) == sorted(verdict.ticks)
    assert all(fate.reason for fate in verdict.ticks if not fate.enqueue)


@pytest.mark.parametrize("policy", POLICIES)
def test_looks_at_random_moments_decide_each_due_time_once(policy: Policy) -> None:
    """Whoever looks, however seldom, and wherever the clock is stepped meanwhile."""
    schedule = cron("*/10 * * * *", tz="Europe/Berlin")
    chance = random.Random(7)
    first = seen = utc("2025-03-28").timestamp()
    now, decided = first, list[datetime]()

    while now < first + 20 * 86400:
        now += chance.choice([-3600, 5, 60, 600, 3600, 86400]) * chance.random()
        verdict = decide(schedule, policy, seen, now)
        if verdict is None:
            continue
        for fate in verdict.ticks:
            due = clock.at(fate.due)
            until = due if fate.until is None else clock.at(fate.until)
            decided += schedule.between(due - MINUTE, until)
        seen = verdict.upto

    assert decided == list(schedule.between(clock.at(first), clock.at(seen)))


def test_a_tick_that_is_on_time_is_enqueued_without_a_word_and_a_late_one_says_so() -> None:
    midnight = utc("2025-01-02").timestamp()

    on_time = decide(cron("@daily"), Policy(), midnight - 60, midnight + 60)
    late = decide(cron("@daily"), Policy(), midnight - 60, midnight + 5400.4)

    assert on_time == Verdict(midnight, (Fate(midnight, True, None, ""),))
    assert late == Verdict(midnight, (Fate(midnight, True, None, "made up for, 1:30:00 late"),))


@pytest.mark.parametrize(
    ("policy", "away", "reason"),
    [
        (Policy("none"), 2 * HOUR, 'a later one came due as well, catch_up="none"'),
        (Policy("none"), HOUR, "0:30:00 late, made up for within 0:01:00 only"),
        (Policy("last"), 2 * HOUR, 'a later one came due as well, catch_up="last"'),
        (Policy("all", within=HOUR), 2 * HOUR, "1:30:00 late, made up for within 1:00:00 only"),
        (Policy("all", within=90 * DAY), 1001 * HOUR, "more than 1000 came due at once"),
    ],
)
def test_a_missed_tick_tells_why(policy: Policy, away: timedelta, reason: str) -> None:
    now = utc("2025-01-02T12:30")

    verdict = decide(cron("@hourly"), policy, (now - away).timestamp(), now.timestamp())

    assert verdict is not None
    assert verdict.ticks[0].reason == reason


@pytest.mark.parametrize(
    ("policy", "late"),
    [(Policy("none"), MINUTE), (Policy("last", within=HOUR), HOUR), (Policy("all", within=HOUR), HOUR)],
)
def test_a_tick_may_be_as_late_as_its_policy_says_and_no_later(policy: Policy, late: timedelta) -> None:
    midnight = utc("2025-01-02")
    just_late, too_late = (midnight + late).timestamp(), (midnight + late).timestamp() + 0.001

    for now, enqueued in ((just_late, True), (too_late, False)):
        verdict = decide(cron("@daily"), policy, midnight.timestamp() - 1, now)

        assert verdict is not None
        assert [fate.enqueue for fate in verdict.ticks] == [enqueued]


def test_a_single_tick_beyond_those_with_a_row_of_their_own_has_one_too() -> None:
    noon = utc("2025-01-02T12:00").timestamp()

    verdict = decide(every(seconds=1), Policy("none"), noon - ROWS - 2, noon)

    assert verdict is not None
    assert [fate.due for fate in verdict.ticks] == [noon - ROWS - 1 + number for number in range(ROWS + 2)]
    assert {fate.until for fate in verdict.ticks} == {None}


def test_nothing_is_decided_where_nothing_is_due_or_the_clock_was_set_back() -> None:
    noon = utc("2025-01-02T12:00").timestamp()

    assert decide(cron("@hourly"), Policy("all"), noon, noon + 3599) is None
    assert decide(cron("@hourly"), Policy("all"), noon, noon - 7200) is None


def calls_of(function: Callable[[], object]) -> int:
    """How many calls of Python functions it takes."""
    calls = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal calls
        calls += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls


@pytest.mark.parametrize("catch_up", ["none", "last", "all"])
@pytest.mark.parametrize(
    "schedule",
    [
        every(seconds=10),
        every(seconds=10, jitter=9),
        cron("* * * * * *"),
        cron("* * * * * *", tz="Europe/Berlin"),
        cron("* * * * 1 *", tz="Europe/Berlin"),
        cron("30 2 * * *", tz="Europe/Berlin"),
        as_schedule(lambda moment: True),
    ],
)
def test_three_years_away_are_decided_about_as_quickly_as_an_hour(schedule: Schedule, catch_up: Any) -> None:
    policy = Policy(catch_up)
    now = utc("2025-06-01T12:00").timestamp()
    verdicts: list[Verdict | None] = []

    calls = calls_of(lambda: verdicts.append(decide(schedule, policy, now - 3 * 365 * 86400, now)))

    assert calls < 300 * (policy.most + ROWS)
    assert verdicts[0] is not None
    assert len(verdicts[0].ticks) <= policy.most + ROWS + 1
    assert verdicts[0].ticks[0].until is not None


def test_a_gap_full_of_due_times_is_passed_quickly_on_the_way_back() -> None:
    schedule, now = cron("* * * * * *", tz="Europe/Berlin"), utc("2025-03-30T01:00:05").timestamp()

    assert calls_of(lambda: decide(schedule, Policy(), now - 3 * 365 * 86400, now)) < 200_000


def test_options_become_a_policy_with_defaults_for_the_rest() -> None:
    assert Policy.parse("report", {}) == Policy("last", None, "skip", None)
    assert Policy.parse("report", {"catch_up": "all", "within": 3600, "overlap": "queue"}) == Policy(
        "all", HOUR, "queue", None
    )
    assert Policy.parse("report", {"expect_within": timedelta(hours=26)}).expect_within == timedelta(hours=26)
    assert (Policy("none").longest_delay, Policy().longest_delay) == (ON_TIME, LATE)
    assert (Policy().most, Policy("all").most) == (1, MOST)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"catch_up": "some"}, "report: expected catch_up to be 'none', 'last', 'all', got 'some'"),
        ({"catch_up": True}, "expected catch_up"),
        ({"overlap": "forbid"}, "report: expected overlap to be 'skip', 'queue', 'allow', got 'forbid'"),
        ({"within": -1}, "report: expected within to be a timedelta or seconds greater than 0, got -1"),
        ({"within": True}, "expected within"),
        ({"within": "1h"}, "expected within"),
        ({"expect_within": timedelta(0)}, "expected expect_within"),
        ({"expect_within": float("nan")}, "expected expect_within"),
        ({"catch_up": "none", "within": 60}, 'expected within only beside catch_up="last" or "all"'),
        ({"catchup": "all"}, "expected a policy of catch_up, within, overlap, expect_within, got catchup='all'"),
    ],
)
def test_an_unusable_policy_is_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Policy.parse("report", given)
