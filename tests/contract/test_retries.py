"""Failed jobs are run again: how often, after what delay, after which exceptions."""

from __future__ import annotations

import datetime as dt
import logging

import pytest
from huey.exceptions import CancelExecution, RetryTask

from nephew import Nephew, current_job
from nephew.job import State
from tests.contract.conftest import Work
from tests.contract.jobs import fails

HOUR = 3600


def later(huey: Nephew, seconds: float = HOUR) -> int:
    """Time passes: what is due by then moves to the queue."""
    return huey.backend.promote(huey.backend.now() + seconds)


def wait_of(huey: Nephew, job_id: str) -> float:
    """Seconds until a job's next attempt."""
    eta = huey.job(job_id).eta
    return (eta - dt.datetime.now(dt.UTC)).total_seconds()


def test_a_failed_job_is_run_again_as_often_as_was_said(huey: Nephew, work: Work):
    result = huey.task(retries=2)(fails)()

    assert work(huey) == 3

    assert [attempt.outcome for attempt in huey.job(result.id).attempts] == ["failed"] * 3
    assert result.state == State.FAILED


def test_a_retry_waits_and_the_wait_grows_up_to_the_longest(huey: Nephew, work: Work):
    result = huey.task(retries=4, retry_delay=10, retry_backoff=3, retry_max_delay=60)(fails)()
    waits = []
    while work(huey) and result.state == State.RETRYING:
        waits.append(wait_of(huey, result.id))
        later(huey)

    assert waits == pytest.approx([10, 30, 60, 60], abs=2)
    assert result.state == State.FAILED


def test_jitter_lengthens_the_wait_by_a_random_share_but_not_beyond_the_longest(huey: Nephew, work: Work):
    spread = huey.task(name="spread", retries=1, retry_delay=100, retry_jitter=0.5)(fails)
    capped = huey.task(name="capped", retries=1, retry_delay=100, retry_jitter=1.0, retry_max_delay=100)(fails)
    results = [[task() for _ in range(30)] for task in (spread, capped)]
    work(huey)

    free, held = ([wait_of(huey, result.id) for result in group] for group in results)

    assert min(free) > 95 and max(free) <= 150
    assert max(free) - min(free) > 5, "they do not come back all at once"
    assert max(held) <= 100
    assert max(held) - min(held) > 5


@pytest.mark.parametrize(
    ("options", "runs"),
    [
        ({}, 3),
        ({"retry_on": ValueError}, 3),
        ({"retry_on": (OSError, Exception)}, 3),
        ({"retry_on": OSError}, 1),
        ({"no_retry_on": ValueError}, 1),
        ({"no_retry_on": [OSError]}, 3),
        ({"retry_on": Exception, "no_retry_on": ValueError}, 1),
    ],
)
def test_which_exceptions_are_retried_can_be_said(huey: Nephew, work: Work, options: dict, runs: int):
    huey.task(retries=2, **options)(fails)()

    assert work(huey) == runs


def test_a_job_asks_to_be_run_again_beyond_its_retries(huey: Nephew, work: Work):
    @huey.task()
    def picky() -> str:
        if current_job().attempt < 3:
            raise RetryTask
        return "at last"

    result = picky()

    assert work(huey) == 3
    assert result.get() == "at last"
    assert [attempt.outcome for attempt in huey.job(result.id).attempts] == ["retried", "retried", "succeeded"]


def test_a_job_asks_to_be_run_again_after_a_delay(huey: Nephew, work: Work):
    @huey.task()
    def picky() -> None:
        raise RetryTask(delay=120)

    result = picky()
    work(huey)

    assert result.state == State.RETRYING
    assert wait_of(huey, result.id) == pytest.approx(120, abs=2)


def test_a_job_that_cancels_itself_is_cancelled_unless_it_has_retries(huey: Nephew, work: Work):
    def give_up(retry: bool | None = None) -> None:
        raise CancelExecution(retry=retry)

    at_once = huey.task(name="a")(give_up)()
    never = huey.task(name="b", retries=2)(give_up)(retry=False)
    twice = huey.task(name="c", retries=1)(give_up)()

    assert work(huey) == 4
    assert [result.state for result in (at_once, never, twice)] == [State.CANCELLED] * 3
    assert [len(huey.job(result.id).attempts) for result in (at_once, never, twice)] == [1, 1, 2]


def test_a_failed_job_is_told_in_the_log_with_what_happens_next(
    huey: Nephew, work: Work, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.ERROR)
    huey.task(retries=1, retry_delay=30)(fails)()
    work(huey)
    later(huey)
    work(huey)

    told = [record.getMessage() for record in caplog.records if "Unhandled" in record.getMessage()]
    assert "(attempt 1); runs again in about 30 s, 1 retries left." in told[0]
    assert "(attempt 2); no retry is left." in told[1]
