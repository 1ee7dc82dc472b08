"""Messages of 20 MiB: refused at the door, and harmless when they got in another way."""

from __future__ import annotations

import pytest

from nephew import EncodeError, Nephew
from tests.consumers import Bench
from tests.integration.apps import jobs

HUGE = 20 << 20


def test_huge_arguments_are_refused_at_the_call(bench: Bench) -> None:
    with pytest.raises(EncodeError, match="at most 16,777,216 bytes, got 20,9"):
        bench.tasks.length("huge", "x" * HUGE)

    assert bench.huey.backend.counts() == {}


def test_huge_messages_that_got_in_are_run_or_parked_and_hold_up_nobody(bench: Bench) -> None:
    consumer = bench.consumer("process", 1)
    pids = consumer.worker_pids()
    generous = Nephew(bench.huey.name, bench.url, max_bytes=HUGE * 2)

    results = [bench.tasks.note("first")]
    huge = jobs.install(generous).length("huge", "x" * HUGE)
    bench.huey.storage.enqueue(b"\x00" * HUGE)
    returned = bench.tasks.bulk("returned", HUGE)
    results.append(bench.tasks.note("last"))
    generous.backend.close()

    assert bench.await_state(huge, "succeeded").result == HUGE
    failed = bench.await_state(returned, "failed")
    assert "expected the result to take at most 16,777,216 bytes, got 20,9" in str(failed.error)
    for result in results:
        bench.await_state(result, "succeeded")
    bench.await_all("parked", 1)
    (parked,) = bench.huey.jobs("parked")
    assert len(bench.runs("began", "returned")) == 1
    assert parked.crashes == 0
    assert consumer.worker_pids() == pids
    bench.huey.cancel(parked.id)
