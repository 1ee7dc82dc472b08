"""The kill matrix: each blow at each failpoint, to each type of worker on each backend. See `tests/matrix.py`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.consumers import Bench
from tests.matrix import AT_WORK, KINDS, PROPERTY, Blow, Cell, Place, complete, impossible, loses, selection
from tests.places import BACKENDS
from tests.stage import Stage

Note = Callable[[str, object], None]


def _play(bench: Bench, cells: Sequence[Cell], note: Note) -> None:
    stage = Stage(bench, cells[0].kind)
    for cell in cells:
        note(PROPERTY, [*cell, stage.play(cell)])
    stage.close()


@pytest.fixture
def backend(bench: Bench) -> str:
    """The name of the place where the bench keeps its jobs."""
    scheme = bench.url.partition(":")[0]
    return "postgres" if scheme == "postgresql" else scheme


@pytest.mark.parametrize("kind", KINDS)
def test_no_blow_at_any_failpoint_loses_or_doubles_anything(
    bench: Bench, backend: str, kind: str, long: bool, record_property: Note
) -> None:
    if long:
        pytest.skip("the complete matrix is played")
    _play(bench, selection(backend, kind), record_property)


@pytest.mark.long
@pytest.mark.parametrize("place", Place)
@pytest.mark.parametrize("kind", KINDS)
def test_none_of_all_blows_at_this_failpoint_does(
    bench: Bench, backend: str, kind: str, place: Place, record_property: Note
) -> None:
    _play(bench, [cell for cell in complete(backend, kind) if cell.place is place], record_property)


def test_the_selection_has_every_blow_and_every_failpoint() -> None:
    for backend in BACKENDS:
        for kind in KINDS:
            cells = selection(backend, kind)
            possible = {blow for blow in Blow for place in Place if impossible(kind, blow, place) is None}
            assert {cell.place for cell in cells} == set(Place)
            assert {cell.blow for cell in cells} == possible


def test_the_selection_kills_at_work() -> None:
    cells = [cell for backend in BACKENDS for kind in KINDS for cell in selection(backend, kind)]
    kills = {blow: [cell for cell in cells if cell.blow is blow] for blow in (Blow.WORKER_KILLED, Blow.CONSUMER_KILLED)}

    assert all(loses(cell) for cell in cells if cell.place is Place.BEGUN_ONCE)
    assert {cell.place for cell in kills[Blow.CONSUMER_KILLED]} >= {*AT_WORK, Place.BEGUN_ONCE}
    assert len({cell.place for cell in kills[Blow.WORKER_KILLED]} & {*AT_WORK, Place.BEGUN_ONCE}) >= 7
    for backend in BACKENDS:
        for kind in KINDS:
            found = {cell.blow for cell in cells if cell[:2] == (backend, kind) and cell.place in AT_WORK}
            assert found >= ({*kills} if kind == "process" else {Blow.CONSUMER_KILLED})
