"""A rolling deploy: for a while consumers of two versions of an application work on one queue."""

from __future__ import annotations

import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

from huey.api import chord

from nephew import Nephew
from tests.consumers import Bench
from tests.eventually import eventually
from tests.integration.apps import versions

KEYS = ("plain", "fails", "later", "first", "second", "member", "fails-member", "total", "sent", "only")


def test_two_versions_together_lose_nothing_and_run_nothing_twice(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    old, new = (Nephew(bench.huey.name, bench.url, run_dir=str(bench.run_dir)) for _ in range(2))
    ours, theirs = versions.install(old, "old"), versions.install(new, "new")
    first = bench.consumer(kind, 1, reaper=0.2, environment={"TEST_VERSION": "old"})

    enqueue_all(new, theirs, "new", True)
    theirs.added("added")
    bench.await_all("parked", 9)
    second = bench.consumer(kind, 1, reaper=0.2, environment={"TEST_VERSION": "new"})
    enqueue_all(old, ours, "old")
    ours.only.schedule(("once",), delay=0.5)
    assert theirs.only("once").duplicate

    expected = Counter(f"{key}-{version}" for key in KEYS for version in ("old", "new")) + Counter(["added", "once"])
    expected += Counter(key for key in expected if key.startswith("fails"))
    eventually(lambda: Counter(run.key for run in bench.runs("ran")) == expected, 60)
    eventually(lambda: not bench.huey.jobs(state=("queued", "running", "parked", "retrying", "scheduled")), 30)
    assert not bench.huey.jobs(state=("failed", "cancelled"))
    assert "is parked: expected send(key), got 2 by place (too many positional arguments)" in first.log()
    ticks = re.findall(r"Tick of \S+ for (\S+) was enqueued", first.log() + second.log())
    assert ticks and max(Counter(ticks).values()) == 1
    for huey in (old, new):
        huey.backend.close()


def enqueue_all(huey: Nephew, tasks: SimpleNamespace, version: str, *more: Any) -> None:
    """Jobs of every kind, as one version of the application calls them."""

    def greet(key: str) -> Any:
        return tasks.greet.s(f"{key}-{version}")

    for key in ("plain", "fails"):
        huey.enqueue(greet(key))
    tasks.greet.schedule((f"later-{version}",), delay=0.3)
    huey.enqueue(greet("first").then(tasks.greet, f"second-{version}"))
    huey.enqueue(chord([greet("member"), greet("fails-member")], greet("total")))
    tasks.send(f"sent-{version}", *more)
    tasks.only(f"only-{version}")
