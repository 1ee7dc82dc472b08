"""Running jobs: what becomes of them and of what hangs on them."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Any

import pytest
from huey.exceptions import CancelExecution, ResultTimeout, TaskException

from nephew import Nephew, current_job
from nephew.errors import NephewError
from nephew.job import Progress, State
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.contract.jobs import fails


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


def test_long_bytes_come_and_go_as_they_are(huey: Nephew, work: Work):
    long = bytes(range(256)) * 100
    result = huey.task()(lambda data: [data, data[::-1]])(long)
    work(huey)

    assert result.get() == [long, long[::-1]]
    assert huey.job(result.id).args == (long,)


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

    with pytest.raises(TaskException, match=r"expected a progress from 0\.0 to 1\.0"):
        result.get()


def test_a_job_that_is_not_run_has_no_progress_of_the_one_before(huey: Nephew, work: Work):
    before = huey.task(name="before")(lambda: current_job().progress(0.5, "half"))()
    kept_out = huey.task(name="kept_out")(lambda: None)()

    @huey.pre_execute()
    def refuse(task: Any) -> None:
        if task.name == "kept_out":
            raise CancelExecution

    work(huey)

    assert huey.job(before.id).progress == Progress(0.5, "half")
    assert huey.job(kept_out.id).progress is None


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


def test_what_was_claimed_and_not_begun_goes_back_when_the_worker_retires(huey: Nephew, work: Work):
    result = huey.task()(lambda: "ran")()
    claimed = huey.worker.claim(huey.worker.next_claim(), 1)

    huey.worker.retire()

    assert len(claimed) == 1
    assert result.state == State.QUEUED
    assert work(huey) == 1
    assert huey.job(result.id).attempts[0].number == 1


def test_a_pipeline_goes_on_when_its_failed_step_is_run_again_by_hand(huey: Nephew, work: Work):
    @huey.task()
    def flaky(value: int) -> int:
        if current_job().attempt == 1:
            raise ValueError
        return value

    add = huey.task(name="add")(lambda value, more: value + more)
    first, second, third = huey.enqueue(flaky.s(1).then(add, 10).then(add, 100))
    work(huey)
    assert (first.state, second.state, third.state) == ("failed", "cancelled", "cancelled")

    huey.retry(first.id)
    work(huey)

    assert (first.state, second.state, third.state) == ("succeeded",) * 3
    assert huey.job(third.id).result == 111
