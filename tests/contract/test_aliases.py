"""Renamed tasks: `aliases=` are the names that their jobs were stored with, and consumers of both versions agree."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from huey.api import chord

from nephew import Nephew, cron
from nephew.errors import ConfigError
from nephew.job import State
from tests.contract.conftest import Work
from tests.contract.timekeeping import HOUR, NOON, Clock, rows, ticker, write

Make = Callable[..., Nephew]


def called(name: str) -> str:
    """The stored name of a task of these tests."""
    return f"{__name__}.{name}"


@pytest.fixture
def versions(make_huey: Make) -> tuple[Nephew, Nephew]:
    """The instance as an old and a new version of an application have it."""
    return make_huey(), make_huey()


def test_jobs_of_the_former_name_are_run_and_keep_it(versions: tuple[Nephew, Nephew], work: Work):
    old, new = versions
    send = old.task(name="send")(lambda to: f"old to {to}")
    at_once, later = send("Ada"), send.schedule(("Bob",), delay=3600)
    new.task(name="deliver", aliases=called("send"))(lambda to: f"new to {to}")

    new.run_now(later.id)
    work(new)

    assert (at_once.get(), later.get()) == ("new to Ada", "new to Bob")
    assert new.job(later.id).task == called("send")


def test_a_retry_can_be_run_by_either_version(versions: tuple[Nephew, Nephew], work: Work):
    old, new = versions
    result = old.task(name="send", retries=1)(lambda: "old ran it")()

    @new.task(name="deliver", aliases=called("send"), retries=1)
    def deliver() -> None:
        raise ConnectionError

    new.execute(new.dequeue())
    work(old)

    assert result.get() == "old ran it"


def test_a_job_of_the_new_name_waits_for_the_new_version(versions: tuple[Nephew, Nephew], work: Work):
    old, new = versions
    old.task(name="send")(lambda: "old")
    result = new.task(name="deliver", aliases=[called("send")])(lambda: "new")()
    work(old)

    parked, released = result.state, (old.unpark_known(), new.unpark_known())
    work(new)

    assert (parked, released, result.get()) == (State.PARKED, (0, 1), "new")


def test_pipelines_and_chords_that_name_it_go_on(versions: tuple[Nephew, Nephew], work: Work):
    old, new = versions
    add = old.task(name="add")(lambda a, b: a + b)
    total = old.task(name="total")(lambda values: sum(values))
    steps = old.enqueue(add.s(1, 2).then(add, 3).then(add, 4))
    members = old.enqueue(chord([add.s(1, 1), add.s(2, 2).then(add, 1)], total.s()))
    new.task(name="plus", aliases=called("add"))(lambda a, b: a + b)
    new.task(name="summed", aliases=called("total"))(lambda values: sum(values))

    work(new)

    assert steps.get() == [3, 6, 10]
    assert members.callback.get() == 7


def test_a_unique_key_holds_under_all_names(versions: tuple[Nephew, Nephew], work: Work):
    old, new = versions
    send = old.task(name="send", unique=True)(lambda to: None)
    deliver = new.task(name="deliver", unique=True, aliases=(called("post"), called("send")))(lambda to: None)
    first, second = send("Ada"), deliver("Bob")

    assert (deliver("Ada").id, send("Bob").id) == (first.id, second.id)
    work(new)
    assert not deliver("Ada").duplicate


def test_revoking_it_revokes_what_waits_under_its_former_name(versions: tuple[Nephew, Nephew], work: Work):
    old, new = versions
    waiting = old.task(name="send")(lambda: "ran")()
    deliver = new.task(name="deliver", aliases=called("send"))(lambda: "ran")

    deliver.revoke()
    revoked = deliver()
    work(new)
    restored = deliver.restore(), deliver.restore()
    let_through = deliver()
    work(new)

    assert (waiting.state, revoked.state) == (State.CANCELLED, State.CANCELLED)
    assert (restored, let_through.get()) == ((True, False), "ran")


def test_a_schedules_tick_is_written_once_by_both_versions(versions: tuple[Nephew, Nephew], work: Work):
    old, new = versions
    ran: list[str] = []
    old.periodic_task(cron("0 * * * *"), name="sweep")(lambda: ran.append("old"))
    new.periodic_task(cron("0 * * * *"), name="tidy", aliases=called("sweep"))(lambda: ran.append("new"))
    clock = Clock()
    tickers = [ticker(huey, clock) for huey in versions]

    clock.now = NOON
    write(*tickers)
    work(new)
    clock.now += HOUR
    write(*reversed(tickers))
    work(new)

    assert rows(old, "sweep") == [(0, "enqueued"), (HOUR, "enqueued")]
    assert ran == ["new", "new"]


@pytest.mark.parametrize("alias", ["send", "", ".send", "shop.", 7, ["shop.send", None]])
def test_an_alias_is_a_stored_name(huey: Nephew, alias: object):
    with pytest.raises(ConfigError, match="expected aliases to be former names of the task with their modules"):
        huey.task(aliases=alias)(lambda: None)  # type: ignore[call-overload]


def test_a_name_belongs_to_one_task(huey: Nephew):
    huey.task(name="send", aliases="shop.send")(lambda: None)

    for name, alias in (("post", called("send")), ("post", "shop.send"), ("post", called("post"))):
        with pytest.raises(ConfigError, match=f"expected an alias that no task is called by, got '{alias}'"):
            huey.task(name=name, aliases=alias)(lambda: None)
    function = lambda: None  # noqa: E731
    function.__module__ = "shop"
    with pytest.raises(ConfigError, match=f"that no task had before, got an alias of {called('send')}"):
        huey.task(name="send")(function)
    assert huey.inspection.tasks() == [called("send")]


def test_an_unregistered_task_leaves_its_names(huey: Nephew):
    send = huey.task(name="send", aliases="shop.send")(lambda: None)

    send.unregister()

    huey.task(name="post", aliases=["shop.send", called("send")])(lambda: None)
    assert huey.inspection.catalogue()[0].aliases == ("shop.send", called("send"))
