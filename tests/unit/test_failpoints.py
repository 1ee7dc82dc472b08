"""Failpoints: nothing without the variable, and once where they are armed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from nephew import failpoints
from nephew.errors import BackendError
from tests.failpoints import Failpoints
from tests.matrix import Place

NEPHEW = Path(failpoints.__file__).parent


@pytest.fixture
def points(tmp_path: Path) -> Iterator[Failpoints]:
    """This process as one that was started with the variable."""
    failpoints.armed = str(tmp_path / "points")
    yield Failpoints(tmp_path / "points")
    failpoints.armed = ""


@pytest.mark.parametrize(("given", "armed"), [({}, ""), ({"NEPHEW_FAILPOINTS": "/points"}, "/points")])
def test_they_are_armed_by_the_environment(given: dict[str, str], armed: str):
    said = subprocess.run(
        [sys.executable, "-c", "from nephew import failpoints; print(failpoints.armed)"],
        env=os.environ | given,
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout.strip() == armed


def test_a_lost_reply_is_lost_once(points: Failpoints):
    points.lose("claimed")

    with pytest.raises(BackendError, match="claimed"):
        failpoints.reach("claimed")
    failpoints.reach("claimed")


def test_who_is_held_waits_until_he_is_let_go(points: Failpoints):
    points.hold("claimed")
    reached = threading.Thread(target=failpoints.reach, args=("claimed",))
    reached.start()

    assert points.await_held("claimed") == os.getpid()
    failpoints.reach("claimed")  # the second one passes
    assert reached.is_alive()
    points.let_go("claimed")
    reached.join(10)
    assert not reached.is_alive()


def test_what_is_armed_with_anything_else_is_told(points: Failpoints, tmp_path: Path):
    (tmp_path / "points" / "claimed").write_text("explode")

    with pytest.raises(ValueError, match="explode"):
        failpoints.reach("claimed")


def test_the_places_that_are_documented_are_those_there_are():
    documented = set(re.findall(r"`([a-z-]+)`", str(failpoints.__doc__).partition("Places:")[2])) - {"reach"}

    used = {
        place
        for path in NEPHEW.rglob("*.py")
        for place in re.findall(r'failpoints\.reach\("([a-z-]+)"\)', path.read_text())
    }

    assert documented - {"mid-run"} == used


def test_the_kill_matrix_has_all_of_them():
    used = {place for path in NEPHEW.rglob("*.py") for place in re.findall(r'reach\("([a-z-]+)"\)', path.read_text())}

    assert {str(place) for place in Place} - {"mid-run"} == used
