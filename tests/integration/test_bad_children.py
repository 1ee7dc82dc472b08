"""Jobs that make processes of their own, while connections to the store are open."""

from __future__ import annotations

import signal

import pytest

from tests.consumers import Bench
from tests.integration.apps import jobs


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_a_child_and_its_parent_both_use_the_store(bench: Bench, kind: str) -> None:
    consumer = bench.consumer(kind, 2)

    results = {f"{way}-{number}": bench.tasks.bear(f"{way}-{number}", way) for way in jobs.CHILDREN for number in "12"}

    for key, result in results.items():
        job = bench.await_state(result, "succeeded")
        assert (job.result, len(job.attempts)) == (0, 1), key
    for key in results:
        for moment in ("before", "child", "after"):
            bench.await_run("ran", f"{key}-{moment}")
    assert len(bench.runs("ran")) == 3 * len(results)
    assert "trying again" not in consumer.log()


@pytest.mark.parametrize("kind", ["process", "thread"])
def test_a_child_can_be_ended_by_its_job(bench: Bench, kind: str) -> None:
    consumer = bench.consumer(kind, 1)

    result = bench.tasks.bear_and_end("short")

    assert bench.await_state(result, "succeeded").result == -signal.SIGTERM
    bench.await_state(bench.tasks.note("next"), "succeeded")
    assert "Received SIGTERM" not in consumer.log()
