"""Pending work stays fast beside finished work: the databases say that they use the partial indexes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nephew.backends.records import Filter
from nephew.backends.sql import SqlBackend, open_sql
from tests.contract.jobs import Hand, job, succeeded

FINISHED = 100_000
FILL = """
INSERT INTO nephew_job
 (name, id, task, queue, state, priority, payload, enqueued_at, attempts, crashes, alone, finished_at, worker, claim)
"""
NUMBERS = {
    "sqlite": f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {FINISHED})"
    f"{FILL} SELECT 'plans', 'done-' || i, 'demo', 'default', 'succeeded', 0, x'00', i, 1, 0, FALSE, i, 1, i FROM n",
    "postgresql": f"{FILL} SELECT 'plans', 'done-' || i, 'demo', 'default', 'succeeded', 0, '\\x00', i, 1, 0, FALSE,"
    f" i, 1, i FROM generate_series(1, {FINISHED}) AS n(i)",
}


class Explained(SqlBackend):
    """Asks the database, before each statement, how it will run it."""

    plans: list[str]

    def _run(self, sql: str, params: Any = (), many: bool = False) -> Any:
        if hasattr(self, "plans") and not many:
            explain = "EXPLAIN QUERY PLAN " if self.dialect.look_first else "EXPLAIN "
            rows = super()._run(explain + sql, params).fetchall()
            self.plans.append("\n".join(str(row[-1]) for row in rows))
        return super()._run(sql, params, many)


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explained]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'nephew.db'}"
    else:
        url = request.getfixturevalue("postgres").url
    backend = open_sql("plans", url, None, True)
    backend.__class__ = Explained
    backend.migrate()
    with backend.database.atomic():
        backend.database.execute_sql(NUMBERS[backend.description.split()[0]])
    backend.enqueue([job() for _ in range(300)])
    backend.enqueue([job(eta=backend.now() + 60) for _ in range(300)])
    backend.database.execute_sql("ANALYZE nephew_job")
    yield backend
    backend.database.execute_sql("DELETE FROM nephew_job WHERE name = 'plans'")
    backend.close()


def plans_of(backend: Explained, act: Callable[[], Any]) -> str:
    backend.plans = []
    try:
        act()
        return "\n".join(backend.plans)
    finally:
        del backend.plans


def assert_indexed(plans: str) -> None:
    assert "SCAN nephew_job\n" not in plans + "\n", plans
    assert "Seq Scan on nephew_job" not in plans, plans


@pytest.mark.parametrize("queues", [(), ("default", "mail")])
def test_a_claim_looks_at_waiting_jobs_only(full: Explained, queues: tuple[str, ...]):
    hand = Hand(full)

    plans = plans_of(full, lambda: hand.claim(20, queues=queues))

    assert "nephew_job_ready" in plans
    assert_indexed(plans)


def test_a_claim_chooses_its_jobs_once(full: Explained):
    """On the inner side of a loop PostgreSQL would choose and lock anew for each row, beyond the limit."""
    hand = Hand(full)

    plans = plans_of(full, lambda: hand.claim(20))

    locks_rows = not full.dialect.look_first
    assert plans.count("LockRows") == int(locks_rows)
    assert not locks_rows or plans.index("CTE chosen") < plans.index("LockRows") < plans.index("CTE Scan")


def test_a_settle_finds_its_claims_by_their_place(full: Explained):
    hand = Hand(full)
    claimed = hand.claim(20)

    plans = plans_of(full, lambda: hand.settle(*(succeeded(entry) for entry in claimed)))

    assert_indexed(plans)


def test_due_jobs_are_found_by_their_time(full: Explained):
    plans = plans_of(full, lambda: (full.promote(), full.next_due()))

    assert "nephew_job_due" in plans
    assert_indexed(plans)


def test_a_dead_workers_claims_are_found_by_the_worker(full: Explained):
    hand, heir = Hand(full), Hand(full)
    hand.claim(5)

    plans = plans_of(full, lambda: (full.retire(heir.number), hand.dies()))

    assert "nephew_job_claimed" in plans
    assert_indexed(plans)


def test_what_waits_is_counted_without_what_is_finished(full: Explained):
    plans = plans_of(full, full.waiting_count)

    assert "nephew_job_ready" in plans
    assert_indexed(plans)


def test_a_unique_job_is_found_by_its_key(full: Explained):
    full.enqueue([job(unique_key="plans")])

    plans = plans_of(full, lambda: full.enqueue([job(unique_key="plans")]))

    assert "nephew_job_unique" in plans
    assert_indexed(plans)


def test_a_family_is_found_by_its_parents_and_members(full: Explained):
    hand = Hand(full)
    callback = job("plans-callback", chord="plans-chord", parent="plans-chord", relation="chord")
    full.enqueue([job("plans-member", member="plans-chord"), job("plans-child", parent="plans-member"), callback])

    plans = plans_of(full, lambda: [full.relatives(f"plans-{one}") for one in ("member", "child", "callback")])

    assert "nephew_job_parent" in plans
    assert "nephew_job_member" in plans
    assert_indexed(plans)
    assert full.relatives("plans-member") == ([], ["plans-child", "plans-callback"])
    assert hand.claim() != []


def test_jobs_with_a_tag_are_found_among_those_with_tags(full: Explained):
    full.enqueue([job(tags=",plans,")])
    wanted = Filter(tag="plans")

    plans = plans_of(full, lambda: (full.rows(wanted), full.count(wanted), full.ids(wanted)))

    assert plans.count("nephew_job_tagged") == 3
    assert_indexed(plans)


def test_failures_are_found_by_their_fingerprint(full: Explained):
    wanted = Filter(fingerprint="plans")

    plans = plans_of(full, lambda: (full.rows(wanted), full.count(wanted), full.ids(wanted)))

    assert plans.count("nephew_job_fingerprint") == 3
    assert_indexed(plans)


def test_failures_are_counted_and_searched_without_what_succeeded(full: Explained):
    failed = Filter(states=("failed", "cancelled"), error="oops")

    plans = plans_of(full, lambda: (full.failures(), full.rows(failed), full.count(failed), full.ids(failed)))

    assert plans.count("nephew_job_rare") >= 4
    assert_indexed(plans)


def test_what_a_job_logged_is_found_by_the_job(full: Explained):
    plans = plans_of(full, lambda: (full.logs("done-1"), full.attempts("done-1")))

    assert "SCAN nephew_log" not in plans and "Seq Scan on nephew_log" not in plans
    assert "nephew_attempt_job" in plans


def test_what_is_not_kept_is_found_and_deleted_by_its_place(full: Explained):
    places = [row[0] for row in full.read("SELECT seq FROM nephew_job WHERE id IN ('done-1', 'done-2', 'done-3')")]

    looks = plans_of(full, lambda: (full.outdated("succeeded", 10.0, 0), full.latest("succeeded")))
    rare = plans_of(full, lambda: (full.outdated("failed", 10.0, 0), full.latest("failed")))
    deleting = plans_of(full, lambda: full.delete_ended(places))

    assert "nephew_job_rare" in rare
    assert "TEMP B-TREE" not in looks and "Sort" not in looks, looks
    assert_indexed(rare)
    assert_indexed(deleting)
    assert "(name=?)" not in deleting, deleting
    assert full.row("done-2") is None
