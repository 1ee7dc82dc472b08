"""All comparisons, one after the other, on each kind of store."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.driver import turned
from benchmarks.growth import backlog, stores
from benchmarks.growth.comparisons import BACKENDS, Comparison, Plan
from benchmarks.growth.drain import Cost, drain
from benchmarks.growth.stores import Store
from tests.servers import ServerError

Say = Callable[[str], None]

#: How much of what consumers said is told when they were waited for in vain.
_TOLD_CHARACTERS = 2_000


@dataclass(slots=True)
class Findings:
    """What one comparison found on one kind of store.

    :ivar version: of the store's server.
    :ivar costs: of each load, in the order of the comparison; one a round.
    :ivar sizes: of each load, the bytes that a waiting job takes in the store; 0: none has waited.
    :ivar failure: why there are no more.
    """

    comparison: Comparison
    backend: str
    version: str = ""
    costs: list[list[Cost]] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    failure: str = ""


def measure(plan: Plan, say: Say, backends: Sequence[str] = tuple(BACKENDS)) -> list[Findings]:
    """Take all comparisons of a plan; one that fails does not hold up the others."""
    began = time.monotonic()
    found = []
    for backend in backends:
        comparisons = [comparison for comparison in plan.comparisons() if backend in comparison.backends]
        try:
            with stores.opened(backend) as store:
                for comparison in comparisons:
                    say(f"{(time.monotonic() - began) / 60:.1f} min: {BACKENDS[backend]}, {comparison.title}")
                    found.append(_compared(Findings(comparison, backend, store.version()), store, plan.rounds, say))
        except (ServerError, OSError) as error:
            say(str(error))
            found += [_without_a_server(comparison, backend, error) for comparison in comparisons]
    return sorted(found, key=lambda each: [plan.comparisons().index(each.comparison), backends.index(each.backend)])


def _without_a_server(comparison: Comparison, backend: str, error: Exception) -> Findings:
    nothing = [[] for _ in comparison.loads], [0.0 for _ in comparison.loads]
    return Findings(comparison, backend, "not started", *nothing, failure=str(error))


def _compared(found: Findings, store: Store, rounds: int, say: Say) -> Findings:
    folder = Path(tempfile.mkdtemp(prefix="nephew-growth-"))
    loads = found.comparison.loads
    found.costs, found.sizes = [[] for _ in loads], [0.0 for _ in loads]
    try:
        with ExitStack() as places:
            backlogs = [
                places.enter_context(backlog.opened(store, number, folder / str(number), load))
                for number, load in enumerate(loads)
            ]
            found.sizes = [each.bytes_per_job for each in backlogs]
            for number in range(rounds):
                for index in turned(range(len(loads)), number):
                    cost = drain(backlogs[index])
                    found.costs[index].append(cost)
                    say(f"    {loads[index].title}: {cost.wall * 1e6:.1f} µs")
    except Exception as error:
        found.failure = f"{type(error).__name__}: {error}"
        say(found.failure)
        say("".join(path.read_text()[-_TOLD_CHARACTERS:] for path in sorted(folder.glob("*/consumers.log"))))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return found
