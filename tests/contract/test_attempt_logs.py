"""What the function of a job logs is kept with each of its attempts."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nephew import Nephew, current_job
from nephew.job import AttemptLog
from nephew.journal import LONGEST
from tests.contract.conftest import Work

log = logging.getLogger("shop")


@pytest.fixture(autouse=True)
def info() -> Any:
    """The application lets INFO pass."""
    level = log.level
    log.setLevel(logging.INFO)
    yield
    log.setLevel(level)


def said(logs: list[AttemptLog]) -> list[list[str]]:
    return [[line.text for line in attempt.lines] for attempt in logs]


def test_each_attempt_keeps_its_own_lines(huey: Nephew, work: Work):
    @huey.task(retries=1)
    def price(item: str) -> None:
        log.info("attempt %d for %s", current_job().attempt, item)
        log.debug("not let through")
        if current_job().attempt == 1:
            raise ValueError(item)

    result = price("tea")
    work(huey)

    first, second = huey.logs(result.id)
    assert said([first, second]) == [["attempt 1 for tea"], ["attempt 2 for tea"]]
    assert (first.attempt, second.attempt, first.dropped) == (1, 2, 0)
    (line,) = second.lines
    assert (line.level, line.logger) == ("INFO", "shop")
    assert datetime.now(UTC) - line.time < timedelta(minutes=1)


def test_a_traceback_is_part_of_its_line(huey: Nephew, work: Work):
    @huey.task()
    def guess() -> None:
        try:
            int("x")
        except ValueError:
            log.exception("no number")

    result = guess()
    work(huey)

    (line,) = huey.logs(result.id)[0].lines
    assert line.text.startswith("no number\nTraceback")
    assert line.text.endswith("invalid literal for int() with base 10: 'x'")


def test_only_what_the_function_itself_logs_is_kept(huey: Nephew, work: Work):
    """Neither the engine's own words, nor those of other jobs and threads."""

    @huey.task(name="quiet")
    def quiet() -> None:
        thread = threading.Thread(target=log.info, args=["somebody else"])
        thread.start()
        thread.join()

    @huey.task(name="loud")
    def loud() -> None:
        log.info("it is me")
        raise ValueError("the engine tells of it")

    first, second = quiet(), loud()
    log.info("before")
    work(huey)

    assert huey.logs(first.id) == []
    assert said(huey.logs(second.id)) == [["it is me"]]


def test_code_in_the_jobs_context_belongs_to_it_on_other_threads_too(huey: Nephew, work: Work):
    @huey.task()
    def wait() -> None:
        asyncio.run(asyncio.to_thread(log.info, "from a thread"))

    result = wait()
    work(huey)

    assert said(huey.logs(result.id)) == [["from a thread"]]


def test_the_last_lines_are_kept_and_the_others_counted(make_huey: Callable[..., Nephew], work: Work):
    huey = make_huey(log_lines=3)

    @huey.task()
    def count() -> None:
        for number in range(10):
            log.info("%d", number)

    result = count()
    work(huey)

    (kept,) = huey.logs(result.id)
    assert [line.text for line in kept.lines] == ["7", "8", "9"]
    assert kept.dropped == 7


def test_no_lines_are_kept_where_none_are_wanted(make_huey: Callable[..., Nephew], work: Work):
    huey = make_huey(log_lines=0)
    result = huey.task()(lambda: log.info("hello"))()

    work(huey)

    assert huey.logs(result.id) == []


def test_a_long_line_loses_its_middle(huey: Nephew, work: Work):
    result = huey.task()(lambda: log.info("begin %s end", "x" * 100_000))()
    work(huey)

    (line,) = huey.logs(result.id)[0].lines
    assert len(line.text) <= LONGEST + 3
    assert line.text.startswith("begin xx") and line.text.endswith("xx end") and " … " in line.text


def test_a_line_that_no_store_takes_as_it_is_does_not_cost_the_end(huey: Nephew, work: Work):
    result = huey.task()(lambda: log.info("nothing: \0 \ud800"))()

    work(huey)

    assert result.state == "succeeded"
    assert len(huey.logs(result.id)[0].lines) == 1


@pytest.mark.parametrize("redact", [(), "secret"])
def test_a_line_with_a_traceback_that_is_none_does_not_fail_the_job(
    huey: Nephew, work: Work, monkeypatch: pytest.MonkeyPatch, redact: Any
):
    monkeypatch.setattr(log, "propagate", False)  # what else prints it may complain

    @huey.task(redact=redact)
    def lookup(secret: str) -> None:
        log.error("not found", exc_info=("a", "b"))

    result = lookup("tok-7391")
    work(huey)

    assert result.state == "succeeded"
    assert said(huey.logs(result.id)) == [["not found\n('a', 'b')"]]


def test_a_retry_by_hand_adds_to_the_record(huey: Nephew, work: Work):
    result = huey.task()(lambda: log.info("attempt %d", current_job().attempt))()
    work(huey)

    huey.retry(result.id)
    work(huey)

    assert said(huey.logs(result.id)) == [["attempt 1"], ["attempt 2"]]


def test_execute_by_hand_keeps_lines_as_well(huey: Nephew):
    result = huey.task()(lambda: log.info("by hand"))()

    task = huey.dequeue()
    assert task is not None
    huey.execute(task)

    assert said(huey.logs(result.id)) == [["by hand"]]


def test_immediate_mode_keeps_lines_as_well(name: str):
    huey = Nephew(name, "memory://", immediate=True)
    inner = huey.task(name="inner")(lambda: log.info("inner"))

    @huey.task(name="outer")
    def outer() -> str:
        log.info("before")
        found = inner()
        log.info("after")
        return str(found.id)

    result = outer()

    assert said(huey.logs(result.id)) == [["before", "after"]]
    assert said(huey.logs(result.get())) == [["inner"]]
    huey.sign_off()


def test_what_is_kept_reads_as_json(huey: Nephew, work: Work):
    result = huey.task()(lambda: log.info("hello"))()
    work(huey)

    (stored,) = huey.backend.logs(result.id)

    ((_, *words),) = json.loads(stored.lines)
    assert words == ["INFO", "shop", "hello"]
