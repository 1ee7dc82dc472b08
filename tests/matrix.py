"""The kill matrix: which blows fall at which failpoints, which pairs cannot occur, and the table of what passed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple, TypeVar, cast

from tests.places import BACKENDS

T = TypeVar("T")

KINDS = ("thread", "process", "greenlet")

GUARANTEES = Path(__file__).resolve().parents[1] / "docs" / "guarantees.md"
MARKERS = ("<!-- matrix -->", "<!-- /matrix -->")


class Blow(StrEnum):
    """What befalls a consumer while one of its processes is held at a failpoint."""

    WORKER_KILLED = "SIGKILL, worker"
    CONSUMER_KILLED = "SIGKILL, consumer"
    TERM = "SIGTERM"
    INT = "SIGINT"
    TWICE_INT = "SIGINT twice"
    GROUP_TERM = "SIGTERM, group"
    HUP = "SIGHUP"
    STALLED = "SIGSTOP past the lease"
    CLAIM_LOST = "reply of a claim lost"
    SETTLE_LOST = "reply of a settle lost"


class Place(StrEnum):
    """The failpoints; see `nephew/failpoints.py`."""

    REGISTERED = "registered"
    CLAIMED = "claimed"
    BEFORE_RUN = "before-run"
    BEGUN_ONCE = "begun-once"
    MID_RUN = "mid-run"
    ENQUEUED = "enqueued"
    AFTER_RUN = "after-run"
    BEFORE_SETTLE = "before-settle"
    BEFORE_REQUEUE = "before-requeue"
    SETTLED = "settled-unacknowledged"
    PROMOTED = "promoted"
    BEFORE_TICK = "before-tick"
    TICK_WRITTEN = "tick-written"
    BEFORE_REAP = "before-reap"
    REAPED = "reaped"
    BEFORE_RETIRE = "before-retire"


#: Held there, a worker is running a job.
RUNNING = frozenset({Place.BEFORE_RUN, Place.BEGUN_ONCE, Place.MID_RUN, Place.ENQUEUED, Place.AFTER_RUN})
#: Held there, a process is in the middle of a settle.
SETTLING = frozenset({Place.BEFORE_SETTLE, Place.BEFORE_REQUEUE, Place.SETTLED})
#: Where a kill finds a worker at its work; it always falls at `BEGUN_ONCE`, so that is dealt by itself.
AT_WORK = [place for place in Place if place in RUNNING | SETTLING | {Place.CLAIMED} and place is not Place.BEGUN_ONCE]
#: Only the death of another worker leads there.
BURYING = frozenset({Place.BEFORE_REAP, Place.REAPED})
#: What finishes once a process is held there is not settled before it goes on.
STUCK = SETTLING | BURYING | {Place.AFTER_RUN}
#: After these a job may have to run again.
VIOLENT = frozenset({Blow.WORKER_KILLED, Blow.CONSUMER_KILLED, Blow.TWICE_INT, Blow.STALLED})
#: These end a consumer at once when it is shutting down.
ENDING = frozenset({Blow.TERM, Blow.INT, Blow.GROUP_TERM})

NO_PROCESS = "threads and greenlets cannot be killed without their consumer"
NO_STEP = "a worker that signs off has settled everything and claims no more"
REASONS = (NO_PROCESS, NO_STEP)


class Cell(NamedTuple):
    """One blow at one failpoint, on one backend, to one type of worker."""

    backend: str
    kind: str
    blow: Blow
    place: Place

    def __str__(self) -> str:
        return f"{self.blow} at {self.place} ({self.backend}, {self.kind})"


def impossible(kind: str, blow: Blow, place: Place) -> str | None:
    """Why this pair cannot occur with workers of this type; None: it can."""
    if place is Place.BEFORE_RETIRE and blow in (Blow.CLAIM_LOST, Blow.SETTLE_LOST):
        return NO_STEP
    if kind != "process" and blow is Blow.WORKER_KILLED:
        return NO_PROCESS
    return None


def repeats(cell: Cell) -> bool:
    """Whether a job may be run again; after all other blows none is."""
    return cell.blow in VIOLENT or cell.place in BURYING or (cell.place is Place.BEFORE_RETIRE and cell.blow in ENDING)


def crashes(cell: Cell) -> tuple[int, int]:
    """The least and the most jobs that are charged with a crash, or lost by one.

    Two threads die with their process; if both were running a job, nobody knows whom to charge.
    """
    forks, least, most = cell.kind == "process", 0, 0
    if cell.place in BURYING:
        most += 1 if forks else 2
    if cell.blow is Blow.WORKER_KILLED:
        least, most = int(cell.place in RUNNING), most + int(cell.place in RUNNING | BURYING)
    elif cell.blow is Blow.CONSUMER_KILLED and not forks:
        most += 2
    return least, most


def loses(cell: Cell) -> bool:
    """Whether a job that may be begun only once is lost: it was begun, and who was to run it is killed."""
    killed = cell.blow is Blow.WORKER_KILLED or (cell.blow is Blow.CONSUMER_KILLED and cell.kind != "process")
    return cell.place is Place.BEGUN_ONCE and killed


def complete(backend: str, kind: str) -> list[Cell]:
    """Every pair that can occur."""
    return [
        Cell(backend, kind, blow, place) for place in Place for blow in Blow if impossible(kind, blow, place) is None
    ]


def selection(backend: str, kind: str) -> list[Cell]:
    """Every failpoint once and every blow at least once, other pairs on each backend and for each type of worker."""
    turn = BACKENDS.index(backend) * len(KINDS) + KINDS.index(kind)
    dealt = _kills(kind, turn)
    uses = {blow: list(dealt.values()).count(blow) for blow in _turned(list(Blow), turn)}
    for place in _turned([place for place in Place if place not in dealt], turn * 2):
        dealt[place] = min((blow for blow in uses if impossible(kind, blow, place) is None), key=uses.__getitem__)
        uses[dealt[place]] += 1
    return [Cell(backend, kind, dealt[place], place) for place in _turned(list(Place), turn * 2)]


def _kills(kind: str, turn: int) -> dict[Place, Blow]:
    """The kills are dealt first: to who has begun a job that may be begun only once, and to others at their work."""
    consumer, *workers = _turned(AT_WORK, turn)[:3]
    kills = {consumer: Blow.CONSUMER_KILLED}
    if kind == "process":
        return kills | dict.fromkeys([*workers, Place.BEGUN_ONCE], Blow.WORKER_KILLED)
    return kills | {Place.BEGUN_ONCE: Blow.CONSUMER_KILLED}


def _turned(values: list[T], by: int) -> list[T]:
    return values[by % len(values) :] + values[: by % len(values)]


#: What a test records for each cell that has passed.
PROPERTY = "cell"


def passed(properties: Iterable[tuple[str, object]]) -> Iterator[tuple[Cell, int]]:
    """The cells that have passed, of what tests have recorded, and how many jobs were run again in each."""
    for name, value in properties:
        if name == PROPERTY:
            backend, kind, blow, place, count = cast("tuple[str, str, str, str, int]", value)
            yield Cell(backend, kind, Blow(blow), Place(place)), count


def write(cells: Mapping[Cell, int], path: Path = GUARANTEES) -> bool:
    """Put the table between the markers of the page, if no cell is missing."""
    if not all(cell in cells for backend in BACKENDS for kind in KINDS for cell in complete(backend, kind)):
        return False
    text = path.read_text()
    before, after = text.partition(MARKERS[0])[0], text.partition(MARKERS[1])[2]
    path.write_text("\n".join([f"{before}{MARKERS[0]}", "", *_table(cells), "", f"{MARKERS[1]}{after}"]))
    return True


def _table(cells: Mapping[Cell, int]) -> Iterator[str]:
    yield f"| held at | {' | '.join(Blow)} |"
    yield "|---" * (len(Blow) + 1) + "|"
    for place in Place:
        yield f"| `{place}` | {' | '.join(_entry(cells, blow, place) for blow in Blow)} |"
    yield ""
    for number, reason in enumerate(REASONS, 1):
        yield f"{number}. {reason[0].upper()}{reason[1:]}."
    yield ""
    yield f"{len(cells):,} cells. The most jobs that had to run again in one of them: {max(cells.values())}."


def _entry(cells: Mapping[Cell, int], blow: Blow, place: Place) -> str:
    count = sum((cell.blow, cell.place) == (blow, place) for cell in cells)
    reasons = {reason for kind in KINDS if (reason := impossible(kind, blow, place))}
    notes = "".join(f"<sup>{REASONS.index(reason) + 1}</sup>" for reason in sorted(reasons))
    return f"{count} ✓{notes}" if count else f"—{notes}"
