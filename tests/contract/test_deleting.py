"""Which jobs a filter means, and deleting them."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from huey.api import chord

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.backends.records import ChordMark, Filter, LogLines
from nephew.endings import Finished
from nephew.errors import ConfigError
from nephew.job import State
from tests.contract.ageing import age
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, again, failed, fails, job, jobs, parked, succeeded


# -- which jobs ---------------------------------------------------------------------------------------
def test_a_filter_means_the_jobs_that_fit_it_in_every_way(huey: Nephew, work: Work):
    sell = huey.task(name="sell", queue="shop", tags=lambda item: item)(fails)
    give = huey.task(name="give", tags="tea")(fails)
    sold, given, other = sell("tea"), give("tea"), sell("milk")
    work(huey)
    waiting = sell("tea")

    def found(**wanted: Any) -> list[str]:
        selection = huey.inspection.selection(**wanted)
        ids = [job_id for step in selection.ids() for job_id in step]
        assert len(ids) == selection.count()
        assert sorted(ids) == sorted(found.id for found in huey.jobs(limit=None, **wanted))
        return ids

    assert found() == [sold.id, given.id, other.id, waiting.id]
    assert found(state="failed", task="sell") == [sold.id, other.id]
    assert found(state=["failed", "queued"], tag="tea") == [sold.id, given.id, waiting.id]
    assert found(queue="shop", tag="milk") == [other.id]
    assert found(error="oops", queue="default") == [given.id]
    assert found(state="queued", error="oops") == []


def test_a_filter_means_jobs_by_their_age(huey: Nephew):
    task = huey.task(name="task")(lambda: None)
    young, old = task(), task()
    age(huey, 2 / 24, old.id)

    def found(**ages: Any) -> list[str]:
        return [job.id for job in huey.jobs(**ages)]

    assert found(older_than=3600) == found(older_than=dt.timedelta(hours=1)) == [old.id]
    assert found(newer_than=3600) == [young.id]
    assert found(older_than=3600, newer_than=3600) == []


def test_a_state_that_there_is_none_of_is_refused(huey: Nephew):
    with pytest.raises(ConfigError, match=r"expected a state of scheduled, .*; got 'fialed'"):
        huey.inspection.selection(state="fialed")


@pytest.mark.parametrize("age", [float("nan"), "7d", True])
def test_an_age_that_is_none_is_refused(huey: Nephew, age: Any):
    """To PostgreSQL everything is less than nan, and nothing to SQLite."""
    with pytest.raises(ConfigError, match="expected an age in seconds, got"):
        huey.inspection.selection(older_than=age)
    with pytest.raises(ConfigError, match="expected an age in seconds, got"):
        huey.jobs(newer_than=age)


def test_an_empty_text_is_refused_since_every_error_has_it(huey: Nephew):
    with pytest.raises(ConfigError, match="expected a fingerprint or a text of the error, got ''"):
        huey.inspection.selection(error="")


def test_each_job_is_met_once_even_if_it_gets_a_new_place(huey: Nephew, work: Work):
    task = huey.task(name="task")(lambda: None)
    huey.enqueue_many([task.s() for _ in range(450)])
    work(huey)

    met = []
    for ids in huey.inspection.selection(task="task").ids():
        met += ids
        assert all(huey.retry(job_id) for job_id in ids)
        work(huey)

    assert len(met) == len(set(met)) == 450


def test_a_job_that_becomes_due_meanwhile_is_met_too_and_a_new_one_is_not(huey: Nephew):
    task = huey.task(name="task")(lambda: None)
    soon = huey.backend.now() + 60
    huey.backend.enqueue([job(f"{number}", eta=soon) for number in range(450)])

    met = []
    for ids in huey.inspection.selection(state=["scheduled", "queued"]).ids():
        huey.backend.promote(soon)
        task()
        met += ids

    assert sorted(met) == sorted(f"{number}" for number in range(450))


def test_a_list_leaves_out_what_is_long(huey: Nephew, work: Work):
    echo = huey.task(name="echo")(lambda text: text)
    short, long = echo("short"), echo("long" * 2000)
    work(huey)

    listed = {found.id: found for found in huey.jobs()}

    assert (listed[short.id].args, listed[short.id].result) == (("short",), "short")
    assert (listed[long.id].args, listed[long.id].result) == (None, None)
    whole = huey.job(long.id)
    assert whole is not None and whole.args == (whole.result,) == ("long" * 2000,)


# -- deleting -----------------------------------------------------------------------------------------
def test_a_deleted_job_is_gone_with_all_that_belongs_to_it(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([job("gone", chord="c")])
    (claimed,) = hand.claim()
    log = LogLines(1, "[]", 0)
    hand.settle(failed(claimed, log=log, chord_mark=ChordMark("other", 0, 1, b"value", job("callback", chord="other"))))
    backend.put("r:gone", b"revoked")

    assert backend.delete_jobs(["gone"], ended=True) == 1

    assert backend.row("gone") is None
    assert (backend.attempts("gone"), backend.logs("gone"), backend.peek(["r:gone"])) == ([], [], {})
    (callback,) = hand.claim()
    assert callback.chord_values == (b"value",)


def test_only_what_has_ended_or_is_parked_is_deleted(backend: Backend):
    hand = Hand(backend)
    backend.enqueue([*jobs("ended", "parked", "retrying", "running"), job("scheduled", eta=backend.now() + 60)])
    ended, unknown, retrying, _ = hand.claim(4)
    later = again(retrying, state=State.RETRYING, eta=backend.now() + 60)
    hand.settle(succeeded(ended), parked(unknown, "unknown"), later)
    backend.enqueue([job("queued")])

    ids = ["ended", "parked", "retrying", "running", "scheduled", "queued", "nothing"]
    assert backend.delete_jobs(ids, ended=True) == 2

    assert sorted(row.id for row in backend.rows(Filter())) == ["queued", "retrying", "running", "scheduled"]


def test_more_jobs_are_deleted_than_a_statement_takes_values(huey: Nephew, work: Work):
    ended = huey.task()(lambda: None)()
    work(huey)

    assert huey.delete_jobs(*(f"nothing-{number}" for number in range(300_000)), ended.id) == 1

    assert huey.jobs() == []


@pytest.mark.parametrize("what, state, eta", [("queue", State.QUEUED, None), ("schedule", State.RETRYING, 60.0)])
def test_with_flushed_jobs_goes_what_belongs_to_them(backend: Backend, what: str, state: State, eta: float | None):
    hand = Hand(backend)
    backend.enqueue([job("gone", chord="other")])
    (claimed,) = hand.claim()
    log = LogLines(1, "[]", 0)
    hand.settle(again(claimed, state=state, eta=eta and backend.now() + eta, log=log))

    backend.flush(what)

    assert (backend.row("gone"), backend.attempts("gone"), backend.logs("gone")) == (None, [], [])


def test_a_job_that_was_retried_meanwhile_is_kept(huey: Nephew, work: Work):
    failing = huey.task(name="failing")(fails)
    chosen = [failing(), failing()]
    work(huey)
    ids = next(huey.inspection.selection(state="failed").ids())
    huey.retry(chosen[0].id)

    assert huey.delete_jobs(*ids) == 1

    assert [found.id for found in huey.jobs()] == [chosen[0].id]


def test_a_waiting_job_is_kept_until_it_is_cancelled(huey: Nephew):
    waiting = huey.task()(lambda: None)()

    kept = huey.delete_jobs(waiting.id)
    waiting.cancel()

    assert (kept, huey.delete_jobs(waiting.id), huey.delete_jobs(waiting.id)) == (0, 1, 0)
    assert huey.job(waiting.id) is None


def test_a_parked_member_of_a_chord_that_is_deleted_is_not_waited_for(huey: Nephew, work: Work):
    member, total = huey.task(name="member")(lambda: 1), huey.task(name="total")(len)
    waiting = member.s()
    called = huey.enqueue(chord([member.s(), waiting], total.s()))
    (claimed,) = huey.worker.claim(huey.worker.next_claim(), 1, ids=[waiting.id])
    huey.settle(Finished(parked(claimed, "unknown")))

    deleted = huey.delete_jobs(waiting.id)
    work(huey)

    assert (deleted, huey.job(waiting.id)) == (1, None)
    assert called.callback.get() == 2


def test_no_state_at_all_does_not_mean_every_job(huey: Nephew):
    with pytest.raises(ConfigError, match="expected a state or several, got none of them"):
        huey.jobs(state=[])
