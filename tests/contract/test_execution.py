"""Running jobs: what becomes of them, of what hangs on them, and of what cannot be run."""

from __future__ import annotations

import datetime as dt
import logging
import sys
from typing import Any

import pytest
from huey.exceptions import CancelExecution, ResultTimeout, RetryTask, TaskException

from nephew import Nephew, current_job
from nephew.errors import ConfigError, EncodeError, JobEnded, NephewError
from nephew.job import State
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, job

HOUR = 3600


def later(huey: Nephew, seconds: float = HOUR) -> int:
    """Time passes: what is due by then moves to the queue."""
    return huey.backend.promote(huey.backend.now() + seconds)


def wait_of(huey: Nephew, job_id: str) -> float:
    """Seconds until a job's next attempt."""
    eta = huey.job(job_id).eta
    return (eta - dt.datetime.now(dt.UTC)).total_seconds()


def fails(*args: Any, **kwargs: Any) -> None:
    raise ValueError("oops")


# -- values -----------------------------------------------------------------------------------------


def test_a_job_goes_from_a_call_to_a_stored_result(huey: Nephew, work: Work):
    @huey.task()
    def add(a: int, b: int = 0) -> int:
        return a + b

    result = add(1, b=2)
    before = result.get()
    work(huey)

    assert before is None
    assert result.get() == result.get(blocking=True) == 3
    assert result.state == State.SUCCEEDED


def test_none_is_a_result_that_is_not_waited_for(huey: Nephew, work: Work):
    result = huey.task()(lambda: None)()
    work(huey)

    assert result.get(blocking=True, timeout=5) is None


def test_a_result_is_read_by_two_callers(huey: Nephew, work: Work):
    result = huey.task()(lambda: {"answer": 42})()
    work(huey)

    read = at_once(huey.backend, 2, lambda _: huey.result(result.id, blocking=True, timeout=5))

    assert read == [{"answer": 42}] * 2


def test_waiting_ends_at_the_timeout_and_names_the_state(huey: Nephew):
    result = huey.task()(lambda: None)()

    with pytest.raises(ResultTimeout, match=f"job {result.id}: it is queued"):
        result.get(blocking=True, timeout=0)


def test_the_record_of_a_job_is_complete(huey: Nephew, work: Work):
    @huey.task(queue="mail", priority=5, retries=1, name="send", unique=True)
    def send(to: str, copies: int = 1) -> str:
        if current_job().attempt == 1:
            raise ConnectionError("no answer")
        current_job().progress(0.75, "almost")
        return f"sent to {to}"

    before = dt.datetime.now(dt.UTC)
    result = send("ann", copies=2)
    work(huey)
    after = dt.datetime.now(dt.UTC)

    found = huey.job(result.id)
    assert (found.id, found.task, found.queue, found.state) == (result.id, f"{__name__}.send", "mail", "succeeded")
    assert (found.priority, found.args, found.kwargs) == (5, ("ann",), {"copies": 2})
    assert (found.result, found.error, found.reason, found.crashes, found.ended) == ("sent to ann", None, None, 0, True)
    assert (found.progress.fraction, found.progress.message) == (0.75, "almost")
    assert found.unique_key.startswith(f"{__name__}.send:")
    assert before <= found.enqueued_at <= found.started_at <= found.finished_at <= after
    first, second = found.attempts
    assert (first.number, first.outcome, first.error) == (1, "failed", "ConnectionError('no answer')")
    assert 'raise ConnectionError("no answer")' in first.traceback
    assert (second.number, second.outcome, second.error) == (2, "succeeded", None)
    for attempt in found.attempts:
        assert before <= attempt.started_at <= attempt.finished_at <= after
        assert 0 <= attempt.duration < 60
        assert f":{huey.worker.pid}:" in attempt.worker


def test_the_running_job_is_known_inside_and_only_there(huey: Nephew, work: Work):
    seen = []

    @huey.task(queue="slow")
    def look() -> None:
        job = current_job()
        seen.append((job.id, job.task, job.attempt, job.queue))

    result = look()
    work(huey)

    assert seen == [(result.id, f"{__name__}.look", 1, "slow")]
    with pytest.raises(NephewError, match="outside of a running job"):
        current_job()


@pytest.mark.parametrize("fraction", [-0.1, 1.5, "half", None, float("nan")])
def test_progress_that_is_no_fraction_fails_the_job_saying_so(huey: Nephew, work: Work, fraction: Any):
    result = huey.task()(lambda: current_job().progress(fraction))()
    work(huey)

    with pytest.raises(TaskException, match="expected a progress from 0.0 to 1.0"):
        result.get()


# -- failures ---------------------------------------------------------------------------------------


def test_a_failure_is_raised_where_the_result_is_asked_for(huey: Nephew, work: Work):
    result = huey.task()(fails)()
    work(huey)

    with pytest.raises(TaskException, match="ValueError") as caught:
        result.get(blocking=True)

    assert caught.value.metadata["error"] == "ValueError('oops')"
    assert 'raise ValueError("oops")' in caught.value.metadata["traceback"]
    assert huey.job(result.id).error == "ValueError('oops')"


@pytest.mark.parametrize("ending", [SystemExit(3), GeneratorExit(), BaseException("odd"), StopIteration()])
def test_an_exception_that_would_end_a_thread_ends_only_the_job(huey: Nephew, work: Work, ending: BaseException):
    def end() -> None:
        raise ending

    result, following = huey.task(name="end")(end)(), huey.task(name="next")(lambda: "ran")()
    work(huey)

    assert result.state == State.FAILED
    assert following.get() == "ran"


def test_sys_exit_ends_the_job_and_not_the_worker(huey: Nephew, work: Work):
    result = huey.task(retries=1)(lambda: sys.exit(1))()

    assert work(huey) == 2
    assert [attempt.error for attempt in huey.job(result.id).attempts] == ["SystemExit(1)"] * 2


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

    assert 95 < min(free) and max(free) <= 150
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


def test_the_error_handlers_of_several_attempts_are_separate_jobs(make_huey, work: Work):
    huey = make_huey()
    told: list[str] = []
    handle = huey.task(name="handle")(lambda error: told.append(str(error)))

    @huey.task(retries=2)
    def picky() -> None:
        raise ValueError(f"attempt {current_job().attempt}")

    call = picky.s().error(handle)
    huey.enqueue(call)
    work(huey)

    assert sorted(told) == ["attempt 1", "attempt 2", "attempt 3"]
    assert len({found.id for found in huey.jobs(task="handle")}) == 3


def test_an_error_handler_may_be_called_only_when_no_retry_is_left(make_huey, work: Work):
    huey = make_huey(store_intermediate_errors=False)
    told: list[str] = []
    handle = huey.task(name="handle")(lambda where, error: told.append(f"{where} {error}"))

    huey.enqueue(huey.task(retries=2)(fails).s().error(handle, "here"))
    work(huey)

    assert told == ["here oops"]


def test_an_exception_that_cannot_be_shown_still_fails_the_job(huey: Nephew, work: Work):
    class Shy(Exception):
        def __repr__(self) -> str:
            raise RuntimeError("not me")

        __str__ = __repr__

    def raises() -> None:
        raise Shy

    result = huey.task(retries=1)(raises)()

    assert work(huey) == 2
    assert result.state == State.FAILED
    assert "Shy" in huey.job(result.id).error


@pytest.mark.parametrize("text", ["a \0 inside", "lone \ud800 surrogate"], ids=["nul", "surrogate"])
def test_a_text_that_no_database_takes_keeps_no_job_from_failing(huey: Nephew, work: Work, text: str):
    class Odd(Exception):
        def __repr__(self) -> str:
            return text

    def raises() -> None:
        current_job().progress(0.5, text)
        raise Odd(text)

    result, following = huey.task(name="odd", retries=1)(raises)(), huey.task(name="next")(lambda: "ran")()
    work(huey)

    assert result.state == State.FAILED
    assert len(huey.job(result.id).attempts) == 2
    assert following.get() == "ran"


# -- what cannot be stored --------------------------------------------------------------------------


class Opaque:
    pass


def test_an_argument_that_cannot_be_stored_is_refused_by_the_call_which_names_it(huey: Nephew):
    task = huey.task()(lambda *args, **options: None)

    with pytest.raises(EncodeError, match="what"):
        task(1, what=Opaque())
    with pytest.raises(EncodeError):
        huey.enqueue_many([task.s(1), task.s(Opaque())])

    assert len(huey) == 0


def test_a_result_that_cannot_be_stored_fails_the_job_saying_so(huey: Nephew, work: Work):
    result = huey.task(retries=3)(lambda: Opaque())()

    assert work(huey) == 1, "running it again would not make it storable"

    assert result.state == State.FAILED
    with pytest.raises(TaskException, match="EncodeError.*Opaque"):
        result.get()


@pytest.mark.parametrize("results", [True, False])
def test_a_result_that_the_next_step_cannot_be_given_fails_the_pipeline(make_huey, work: Work, results: bool):
    huey = make_huey(results=results)
    make = huey.task(name="make")(lambda: Opaque())
    use = huey.task(name="use")(lambda value: None)
    pipeline = make.s().then(use)
    following = huey.task(name="next")(lambda: None).s()

    huey.enqueue(pipeline)
    huey.enqueue(following)
    work(huey)

    assert huey.job(pipeline.id).state == State.FAILED
    assert huey.job(pipeline.on_complete.id).state == State.CANCELLED
    assert huey.job(following.id).state == State.SUCCEEDED


def test_a_value_too_large_for_the_next_step_fails_the_pipeline(make_huey, work: Work):
    huey = make_huey(max_bytes=5000, warn_bytes=5000)
    make = huey.task(name="make")(lambda: "x" * 4000)
    use = huey.task(name="use")(lambda first, value: None)

    results = huey.enqueue(make.s().then(use, "y" * 3000))
    work(huey)

    assert [result.state for result in results] == [State.FAILED, State.CANCELLED]


def test_an_argument_that_became_unstorable_fails_the_job_instead_of_its_retry(huey: Nephew, work: Work):
    @huey.task(retries=3)
    def spoil(values: list) -> None:
        values.append(Opaque())
        raise ValueError("oops")

    result = spoil([])

    assert work(huey) == 1
    assert result.state == State.FAILED
    assert "oops" in huey.job(result.id).traceback


def test_arguments_that_are_too_large_are_refused_and_large_ones_warned_about(
    make_huey, work: Work, caplog: pytest.LogCaptureFixture
):
    huey = make_huey(max_bytes=10_000, warn_bytes=1_000)
    task = huey.task()(lambda text: text)

    with pytest.raises(EncodeError, match="at most 10,000 bytes, got 20,"):
        task("x" * 20_000)
    result = task("x" * 2_000)

    assert "a name of data that is stored elsewhere is faster" in caplog.text
    assert work(huey) == 1
    assert result.get() == "x" * 2_000


# -- not run ----------------------------------------------------------------------------------------


def test_an_expired_job_is_not_run(huey: Nephew, work: Work):
    ran: list[int] = []
    task = huey.task(expires=-60)(lambda: ran.append(1))

    result = task()
    work(huey)

    assert (ran, result.state) == ([], State.EXPIRED)
    with pytest.raises(JobEnded, match=f"job {result.id} has no result: it is expired \\(expired at"):
        result.get(blocking=True, timeout=5)
    assert huey.job(result.id).attempts == ()


def test_a_revoked_job_is_not_run(huey: Nephew, work: Work):
    ran: list[int] = []
    task = huey.task()(lambda: ran.append(1))
    revoked, restored = task(), task()

    revoked.revoke()
    restored.revoke()
    restored.restore()
    work(huey)

    assert ran == [1]
    assert (revoked.state, restored.state) == (State.CANCELLED, State.SUCCEEDED)
    with pytest.raises(JobEnded, match=r"it is cancelled \(revoked\)"):
        revoked.get(blocking=True, timeout=5)


def test_all_jobs_of_a_task_can_be_revoked(huey: Nephew, work: Work):
    task = huey.task(name="a")(lambda: None)
    other = huey.task(name="b")(lambda: None)
    task.revoke()
    results = [task(), task(), other()]

    work(huey)

    assert [result.state for result in results] == ["cancelled", "cancelled", "succeeded"]


def test_a_revocation_that_came_too_late_is_forgotten(huey: Nephew, work: Work):
    task = huey.task(name="late")(lambda: None)

    @huey.task(name="revokes")
    def revokes() -> None:
        huey.revoke_by_id(current_job().id)

    revokes()
    result = task()
    work(huey)

    assert result.state == State.SUCCEEDED
    assert huey.backend.items() == {}


def test_a_cancelled_job_ends_with_its_pipeline_its_chord_member_and_its_key(huey: Nephew, work: Work):
    from huey.api import chord

    ran: list[Any] = []
    step = huey.task(name="step", unique=True)(ran.append)
    total = huey.task(name="total")(lambda values: ran.append(len(values)))
    member, other = step.s("cancelled").then(step, "after"), step.s("other")
    called = huey.enqueue(chord([member, other], total.s()))

    cancelled = huey.cancel(member.id, "not needed")

    work(huey)
    assert cancelled
    assert ran == ["other", 2]
    assert (huey.job(member.id).state, huey.job(member.id).reason) == ("cancelled", "not needed")
    assert huey.job(member.on_complete.id).state == "cancelled"
    assert called.callback.state == "succeeded"
    assert not step("cancelled").duplicate


def test_a_job_can_be_cancelled_while_it_waits_and_not_afterwards(huey: Nephew, work: Work):
    task = huey.task()(lambda: None)
    waiting, scheduled, ended = task(), task.schedule(delay=HOUR), task.schedule(delay=-1)
    hand = Hand(huey.backend)
    held = task()
    hand.claim(ids=[held.id])

    early = [result.cancel() for result in (waiting, scheduled, held)]
    work(huey)

    assert early == [True, True, False]
    assert ended.state == "succeeded" and not ended.cancel()
    assert not waiting.cancel()
    assert not huey.cancel("unknown")


def test_a_pipeline_that_fails_cancels_its_later_steps_with_the_error_as_their_result(huey: Nephew, work: Work):
    ran: list[int] = []
    number = huey.task(name="number")(lambda: 1)
    bad = huey.task(name="bad")(fails)
    never = huey.task(name="never")(ran.append)

    results = list(huey.enqueue(number.s().then(bad).then(never).then(never)))
    work(huey)

    assert [result.state for result in results] == ["succeeded", "failed", "cancelled", "cancelled"]
    assert ran == []
    for result in results[1:]:
        with pytest.raises(TaskException, match="oops"):
            result.get(blocking=True, timeout=5)
    assert f"{results[1].id}, a step before it, failed" in huey.job(results[3].id).reason


def test_a_pipeline_hands_each_value_on(huey: Nephew, work: Work):
    add = huey.task()(lambda value, more: value + more)

    results = huey.enqueue(add.s(1, 2).then(add, 10).then(add, 100))
    work(huey)

    assert [result.get() for result in results] == [3, 13, 113]


# -- parked -----------------------------------------------------------------------------------------


def test_a_renamed_task_is_parked_and_released_when_it_is_known_again(make_huey, work: Work):
    old, new = make_huey(), make_huey()
    result = old.task(name="before")(lambda: "ran")()

    work(new)
    parked = new.job(result.id)
    unknown = new.unpark_known()
    new.task(name="before")(lambda: "ran by its old name")
    released = new.unpark_known()
    work(new)

    assert parked.state == State.PARKED and "before" in parked.reason
    assert (unknown, released) == (0, 1)
    assert result.get() == "ran by its old name"


def test_a_parked_job_is_released_by_hand(make_huey, work: Work):
    old, new = make_huey(), make_huey()
    result = old.task(name="before")(lambda: "ran")()
    work(new)
    with pytest.raises(JobEnded, match="it is parked"):
        result.get(blocking=True, timeout=0)

    assert new.retry(result.id)

    work(old)
    assert result.get() == "ran"


@pytest.mark.parametrize("data", [b"", b"\x80\x04no job", b"not a job \xff", b'["half'])
def test_bytes_that_are_not_a_job_are_parked_and_kept(huey: Nephew, work: Work, data: bytes):
    result = huey.task()(lambda: "ran")
    huey.backend.enqueue([job("odd", payload=data)])
    following = result()

    work(huey)

    row = huey.backend.row("odd")
    assert (row.state, row.payload) == ("parked", data)
    assert "DecodeError" in row.reason
    assert huey.job("odd").args is None
    assert following.get() == "ran"
    assert huey.cancel("odd")


def test_a_parked_job_keeps_nobody_else_from_running_by_hand(huey: Nephew):
    huey.backend.enqueue([job("odd", payload=b"no job")])
    result = huey.task()(lambda: "ran")()

    huey.execute(huey.dequeue())

    assert huey.dequeue() is None
    assert result.get() == "ran"


# -- again ------------------------------------------------------------------------------------------


def test_an_ended_job_runs_again_when_somebody_says_so(huey: Nephew, work: Work):
    @huey.task()
    def flaky() -> str:
        if current_job().attempt == 1:
            raise ValueError
        return "ran"

    result = flaky()
    work(huey)

    assert huey.retry(result.id)
    assert not huey.retry(result.id)
    work(huey)

    assert result.get() == "ran"
    assert [attempt.outcome for attempt in huey.job(result.id).attempts] == ["failed", "succeeded"]


def test_a_revoked_job_that_somebody_runs_again_is_run(huey: Nephew, work: Work):
    result = huey.task()(lambda: "ran")()
    result.revoke()
    work(huey)
    assert result.state == State.CANCELLED

    huey.retry(result.id)
    work(huey)

    assert result.get() == "ran"


def test_a_storage_error_before_the_run_gives_back_and_does_not_fail(huey: Nephew, work: Work):
    task = huey.task()(lambda: "ran")
    result = task()
    claimed = huey.worker.claim(huey.worker.next_claim(), 1)

    huey.worker.retire()

    assert len(claimed) == 1
    assert result.state == State.QUEUED
    assert work(huey) == 1
    assert huey.job(result.id).attempts[0].number == 1


# -- options ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uniqe": True}, "task f: unknown option 'uniqe'; did you mean unique\\? \\(known: attrs, context,"),
        ({"colour": 1}, "attributes of your own go into attrs="),
        ({"queue": ""}, "expected queue to be a name, got ''"),
        ({"unique": "yes"}, "expected unique to be True or a function, got 'yes'"),
        ({"retry_jitter": 2}, "expected retry_jitter from 0.0 to 1.0, got 2"),
        ({"retry_max_delay": 0}, "expected retry_max_delay to be greater than 0, got 0"),
        ({"max_crashes": -1}, "expected max_crashes to be greater than 0, got -1"),
        ({"retry_on": "ValueError"}, "expected retry_on to be exception classes, got 'ValueError'"),
        ({"no_retry_on": [1]}, "expected no_retry_on to be exception classes, got 1"),
        ({"attrs": [1]}, "expected attrs to be a dict, got \\[1\\]"),
        ({"retries": "3"}, "expected retries to be a number of 0 or more, got '3'"),
        ({"retry_delay": -1}, "expected retry_delay to be a number of 0 or more, got -1"),
    ],
)
def test_an_unusable_option_fails_at_import(huey: Nephew, options: dict, message: str):
    def f() -> None:
        pass

    with pytest.raises(ConfigError, match=message):
        huey.task(**options)(f)


def test_an_unknown_option_of_a_periodic_task_fails_at_import(huey: Nephew):
    from nephew import cron

    with pytest.raises(ConfigError, match="did you mean retries"):
        huey.periodic_task(cron("0 2 * * *"), retrys=1)(fails)


def test_free_attributes_are_found_on_the_job(huey: Nephew, work: Work):
    found = []

    @huey.task(attrs={"team": "mail"}, context=True)
    def look(task: Any = None) -> None:
        found.append(task.team)

    look()
    work(huey)

    assert found == ["mail"]


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
