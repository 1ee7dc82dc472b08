"""What must be had before a job begins: its lock. A store that is away then is not the job's failure."""

from __future__ import annotations

from pathlib import Path

import pytest

from nephew import BackendError, ConfigError, Nephew
from nephew.backends.redis import RedisBackend


def _take_the_locks_away(huey: Nephew) -> None:
    if isinstance(huey.backend, RedisBackend):
        huey.backend.call("SET", huey.backend.key("locks"), "no lock")
        return
    huey.backend.locks()  # the tables are there
    huey.backend.database.execute_sql("ALTER TABLE nephew_lock RENAME TO nephew_lock_away")


def _bring_them_back(huey: Nephew) -> None:
    if isinstance(huey.backend, RedisBackend):
        huey.backend.call("DEL", huey.backend.key("locks"))
        return
    huey.backend.database.execute_sql("ALTER TABLE nephew_lock_away RENAME TO nephew_lock")


@pytest.mark.parametrize("kind", ["lock", "lock_task"])
def test_a_job_whose_lock_cannot_be_asked_for_goes_back_uncounted(huey: Nephew, kind: str):
    lock = getattr(huey, kind)("one")

    @huey.task()
    @lock
    def guarded() -> str:
        return "done"

    result = guarded()
    _take_the_locks_away(huey)
    try:
        huey.execute(huey.dequeue())
    finally:
        _bring_them_back(huey)
    given_back = huey.job(result.id)
    huey.run_now(result.id)
    huey.execute(huey.dequeue())

    assert given_back is not None and (given_back.state, given_back.attempts) == ("scheduled", ())
    assert result.get() == "done"


def test_a_lock_that_a_function_takes_itself_fails_it_like_any_other_error(huey: Nephew):
    @huey.lock("inner")
    def helper() -> None: ...

    @huey.task()
    def outer() -> None:
        helper()

    result = outer()
    _take_the_locks_away(huey)
    try:
        huey.execute(huey.dequeue())
    finally:
        _bring_them_back(huey)

    job = huey.job(result.id)
    assert job is not None and job.state == "failed"
    assert "BackendError" in str(job.error)


def test_a_retry_count_that_is_no_whole_number_does_not_retry_for_ever(huey: Nephew):
    @huey.task()
    def fails() -> None:
        raise ValueError("no")

    result = fails(retries=1.5)
    huey.execute(huey.dequeue())
    huey.execute(huey.dequeue())

    job = huey.job(result.id)
    assert job is not None and (job.state, len(job.attempts)) == ("failed", 2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("retries", 1.5),
        ("retries", -1),
        ("priority", "high"),
        ("expires", "soon"),
        ("context", 3),
        ("timeout", "x"),
        ("max_crashes", 1.5),
        ("name", 5),
    ],
)
def test_an_unusable_task_option_is_refused_at_import(huey: Nephew, option: str, value: object):
    with pytest.raises(ConfigError, match=f"expected {option} to be"):
        huey.task(**{option: value})(lambda: None)


def test_a_task_without_brackets_is_refused_at_import(huey: Nephew):
    with pytest.raises(ConfigError, match="with brackets"):

        @huey.task
        def bare() -> None: ...


@pytest.mark.parametrize(("option", "value"), [("immediate", "ja"), ("serializer", 5)])
def test_an_unusable_instance_option_is_refused(option: str, value: object):
    with pytest.raises(ConfigError, match=f"expected {option} to"):
        Nephew("shop", "memory://", **{option: value})


@pytest.mark.parametrize("priority", ["x", float("nan")])
def test_a_priority_that_is_no_number_is_refused_at_the_call(huey: Nephew, priority: object):
    @huey.task()
    def f() -> None: ...

    with pytest.raises(Exception, match="expected priority to be a number"):
        f(priority=priority)

    assert huey.jobs() == []


def test_a_place_that_can_hold_no_database_says_so(tmp_path: Path):
    (tmp_path / "text.txt").write_text("this is a text and no database at all, whatever its name says" * 50)

    for url, words in (
        (f"sqlite:///{tmp_path}/nowhere/x.db", "expected to be able to read and write"),
        (f"sqlite:///{tmp_path}/text.txt", "cannot be used: file is not a database"),
    ):
        huey = Nephew("shop", url)
        task = huey.task()(lambda: None)
        with pytest.raises(ConfigError, match=words):
            task()
        with pytest.raises(ConfigError, match=words):
            huey.prepare_store()


def test_a_function_that_uses_a_store_that_is_away_sees_the_error(huey: Nephew):
    _take_the_locks_away(huey)
    try:
        with pytest.raises(BackendError):
            huey.lock("one").acquire()
    finally:
        _bring_them_back(huey)
