"""The ledger of ticks: each due time is decided once, by whoever is first, and what became of it can be seen."""

from __future__ import annotations

from collections import Counter

import pytest

from nephew.backends.contract import Backend
from nephew.backends.schedules import MOST_WAITING, Decided, NewTick, TickRow
from tests.contract.crowd import at_once
from tests.contract.deciding import NOON, begun, decide, decision, ends, fates, stored, tick
from tests.contract.jobs import failed, job


# -- once -----------------------------------------------------------------------------------------------
def test_a_due_time_is_enqueued_and_has_a_row(backend: Backend):
    its = job("a")

    (decided,) = decide(begun(backend), decision(tick(NOON + 60, its)))

    assert decided == Decided(True, NOON + 60, ((NOON + 60, "enqueued", ""),))
    (row,) = backend.ticks("hourly")
    assert row._replace(written_at=0.0) == TickRow("hourly", NOON + 60, "enqueued", "", "a", None, 0.0, "queued", None)
    assert abs(row.written_at - backend.now()) < 60
    assert backend.row("a").state == "queued"
    assert stored(backend).seen == NOON + 60


def test_who_decides_later_changes_nothing_and_is_told_how_far_it_is_decided(backend: Backend):
    begun(backend)
    first = decide(backend, decision(tick(NOON + 60)))
    second = decide(backend, decision(tick(NOON + 60), tick(NOON + 120)))

    assert first[0].taken
    assert second == [Decided(False, NOON + 60)]
    assert backend.waiting_count() == 1
    assert len(backend.ticks("hourly")) == 1


def test_a_schedule_that_has_not_begun_or_was_removed_is_not_decided(backend: Backend):
    backend.define_schedule("gone", "{}", b"", True, NOON)
    backend.remove_schedule("gone")

    decided = decide(backend, decision(tick(NOON + 60)), decision(tick(NOON + 60), schedule="gone"))

    assert decided == [Decided(False, NOON), Decided(False, NOON)]
    assert backend.waiting_count() == 0


def test_a_due_time_that_has_a_row_is_not_enqueued_again_even_when_the_schedule_was_set_back(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60)))
    backend.define_schedule("hourly", None, None, False, NOON)

    (decided,) = decide(backend, decision(tick(NOON + 60), tick(NOON + 120)))

    assert decided == Decided(True, NOON + 120, ((NOON + 120, "enqueued", ""),))
    assert backend.waiting_count() == 2


@pytest.mark.parametrize("count", [2, 5])
def test_of_many_who_decide_at_once_one_writes_each_tick_and_the_ledger_is_complete(backend: Backend, count: int):
    names = [f"s{number}" for number in range(4)]
    begun(backend, *names)

    def decides(_: int) -> int:
        taken, seen = 0, dict.fromkeys(names, NOON)
        while min(seen.values()) < NOON + 300:
            given = [decision(tick(seen[name] + 60), schedule=name, seen=seen[name]) for name in names]
            given = [each for each in given if each.upto <= NOON + 300]
            for each, answer in zip(given, backend.decide(given), strict=True):
                taken += answer.taken
                seen[each.schedule] = answer.seen
        return taken

    taken = at_once(backend, count, decides)

    assert sum(taken) == backend.waiting_count() == 20
    for name in names:
        assert fates(backend, name) == [(minute, "enqueued", "") for minute in (1, 2, 3, 4, 5)]


def test_missed_due_times_have_rows_and_many_of_them_share_one(backend: Backend):
    missed = [
        NewTick(NOON + 60, None, "missed", "down", until=NOON + 1800),
        NewTick(NOON + 1860, None, "missed", "down"),
        NewTick(NOON + 1920, None, "skipped", "middleware"),
    ]

    decide(begun(backend), decision(*missed, tick(NOON + 1980)))

    assert fates(backend) == [(1, "missed", "down"), (31, "missed", "down"), (32, "skipped", "middleware"),
                              (33, "enqueued", "")]  # fmt: skip
    assert [row.until for row in backend.ticks("hourly")] == [None, None, None, NOON + 1800]
    assert [row.job is None for row in backend.ticks("hourly")] == [False, True, True, True]


def test_the_ledger_is_read_from_the_end_in_parts(backend: Backend):
    decide(begun(backend), decision(*(tick(NOON + minute * 60) for minute in range(1, 8))))

    latest = backend.ticks("hourly", 3)
    before = backend.ticks("hourly", 3, before=latest[-1].due)

    assert [(row.due - NOON) / 60 for row in [*latest, *before]] == [7, 6, 5, 4, 3, 2]
    assert backend.ticks("unknown") == []


# -- what may be in the way -----------------------------------------------------------------------------
def test_a_paused_schedule_skips_its_ticks(backend: Backend):
    begun(backend).pause_schedule("hourly", NOON)

    decide(backend, decision(tick(NOON + 60), overlap="queue"))

    assert fates(backend) == [(1, "skipped", "paused")]
    assert backend.waiting_count() == 0


def test_with_skip_a_tick_is_left_out_while_a_job_of_the_schedule_is_unfinished(backend: Backend):
    begun(backend, "hourly", "other")
    first, ids = [], ["a", "b"]
    decide(backend, decision(tick(NOON + 30), schedule="other", overlap="skip"))

    for index, minute in enumerate((1, 2, 3)):
        its = tick(NOON + minute * 60, job(ids[minute // 2] if minute != 2 else None))
        first += decide(backend, decision(its, seen=NOON + index * 60, overlap="skip"))
        if minute == 2:
            ends(backend, "a", how=failed)

    assert fates(backend) == [(1, "enqueued", ""), (2, "skipped", "job a is queued"), (3, "enqueued", "")]
    assert first[1].fates == ((NOON + 120, "skipped", "job a is queued"),)


def test_several_ticks_of_a_decision_count_for_each_other(backend: Backend):
    begun(backend, "skips", "queues", "allows")
    given = [tick(NOON + minute * 60, job(f"{minute}")) for minute in (1, 2, 3)]

    decide(
        backend,
        decision(*given, schedule="skips", overlap="skip"),
        decision(*(each._replace(job=job()) for each in given), schedule="queues", overlap="queue"),
        decision(*(each._replace(job=job()) for each in given), schedule="allows", overlap="allow"),
    )

    assert fates(backend, "skips") == [(1, "enqueued", "")] + [(m, "skipped", "job 1 is queued") for m in (2, 3)]
    assert fates(backend, "queues") == [(1, "enqueued", ""), (2, "waiting", ""), (3, "waiting", "")]
    assert fates(backend, "allows") == [(minute, "enqueued", "") for minute in (1, 2, 3)]
    assert backend.waiting_count() == 5


def test_a_deleted_job_is_in_no_ticks_way(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60, job("a"))))
    backend.delete_jobs(["a"])

    decide(backend, decision(tick(NOON + 120), seen=NOON + 60, overlap="skip"))

    assert [fate for _, fate, _ in fates(backend)] == ["enqueued", "enqueued"]


def test_a_tick_whose_job_has_a_twin_is_skipped(backend: Backend):
    begun(backend)
    backend.enqueue([job("a", unique_key="key"), job("b")])
    given = [job("c", unique_key="key"), job("b"), job("d", unique_key="own"), job("e", unique_key="own")]

    decide(backend, decision(*(tick(NOON + 60 * (1 + number), its) for number, its in enumerate(given))))

    assert fates(backend) == [
        (1, "skipped", "job a has its unique key"),
        (2, "skipped", "job b has its id"),
        (3, "enqueued", ""),
        (4, "skipped", "job d has its unique key"),
    ]
    assert backend.waiting_count() == 3


def test_a_tick_whose_jobs_id_was_that_of_an_ended_one_is_enqueued(backend: Backend):
    begun(backend)
    backend.enqueue([job("a", unique_key="key")])
    ends(backend, "a")

    decide(backend, decision(tick(NOON + 60, job("a", unique_key="key"))))

    assert fates(backend) == [(1, "enqueued", "")]
    assert backend.row("a").state == "queued"


# -- waiting --------------------------------------------------------------------------------------------
def test_waiting_ticks_are_released_one_by_one_in_their_order(backend: Backend):
    decide(begun(backend), decision(*(tick(NOON + 60 * n, job(f"{n}")) for n in (1, 2, 3)), overlap="queue"))
    assert backend.release_ticks() == []
    assert not backend.release("hourly", NOON + 120, job())
    ends(backend, "1")

    assert backend.release_ticks() == [("hourly", NOON + 120)]
    assert not backend.release("hourly", NOON + 180, job("x"))
    assert backend.release("hourly", NOON + 120, job("2"))
    assert not backend.release("hourly", NOON + 120, job("y"))
    assert backend.release_ticks() == []
    ends(backend, "2")
    decide(backend, decision(tick(NOON + 240), seen=NOON + 180, overlap="queue"))
    assert backend.release_ticks() == [("hourly", NOON + 180)]

    assert fates(backend) == [(1, "enqueued", ""), (2, "enqueued", ""), (3, "waiting", ""), (4, "waiting", "")]
    assert backend.ticks("hourly")[2].job == "2"


def test_a_released_tick_is_released_once_by_many(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60, job("a")), tick(NOON + 120), overlap="queue"))
    ends(backend, "a")

    released = at_once(backend, 5, lambda _: backend.release("hourly", NOON + 120, job()))

    assert released.count(True) == backend.waiting_count() == 1


def test_nothing_is_released_while_a_schedule_is_paused(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60, job("a")), tick(NOON + 120), overlap="queue"))
    ends(backend, "a")
    backend.pause_schedule("hourly", NOON)

    assert (backend.release_ticks(), backend.release("hourly", NOON + 120, job())) == ([], False)

    backend.pause_schedule("hourly", None)
    assert backend.release_ticks() == [("hourly", NOON + 120)]


def test_a_waiting_tick_that_cannot_be_released_is_skipped(backend: Backend):
    given = [tick(NOON + 60, job("a")), *(tick(NOON + 60 * minute) for minute in (2, 3))]
    decide(begun(backend), decision(*given, overlap="queue"))
    ends(backend, "a")
    backend.enqueue([job("b", unique_key="key")])

    assert not backend.release("hourly", NOON + 120, job(unique_key="key"))
    assert [backend.skip_tick("hourly", NOON + 180, "middleware") for _ in range(2)] == [True, False]

    assert fates(backend)[1:] == [(2, "skipped", "job b has its unique key"), (3, "skipped", "middleware")]
    assert backend.release_ticks() == []


def test_only_so_many_ticks_wait(backend: Backend):
    begun(backend)
    given = [tick(NOON + second) for second in range(1, MOST_WAITING + 4)]

    decide(backend, decision(*given, overlap="queue"))
    decide(backend, decision(tick(NOON + 5000), seen=given[-1].due, overlap="queue"))

    assert Counter((fate, reason) for _, fate, reason in fates(backend)) == {
        ("enqueued", ""): 1,
        ("waiting", ""): MOST_WAITING,
        ("skipped", "1,000 ticks wait already"): 3,
    }


# -- by hand --------------------------------------------------------------------------------------------
def test_a_tick_by_hand_is_enqueued_whatever_pause_and_overlap_say(backend: Backend):
    decide(begun(backend), decision(tick(NOON + 60)))
    backend.pause_schedule("hourly", NOON)

    assert [backend.run_tick("hourly", NOON + 90.5, job()) for _ in range(2)] == ["enqueued", "enqueued"]

    assert [(fate, reason) for _, fate, reason in fates(backend)[1:]] == [("enqueued", "by hand")] * 2
    assert stored(backend).seen == NOON + 60
    assert backend.waiting_count() == 3


def test_a_tick_by_hand_counts_as_an_unfinished_job_of_its_schedule(backend: Backend):
    begun(backend).run_tick("hourly", NOON + 30, job("a"))

    decide(backend, decision(tick(NOON + 60), overlap="skip"))

    assert fates(backend)[1] == (1, "skipped", "job a is queued")


def test_a_tick_by_hand_that_has_a_twin_is_skipped(backend: Backend):
    backend.enqueue([job("a", unique_key="key")])

    assert backend.run_tick("never begun", NOON, job(unique_key="key")) == "skipped"

    assert fates(backend, "never begun") == [(0, "skipped", "job a has its unique key")]
