"""Prefetch: only jobs that are known to be short are claimed ahead."""

from __future__ import annotations

from nephew.prefetch import MOST_BYTES, SHORT, Prefetch


def sizes(prefetch: Prefetch, count: int, *durations: tuple[str, float]) -> list[int]:
    """The sizes of the next claims, between which these runs were noted each time."""
    found = []
    for _ in range(count):
        found.append(prefetch.size())
        for task, duration in durations:
            prefetch.note(task, duration)
    return found


def test_until_something_is_known_one_job_is_claimed():
    assert sizes(Prefetch(128, 0.02), 5) == [1] * 5


def test_the_size_doubles_while_all_jobs_are_short():
    assert sizes(Prefetch(128, 0.02), 10, ("short", 0.00001)) == [1, 2, 4, 8, 16, 32, 64, 128, 128, 128]


def test_no_more_is_claimed_than_fits_into_the_time():
    assert sizes(Prefetch(128, 0.02), 6, ("short", 0.004)) == [1, 2, 4, 5, 5, 5]


def test_a_long_task_is_never_claimed_ahead():
    assert sizes(Prefetch(128, 0.02), 5, ("long", SHORT * 2)) == [1] * 5


def test_idle_looks_say_nothing_about_a_long_task():
    prefetch = Prefetch(128, 0.02)
    prefetch.note("long", 10.0)

    assert sizes(prefetch, 10) == [1] * 10


def test_one_long_task_among_short_ones_begins_anew():
    prefetch = Prefetch(128, 0.02)
    sizes(prefetch, 6, ("short", 0.0001))

    prefetch.note("long", 1.0)
    after = sizes(prefetch, 3, ("short", 0.0001))

    assert after == [1, 2, 4]


def test_the_mean_follows_a_task_that_became_short():
    prefetch = Prefetch(128, 0.02)
    prefetch.note("task", 1.0)

    found = sizes(prefetch, 40, ("task", 0.0001))

    assert found[0] == 1
    assert found[-1] > 1


def test_the_most_can_be_one():
    assert sizes(Prefetch(1, 0.02), 5, ("short", 0.0)) == [1] * 5


def test_what_is_held_already_counts_into_the_time():
    prefetch = Prefetch(128, 0.02)
    sizes(prefetch, 9, ("short", 0.001))

    assert prefetch.size() == 20
    assert prefetch.size(beside=15) == 5
    assert prefetch.size(beside=20) == 0
    assert prefetch.size() == 20, "what there was room for says nothing about the next hand"


def test_nothing_is_claimed_beside_what_may_be_long():
    prefetch = Prefetch(128, 0.02)

    assert prefetch.size(beside=1) == 0


def test_a_short_job_that_had_to_wait_for_the_machine_once_changes_little():
    prefetch = Prefetch(128, 0.02)
    sizes(prefetch, 10, ("short", 0.00002))
    for _ in range(127):
        prefetch.note("short", 0.00002)
    prefetch.note("short", 0.01)

    assert prefetch.size() == 128


def test_of_large_jobs_few_are_held():
    prefetch = Prefetch(128, 0.02)
    sizes(prefetch, 10, ("short", 0.00001))

    prefetch.weigh([MOST_BYTES // 4] * 2)
    few = prefetch.size(), prefetch.size(beside=4)
    prefetch.weigh([100, 100])

    assert few == (4, 0)
    assert [prefetch.size() for _ in range(6)] == [8, 16, 32, 64, 128, 128]
