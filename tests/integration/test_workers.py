"""Real consumers of every kind run jobs; what they serve, and when a worker is replaced on purpose."""

from __future__ import annotations

from tests.consumers import Bench
from tests.eventually import eventually


def test_a_job_goes_from_a_call_to_a_stored_result(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    bench.consumer(kind)

    result = bench.tasks.note("a")

    assert result.get(blocking=True, timeout=20) == "a"
    assert len(bench.runs("ran", "a")) == 1
