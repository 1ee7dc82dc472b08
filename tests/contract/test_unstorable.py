"""Values that cannot be stored: refused where they are given, or the end of the job that made them."""

from __future__ import annotations

import pytest
from huey.exceptions import TaskException

from nephew import Nephew
from nephew.errors import EncodeError
from nephew.job import State
from tests.contract.conftest import Work


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
    with pytest.raises(TaskException, match=r"EncodeError.*Opaque"):
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


@pytest.mark.parametrize("argument", ["a\0b", "a\ud800b"])
def test_a_name_that_the_store_does_not_take_holds_up_no_worker(huey: Nephew, work: Work, url: str, argument: str):
    use = huey.task(name="use", redact="options")(lambda value, **options: None)
    pipeline = huey.task(name="make")(lambda: 1).s().then(use, **{argument: 1})
    following = huey.task(name="next")(lambda: None).s()

    huey.enqueue(pipeline)
    huey.enqueue(following)
    work(huey)

    takes = not url.startswith("postgresql") and argument.isascii()
    assert huey.job(pipeline.id).state == (State.SUCCEEDED if takes else State.FAILED)
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
