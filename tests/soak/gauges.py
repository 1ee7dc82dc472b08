"""What is measured during a soak: memory as it goes, and before and after what else could grow."""

from __future__ import annotations

import os
import statistics
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.consumers import Bench, Consumer
from tests.soak.sites import Site
from tests.stored import stored

#: What is kept on purpose, up to a limit of its own: events up to `keep_events`, on Redis the ids of ended jobs up to
#: `keep_records`, and ticks, the latest of them for an archive too. Ticks are open until somebody has seen how they
#: ended, which somebody looks for as often as these come; and keys are counted by what they have.
KEPT = {"nephew_event", "nephew_tick", "events", "order", "ticks", "filed", "open", "keys"}
#: What is opened when it is needed: an idle worker on Redis has only the connection that it waits on.
ON_DEMAND = {"connections"}
#: By how much any count may differ.
ALLOWED = 2

Gauge = Mapping[str, int]


def gauge(bench: Bench, site: Site, survivors: Sequence[Consumer]) -> Gauge:
    """What there is now, by what it is."""
    counts = {"connections": site.connections(bench), "presence files": len(list(bench.run_dir.iterdir()))}
    for consumer in survivors:
        pids = consumer.group()
        counts[f"processes ({consumer.kind})"] = len(pids)
        counts[f"descriptors ({consumer.kind})"] = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids)
        counts[f"threads ({consumer.kind})"] = sum(len(os.listdir(f"/proc/{pid}/task")) for pid in pids)
    return counts | {what: count for what, count in stored(bench.huey).items() if what not in KEPT}


def differences(before: Gauge, after: Gauge, allowed: int = ALLOWED) -> dict[str, tuple[int, int]]:
    """Of what there is more or less than before, how much there was and is."""
    return {
        what: (before.get(what, 0), after.get(what, 0))
        for what in sorted({*before, *after})
        if after.get(what, 0) - before.get(what, 0) > allowed
        or (before.get(what, 0) - after.get(what, 0) > allowed and what not in ON_DEMAND)
    }


def memory(pids: Sequence[int]) -> int:
    """Bytes that these processes use together, but for files; what they share since a fork counts once."""
    return sum(1024 * int(line.split()[1]) for pid in pids for line in _rollup(pid) if line.startswith("Pss_Anon:"))


def _rollup(pid: int) -> Iterator[str]:
    with suppress(OSError):
        yield from Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()


class MemoryMeter:
    """Measures processes every so often while it is entered.

    :ivar measured: for each consumer, at which times how many bytes.
    """

    def __init__(self, consumers: Sequence[Consumer], pause: float) -> None:
        self._consumers, self._pause = consumers, pause
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._measure, name="Memory")
        self.measured: dict[str, list[tuple[float, int]]] = {consumer.kind: [] for consumer in consumers}

    def __enter__(self) -> MemoryMeter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _measure(self) -> None:
        while not self._over.wait(self._pause):
            for consumer in self._consumers:
                self.measured[consumer.kind].append((time.time(), memory(consumer.group())))

    def fifths(self, kind: str) -> list[tuple[float, float]]:
        """For each fifth of the time its middle and the median of the bytes."""
        values = self.measured[kind]
        size = max(len(values) // 5, 1)
        parts = [values[start : start + size] for start in range(0, 5 * size, size)]
        return [(part[len(part) // 2][0], statistics.median(size for _, size in part)) for part in parts if part]
