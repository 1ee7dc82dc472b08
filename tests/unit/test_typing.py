"""What a type checker says of correct and of wrong uses."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

from nephew.instance import _HUEYS
from nephew.options import HUEY_OPTIONS, Given, TaskOptions
from nephew.settings import InstanceOptions, names

USES = """
from nephew import Nephew, Result, cron

huey = Nephew("shop", "memory://", lease=20.0, immediate=True)

@huey.task(queue="mail", retries=5, unique=True)
def send(todo_id: int, loud: bool = False) -> str:
    return str(todo_id)

@huey.periodic_task(cron("0 2 * * *"))
def nightly() -> None: ...

right: Result[str] = send(42)
also_right: Result[str] = send.delay(42, loud=True)
value: str | None = right.get(blocking=True)
local: str = send.call_local(1)
send("42")  # wrong
send(42, 43, 44)  # wrong
send.delay(todo="x")  # wrong
nightly(1)  # wrong

@huey.task(uniqe=True)  # wrong
def misspelt() -> None: ...

Nephew("shop", leese=1)  # wrong
"""


def test_wrong_calls_and_options_are_errors_and_right_ones_are_not(tmp_path: Path) -> None:
    file = tmp_path / "uses.py"
    file.write_text(USES)
    wrong = {number for number, line in enumerate(USES.splitlines(), 1) if "# wrong" in line}
    root = Path(__file__).parents[2]

    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "mypy",
            "--config-file",
            str(root / "setup.cfg"),
            "--cache-dir",
            str(tmp_path),
            str(file),
        ],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )

    assert {int(number) for number in re.findall(r"uses\.py:(\d+): error", done.stdout)} == wrong, done.stdout


def test_the_known_options_are_the_typed_ones() -> None:
    fields = {field.name for field in dataclasses.fields(TaskOptions)}

    assert set(Given.__annotations__) == fields | set(HUEY_OPTIONS)
    assert set(InstanceOptions.__annotations__) == names() | _HUEYS
