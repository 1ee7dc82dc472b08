"""What is kept of jobs that have ended, and for how long; nothing else is ever deleted."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from nephew import Nephew
from nephew.bell import ThreadBell
from nephew.errors import ConfigError
from nephew.job import State
from nephew.pruning import LOOK, Pruner
from nephew.scheduler import Scheduler
from nephew.settings import Keep
from tests.contract.ageing import DAY, age, fill
from tests.contract.conftest import Work
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, failed, fails, job, jobs, parked, succeeded
from tests.contract.test_chords import mark
from tests.stored import count


def left(huey: Nephew) -> set[str]:
    return {row.id for row in huey.backend.rows(limit=None)}


def test_jobs_are_kept_as_long_as_the_settings_say(huey: Nephew, work: Work):
    good, bad = huey.task(name="good")(lambda: 1), huey.task(name="bad")(fails)
    ended = {days: (good(), bad(), good(), good.s()) for days in (31, 8, 1)}
    for _, _, cancelled, late in ended.values():
        cancelled.cancel()
        late.expires = -1
        huey.enqueue(late)
    work(huey)
    for days, results in ended.items():
        age(huey, days, *(result.id for result in results))

    deleted = huey.prune()

    assert deleted == {"succeeded": 2, "failed": 1, "cancelled": 1, "expired": 1}
    kept = [result.id for result in ended[1]] + [result.id for result in ended[8][1:]]
    assert left(huey) == set(kept)


def test_what_waits_runs_or_is_parked_is_never_deleted(huey: Nephew):
    hand = Hand(huey.backend)
    huey.backend.enqueue([*jobs("held", "running", "parked", "waiting"), job("later", eta=huey.backend.now() + DAY)])
    _, running, kept = hand.claim(3)
    huey.backend.mark_running(hand.number, [(running.seq, running.claim, 1.0)])
    hand.settle(parked(kept, "of no use here"))
    age(huey, 1000)

    assert not any(huey.prune(dict.fromkeys(("succeeded", "failed", "cancelled", "expired"), 0)).values())

    assert left(huey) == {"held", "running", "parked", "waiting", "later"}


def test_all_that_belongs_to_a_job_is_deleted_with_it(huey: Nephew, work: Work):
    bad = huey.task(name="bad", retries=1)(fails)
    result, kept = bad(), bad()
    work(huey)
    huey.backend.put(f"r:{result.id}", b"revoked")
    huey.backend.put("theirs", b"value")
    age(huey, 31, result.id)
    assert len(huey.backend.attempts(result.id)) == 2

    huey.prune()

    assert huey.backend.attempts(result.id) == []
    assert len(huey.job(kept.id).attempts) == 2
    assert huey.backend.items().keys() == {"theirs", kept.id}


def test_the_values_of_a_chord_go_with_its_callback(huey: Nephew):
    hand = Hand(huey.backend)
    huey.backend.enqueue(jobs("a"))
    hand.settle(succeeded(hand.claim()[0], chord_mark=mark("c", 0, 1, job("callback", chord="c"))))
    hand.settle(failed(hand.claim()[0]))
    assert count(huey, "chord values") == 1

    age(huey, 10, "callback")
    huey.prune({"failed": "30d"})
    assert count(huey, "chord values") == 1  # it may still be run again

    huey.prune({"failed": 0})
    assert count(huey, "chord values") == 0


@pytest.mark.parametrize("most", [0, 1, 7, 20])
def test_only_the_latest_are_kept_where_their_number_is_limited(huey: Nephew, work: Work, most: int):
    good = huey.task(name="good")(lambda: None)
    results = [good() for _ in range(10)]
    work(huey)
    waiting = [good() for _ in range(3)]

    deleted = huey.prune({"succeeded": Keep(most=most)})

    kept = results[max(0, len(results) - most) :] + waiting
    assert left(huey) == {result.id for result in kept}
    assert deleted == {"succeeded": max(0, len(results) - most)}


def test_a_job_has_to_be_young_and_among_the_latest_to_be_kept(huey: Nephew, work: Work):
    bad = huey.task(name="bad")(fails)
    old, many, new = bad(), bad(), bad()
    work(huey)
    age(huey, 3, old.id)
    age(huey, 1, many.id)

    assert huey.prune({"failed": "2d, 2 jobs"}, dry_run=True) == {"failed": 1}
    assert huey.prune({"failed": "4d, 1 job"}) == {"failed": 2}

    assert left(huey) == {new.id}


def test_a_dry_run_counts_and_deletes_nothing(huey: Nephew):
    fill(huey, 2500, days=8)
    before = left(huey)

    assert huey.prune(dry_run=True)["succeeded"] == 2500

    assert left(huey) == before
    assert huey.prune()["succeeded"] == 2500
    assert left(huey) == set()


def test_other_instances_jobs_are_left_alone(make_huey: Callable[..., Nephew], name: str):
    ours, theirs = make_huey(), make_huey(f"{name}-theirs")
    ours.backend.migrate()
    fill(theirs, LOOK + 100, days=100)
    fill(ours, 10, days=100)

    assert ours.prune()["succeeded"] == 10

    assert (left(ours), len(left(theirs))) == (set(), LOOK + 100)
    theirs.prune()


def test_a_job_that_is_retried_between_the_look_and_the_deleting_is_kept(huey: Nephew, work: Work):
    good = huey.task(name="good")(lambda: None)
    result, again = good(), good()
    work(huey)
    places: list[int] = []
    after: int | None = 0
    while after is not None:  # other instances may have thousands of jobs before ours
        found, after = huey.backend.outdated("succeeded", huey.backend.now() + 1, 0, after)
        places += found
    huey.retry(again.id)

    assert huey.backend.delete_ended(places)[0] == 1

    assert huey.job(result.id) is None
    assert huey.job(again.id).state == "queued"
    work(huey)
    assert huey.job(again.id).state == "succeeded"


def test_a_walk_goes_on_where_the_last_one_ended_and_begins_anew_once_in_a_while(huey: Nephew):
    """A job may end long after those beside it."""
    huey.backend.enqueue([job("slow")])
    fill(huey, 2 * LOOK, days=8, ended=1)
    age(huey, 8, "slow")
    pruner = Pruner(huey, {"succeeded": "7d"})
    pruner.run()
    hand = Hand(huey.backend)
    hand.settle(succeeded(hand.claim()[0], finished_at=huey.backend.now() - 7.5 * DAY))

    assert pruner.run() == {"succeeded": 0}
    assert Pruner(huey, {"succeeded": "7d"}).run() == {"succeeded": 1}

    assert huey.job("slow") is None


def test_those_who_prune_at_once_delete_each_job_once(make_huey: Callable[..., Nephew]):
    huey = make_huey()
    fill(huey, 3000, days=8)

    deleted = at_once(huey.backend, 3, lambda _: Pruner(huey).run()["succeeded"])

    assert sum(deleted) == 3000
    assert left(huey) == set()


def test_a_consumers_scheduler_deletes_in_small_steps_between_which_it_looks_after_everything_else(huey: Nephew):
    fill(huey, 2500, days=8)
    scheduler = Scheduler(huey, threading.Event(), 1, True, ThreadBell())
    counts = []

    while len(counts) < 100 and (not counts or counts[-1]):
        scheduler.loop()
        counts.append(len(left(huey)))
    scheduler.shutdown()

    steps = [before - after for before, after in zip([2500, *counts], counts, strict=False)]
    assert sum(1 for step in steps if step) > 3
    assert max(steps) <= LOOK


def test_data_whose_time_is_over_is_deleted(huey: Nephew):
    huey.backend.put("over", b"1", ttl=-1)
    huey.backend.put("not over", b"2", ttl=DAY)
    huey.backend.put("for ever", b"3")

    huey.prune()

    assert count(huey, "data") == 2
    assert huey.backend.items().keys() == {"not over", "for ever"}


@pytest.mark.parametrize(("keep", "seconds"), [("7d", 3600), ("2h", 900), ("1m", 60), ("1000 jobs", 3600)])
def test_what_is_kept_shortly_is_looked_for_often(make_huey: Callable[..., Nephew], keep: str, seconds: float):
    """On Redis the results of jobs go together, when somebody looks for them."""
    assert Pruner(make_huey(keep_succeeded=keep)).tidies_every == seconds


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (
            {"queued": "7d"},
            "expected a state that ends a job \\(cancelled, .*\\), got 'queued'",
        ),
        ({"failed": "soon"}, "expected what is kept of failed jobs to be a time such as 7d, .* got 'soon'"),
        ({State.FAILED: -1}, "got -1"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(huey: Nephew, keep: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        huey.prune(keep)


def test_nothing_is_looked_for_where_everything_is_kept(backend_url: str, name: str):
    huey = Nephew(name, backend_url, keep_succeeded="forever", keep_failed=Keep())
    huey.backend.migrate()
    fill(huey, 5, days=10_000)

    assert huey.prune() == {"cancelled": 0, "expired": 0}

    assert len(left(huey)) == 5
    huey.backend.close()
