"""PostgreSQL not as a server of one's own: behind PgBouncer, or on connections that break between transactions."""

from __future__ import annotations

import pytest

from nephew import Nephew
from tests.consumers import Bench, repeated
from tests.eventually import eventually
from tests.integration.apps import jobs
from tests.proxies import Cutter, pgbouncer
from tests.servers import PostgresServer


def test_behind_pgbouncer_all_jobs_are_run(postgres_bench: Bench, postgres: PostgresServer) -> None:
    """Each transaction may be on another of its connections, as may each half of a prepared statement."""
    bench = postgres_bench
    with pgbouncer(postgres) as url:
        caller = Nephew(bench.huey.name, url)
        tasks = jobs.install(caller)
        consumer = bench.consumer("process", 2, environment={"NEPHEW_URL": url})
        results = [tasks.note(f"single-{number}") for number in range(100)]
        for start in range(0, 1000, 100):
            caller.enqueue_many([tasks.note.s(f"bulk-{number}") for number in range(start, start + 100)])
        bench.await_all("succeeded", 1100)
        assert results[0].get() == "single-0"
        caller.backend.close()
        assert consumer.stop() == 0

    assert len(bench.runs("ran")) == 1100
    assert not repeated(bench.runs("ran"))
    assert "trying again" not in consumer.log(), consumer.log()


def test_behind_pgbouncer_an_idle_worker_is_late_by_a_second_at_most(
    postgres_bench: Bench, postgres: PostgresServer
) -> None:
    """Notifications do not get through."""
    bench = postgres_bench
    with pgbouncer(postgres) as url:
        consumer = bench.consumer("process", 2, environment={"NEPHEW_URL": url})
        for number in range(2):
            result = bench.tasks.note(f"late-{number}")
            job = bench.await_state(result, "succeeded")
            assert bench.runs("ran", f"late-{number}")[0].at - job.enqueued_at.timestamp() < 2
        assert consumer.stop() == 0


@pytest.mark.parametrize("swallow", [False, True], ids=["between transactions", "instead of an answer"])
def test_connections_that_break_all_the_time_lose_and_repeat_nothing(
    postgres_bench: Bench, postgres: PostgresServer, swallow: bool
) -> None:
    bench = postgres_bench
    with Cutter(postgres, every=9, swallow=swallow) as proxy:
        caller = Nephew(bench.huey.name, proxy.url)
        tasks = jobs.install(caller)
        consumer = bench.consumer("process", 2, environment={"NEPHEW_URL": proxy.url})
        for number in range(100):
            tasks.note(f"single-{number}")
        caller.enqueue_many([tasks.note.s(f"bulk-{number}") for number in range(200)])
        bench.await_all("succeeded", 300)
        eventually(lambda: proxy.cuts > 20)
        caller.backend.close()
        assert consumer.stop() == 0

    assert len(bench.runs("ran")) == 300
    assert not repeated(bench.runs("ran"))
