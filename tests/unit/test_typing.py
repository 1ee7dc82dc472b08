"""What a type checker says of correct and of wrong uses."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from nephew.instance import _HUEYS
from nephew.middleware import OPTIONS
from nephew.options import Given, known
from nephew.settings import InstanceOptions, names

ROOT = Path(__file__).parents[2]
USES = Path(__file__).with_name("typed_uses.py")


def test_mypy_finds_the_wrong_uses_and_no_others(tmp_path: Path) -> None:
    said = checked("mypy", "--config-file", ROOT / "setup.cfg", "--cache-dir", tmp_path, USES)

    assert {int(line) for line in re.findall(rf"{USES.name}:(\d+): error", said)} == wrong_lines(), said


def test_pyright_finds_the_wrong_uses_and_no_others(tmp_path: Path) -> None:
    project = tmp_path / "pyrightconfig.json"
    settings = {"typeCheckingMode": "standard", "include": [str(USES)], "exclude": [], "extraPaths": [str(ROOT)]}
    project.write_text(json.dumps(settings))

    said = checked("basedpyright", "--project", project, "--pythonpath", sys.executable, "--outputjson")

    found = json.loads(said)["generalDiagnostics"]
    assert {one["range"]["start"]["line"] + 1 for one in found} == wrong_lines(), said


def checked(checker: str, *arguments: object) -> str:
    """What a type checker says."""
    command = [sys.executable, "-m", checker, *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def wrong_lines() -> set[int]:
    return {number for number, line in enumerate(USES.read_text().splitlines(), 1) if "# wrong" in line}


def test_the_known_options_are_the_typed_ones() -> None:
    assert set(Given.__annotations__) == known() | OPTIONS
    assert set(InstanceOptions.__annotations__) == names() | _HUEYS
