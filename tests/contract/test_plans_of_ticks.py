"""What schedulers do each second stays quick beside a long ledger, and quick for many schedules at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from nephew.backends.contract import Backend
from nephew.backends.schedules import Decision
from nephew.backends.sql import open_sql
from tests.contract.deciding import NOON, decide, decision, ends, tick
from tests.contract.jobs import job
from tests.contract.test_plans import Explained, plans_of
from tests.contract.test_round_trips import Asked, opened

#: Ticks that are over, of 100 schedules.
OVER = 100_000
FILL = (
    "INSERT INTO nephew_tick (name, schedule, due, fate, reason, job, written_at, state, ended_at)"
    " SELECT 'plans', 's' || (i % 100), i, 'enqueued', '', 'job-' || i, i, 'succeeded', i FROM"
)
NUMBERS = {
    "sqlite": f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {OVER}) {FILL} n",
    "postgresql": f"{FILL} generate_series(1, {OVER}) AS n(i)",
}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explained]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('plans') / 'nephew.db'}"
    else:
        url = request.getfixturevalue("postgres").url
    backend = open_sql("plans", url, None, True)
    backend.__class__ = Explained
    backend.migrate()
    insert = NUMBERS[backend.description.split()[0]]
    backend.write(lambda run: run(insert if request.param == "sqlite" else insert.replace("%", "%%")))
    backend.begin_schedules([f"s{number}" for number in range(100)], NOON)
    backend.database.execute_sql("ANALYZE nephew_tick")
    yield backend
    for table in ("nephew_tick", "nephew_schedule", "nephew_job"):
        backend.database.execute_sql(f"DELETE FROM {table} WHERE name = 'plans'")
    backend.close()


def given(minute: int, overlap: str) -> list[Decision]:
    seen, due = NOON + 60 * minute - 60, NOON + 60 * minute
    return [decision(tick(due), schedule=f"s{number}", seen=seen, overlap=overlap) for number in range(100)]


#: The most that is asked of a store to decide 512 schedules. Of a statement for many rows each one counts.
MOST = {"sqlite": Asked(0, 1200), "postgres": Asked(12, 1100), "redis": Asked(1, 4200)}

#: By step, what it does and the index that it uses.
STEPS: dict[str, tuple[Callable[[Backend], Any], str]] = {
    "decide, skipping": (lambda backend: decide(backend, *given(1, "skip")), "nephew_tick_open"),
    "decide, queueing": (lambda backend: decide(backend, *given(2, "queue")), "nephew_tick_open"),
    "list what may be released": (lambda backend: backend.release_ticks(), "nephew_tick_open"),
    "release": (lambda backend: backend.release("s1", NOON + 120, job()), "nephew_tick_open"),
    "close": (
        lambda backend: (ends(backend, *(row.id for row in backend.rows(limit=3))), backend.close_ticks()),
        "nephew_tick_open",
    ),
    "prune": (lambda backend: backend.prune_ticks(before=5.0, most=2000), "nephew_tick_written"),
}


@pytest.mark.parametrize("step", STEPS)
def test_it_looks_at_few_ticks_beside_a_long_ledger(full: Explained, step: str):
    act, index = STEPS[step]

    plans = plans_of(full, lambda: act(full))

    assert index in plans
    assert not [line for line in plans.splitlines() if " tick" in line.replace("nephew_", "") and "SCAN" in line], plans
    assert "Seq Scan on nephew_tick" not in plans, plans


@pytest.mark.parametrize("place", MOST)
def test_hundreds_of_schedules_are_decided_with_few_questions(place: str, request: pytest.FixtureRequest, name: str):
    with opened(place, request, name) as asking:
        names = [f"s{number}" for number in range(512)]
        asking.backend.begin_schedules(names, NOON)
        decide(asking.backend, decision(tick(NOON + 60), schedule="s0", overlap="skip"))
        given = [decision(tick(NOON + 60), schedule=each, overlap="skip") for each in names]

        asked = asking.by(lambda: decide(asking.backend, *given))

    assert asked <= MOST[place] and asked.statements <= MOST[place].statements
