"""Ten thousand schedules: what they cost at the start, and what they cost while none is due."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nephew.ticker import Ticker
from tests.consumers import Bench, Consumer
from tests.eventually import eventually
from tests.integration.apps import jobs

MANY = 10_000
START_SECONDS, CPU_SHARE = 2.0, 0.01


@pytest.mark.long
def test_many_schedules_start_within_seconds_and_cost_nothing_until_they_are_due(
    bench: Bench, record_property: Callable[[str, object], None]
) -> None:
    jobs.install_many(bench.huey, MANY)
    bench.huey.prepare_store()
    starts = [first_look(bench), first_look(bench)]  # when nobody knows them yet, and afterwards
    few, many = (bench.consumer("process", 1, environment={"TEST_MANY": str(count)}) for count in (1, MANY))

    share = min(idle_share(many) for _ in range(3))

    each = (memory(many) - memory(few)) / MANY
    for name, figure in (("starts", starts), ("share", share), ("bytes", each)):
        record_property(name, figure)
    print(f"{MANY} schedules: {starts} s to start, {share * 100:.2f} % of a core, {each:.0f} bytes each")
    assert max(starts) < START_SECONDS
    assert share <= CPU_SHARE


def first_look(bench: Bench) -> float:
    """Seconds until a scheduler knows when each of them is due."""
    began = time.monotonic()
    Ticker(bench.huey, bench.huey.backend.now).write()
    return time.monotonic() - began


def idle_share(consumer: Consumer, seconds: float = 5.0) -> float:
    """Of a core, used by all processes of a consumer."""
    used, start = consumer.cpu_seconds(), time.monotonic()
    eventually(lambda: time.monotonic() - start >= seconds, seconds + 10)
    return (consumer.cpu_seconds() - used) / (time.monotonic() - start)


def memory(consumer: Consumer) -> int:
    """Bytes of all processes of a consumer, what they share counted once."""
    lines = [line for pid in consumer.group() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
