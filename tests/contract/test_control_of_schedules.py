"""Ticks are closed when their jobs have ended, schedules are controlled, and the ledger is pruned."""

from __future__ import annotations

import itertools

import pytest

from nephew.backends.contract import Backend
from nephew.backends.schedules import Decided, Decision, NewTick
from tests.contract.crowd import at_once
from tests.contract.deciding import NOON, begun, decide, decision, ends, fates, stored, tick
from tests.contract.jobs import failed, job


# -- closing --------------------------------------------------------------------------------------------
def test_a_tick_is_closed_when_its_job_has_ended_and_each_is_told_once(backend: Backend):
    begun(backend, "hourly", "other")
    decide(backend, decision(*(tick(NOON + 60 * n, job(f"{n}")) for n in (1, 2, 3, 4))))
    decide(backend, decision(tick(NOON + 60, job("other")), schedule="other"))
    assert backend.close_ticks() == []
    ends(backend, "1")
    ends(backend, "2", how=failed)
    backend.delete_jobs(["3"])
    assert [row.state for row in backend.ticks("hourly")] == ["queued", None, "failed", "succeeded"]

    closed = backend.close_ticks()

    assert [(row.due - NOON, row.state) for row in closed] == [(60, "succeeded"), (120, "failed"), (180, "forgotten")]
    assert closed == list(reversed(backend.ticks("hourly")))[:3]
    assert all(abs(row.ended_at - backend.now()) < 60 for row in closed)
    assert backend.close_ticks() == []
    assert (stored(backend).succeeded_at, stored(backend, "other").succeeded_at) == (closed[0].ended_at, None)


def test_ticks_are_closed_in_parts_and_each_by_one(backend: Backend):
    ids = [f"{number}" for number in range(30)]
    decide(begun(backend), decision(*(tick(NOON + 1 + number, job(id)) for number, id in enumerate(ids))))
    ends(backend, *ids)

    assert len(backend.close_ticks(limit=5)) == 5
    rest = at_once(backend, 4, lambda _: backend.close_ticks())

    assert sum(map(len, rest)) == 25
    assert backend.close_ticks() == []


def test_a_success_is_seen_though_its_job_is_deleted_at_once_because_it_is_not_kept(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60, job("a"))))
    ends(backend, "a")
    (place,) = backend.latest("succeeded")[0]

    backend.delete_ended([place])

    backend.close_ticks()
    (row,) = backend.ticks("hourly")
    assert (row.state, stored(backend).succeeded_at) == ("succeeded", row.ended_at)


def test_a_job_that_is_deleted_does_not_leave_its_tick_open(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60, job("a"))))
    backend.delete_jobs(["a"])

    assert [row.state for row in backend.close_ticks()] == ["forgotten"]
    assert stored(backend).succeeded_at is None


def test_a_job_that_is_run_again_by_hand_opens_its_tick_again_and_its_success_counts(backend: Backend):
    its = job("a", parent="hourly", relation="schedule")
    decide(begun(backend), decision(tick(NOON + 60, its), tick(NOON + 120, job("b"))))
    ends(backend, "a", "b", how=failed)
    backend.close_ticks()

    assert backend.requeue("a")

    assert [row.state for row in backend.ticks("hourly")] == ["failed", "queued"]
    (decided,) = decide(backend, decision(tick(NOON + 180), seen=NOON + 120, overlap="skip"))
    assert decided.fates == ((NOON + 180, "skipped", "job a is queued"),)
    ends(backend, "a")
    assert [row.state for row in backend.close_ticks()] == ["succeeded"]
    assert stored(backend).succeeded_at == backend.ticks("hourly")[-1].ended_at is not None


# -- control --------------------------------------------------------------------------------------------
def test_a_schedule_begins_once(backend: Backend):
    backend.begin_schedules(["b", "a"], NOON)
    backend.begin_schedules(["a", "c"], NOON + 60)

    version, rows = backend.schedules()

    assert [(row.schedule, row.seen, row.since) for row in rows] == [
        ("a", NOON, NOON), ("b", NOON, NOON), ("c", NOON + 60, NOON + 60)
    ]  # fmt: skip
    assert set(rows[0][3:]) == {None, False}
    assert version == backend.schedules_version()


def test_the_version_grows_with_control_and_not_with_ticks(backend: Backend):
    versions = [backend.schedules_version()]

    for act in (
        lambda: begun(backend),
        lambda: decide(backend, decision(tick(NOON + 60))),
        lambda: backend.mark_lapse("hourly", None, "told"),
        lambda: backend.pause_schedule("nobody", NOON),
        lambda: backend.pause_schedule("hourly", NOON),
        lambda: backend.pause_schedule("hourly", NOON + 1),
        lambda: backend.pause_schedule("hourly", None),
        lambda: backend.pause_schedule("hourly", None),
        lambda: backend.define_schedule("hourly", "{}", None, False, NOON),
        lambda: backend.remove_schedule("hourly"),
        lambda: backend.remove_schedule("hourly"),
    ):
        act()
        versions.append(backend.schedules_version())

    changes = [after - before for before, after in itertools.pairwise(versions)]
    assert [change > 0 for change in changes] == [
        False, False, False, False, True, False, True, False, True, True, False,
    ]  # fmt: skip


def test_a_schedule_is_paused_and_resumed_once(backend: Backend):
    begun(backend)

    done = [backend.pause_schedule("hourly", paused_at) for paused_at in (NOON, NOON + 1)]
    paused_at = stored(backend).paused_at
    done += [backend.pause_schedule("hourly", None) for _ in range(2)]

    assert (done, paused_at) == ([True, False, True, False], NOON)
    assert stored(backend).paused_at is None
    assert not backend.pause_schedule("nobody", NOON)


def test_a_schedule_that_is_defined_anew_keeps_its_ledger_and_is_decided_from_then_on(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60, job("a"))))
    ends(backend, "a")
    backend.close_ticks()
    backend.pause_schedule("hourly", NOON)

    backend.define_schedule("hourly", '{"cron": "ü"}', b"\x00arguments", True, NOON + 600)

    row = stored(backend)
    assert (row.seen, row.since, row.definition, row.payload, row.added, row.paused_at) == (
        NOON + 600, NOON + 600, '{"cron": "ü"}', b"\x00arguments", True, NOON
    )  # fmt: skip
    assert row.succeeded_at is not None
    assert not decide(backend, decision(tick(NOON + 120), seen=NOON + 60))[0].taken
    assert len(backend.ticks("hourly")) == 1

    backend.define_schedule("hourly", None, None, False, NOON + 700)
    row = stored(backend)
    assert (row.definition, row.payload, row.added, row.seen) == (None, None, False, NOON + 700)


def test_a_change_may_leave_it_as_it_is_up_to_where_a_schedule_is_decided(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60)))

    for name in ("hourly", "new"):
        backend.define_schedule(name, "{}", None, False, None)

    assert (stored(backend).seen, stored(backend).since, stored(backend).definition) == (NOON + 60, NOON, "{}")
    assert stored(backend, "new").seen == stored(backend, "new").since == pytest.approx(backend.now(), abs=60)
    assert backend.schedule("new") == stored(backend, "new")
    assert backend.schedule("nobody") is None


def test_a_decision_without_ticks_moves_on_up_to_where_a_schedule_is_decided(backend: Backend):
    (decided,) = begun(backend).decide([Decision("hourly", NOON, NOON + 3600, "skip", ())])

    assert (decided, stored(backend).seen) == (Decided(True, NOON + 3600), NOON + 3600)


def test_what_waits_is_skipped_when_its_schedule_is_removed_and_its_ledger_stays(backend: Backend):
    backend.define_schedule("hourly", "{}", b"", True, NOON)
    decide(backend, decision(tick(NOON + 60, job("a")), tick(NOON + 120), overlap="queue"))

    assert [backend.remove_schedule("hourly") for _ in range(2)] == [True, False]

    assert backend.schedules()[1] == []
    assert fates(backend) == [(1, "enqueued", ""), (2, "skipped", "its schedule was removed")]
    ends(backend, "a")
    assert [row.state for row in backend.close_ticks()] == ["succeeded"]
    assert backend.release_ticks() == []


def test_a_lapse_is_marked_by_one_of_many(backend: Backend):
    begun(backend)

    marked = at_once(backend, 5, lambda number: backend.mark_lapse("hourly", None, f"telling {number}"))

    assert marked.count(True) == 1
    assert stored(backend).lapse == f"telling {marked.index(True)}"
    assert not backend.mark_lapse("hourly", "told", None)
    assert backend.mark_lapse("hourly", f"telling {marked.index(True)}", None)
    assert stored(backend).lapse is None
    assert not backend.mark_lapse("nobody", None, "told")


# -- pruning --------------------------------------------------------------------------------------------
def test_ticks_of_long_ago_and_too_many_are_deleted_but_none_that_is_not_over(backend: Backend):
    begun(backend, "hourly", "other")
    decide(backend, decision(*(tick(NOON + n, job(f"{n}")) for n in range(1, 11))))
    decide(backend, decision(tick(NOON + 60, job("o")), tick(NOON + 61), schedule="other", overlap="queue"))
    ends(backend, *(f"{n}" for n in range(1, 10) if n != 3))
    later = backend.now() + 60

    assert backend.prune_ticks(before=NOON, most=1000) == 0
    assert backend.prune_ticks(before=later, most=0) == 0  # nothing is closed yet
    backend.close_ticks()

    assert [backend.prune_ticks(before=NOON, most=6, limit=2) for _ in range(3)] == [2, 1, 0]
    assert [row.due - NOON for row in reversed(backend.ticks("hourly"))] == [3, 5, 6, 7, 8, 9, 10]

    assert [backend.prune_ticks(before=later, most=1000) for _ in range(2)] == [5, 0]
    assert [row.due - NOON for row in reversed(backend.ticks("hourly"))] == [3, 10]
    assert [row.fate for row in backend.ticks("other")] == ["waiting", "enqueued"]


def test_the_row_of_what_was_missed_years_ago_is_not_deleted_as_soon_as_it_is_written(backend: Backend):
    decide(begun(backend), decision(NewTick(NOON + 60, None, "missed", "down"), tick(NOON + 90 * 86400)))

    assert backend.prune_ticks(before=backend.now() - 86400, most=1000) == 0


def test_two_instances_do_not_see_each_others_schedules(make_huey):
    one, other = make_huey("one").backend, make_huey("other").backend
    for backend in (one, other):
        decide(begun(backend), decision(tick(NOON + 60, job("a"))))

    one.pause_schedule("hourly", NOON)
    ends(one, "a")

    assert (len(one.close_ticks()), other.close_ticks()) == (1, [])
    assert (stored(one).paused_at, stored(other).paused_at) == (NOON, None)
    assert one.prune_ticks(one.now() + 60, 0) == 1
    assert len(other.ticks("hourly")) == 1
