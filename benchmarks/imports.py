"""What an import costs: fresh interpreters in turn, timed from inside around the one statement."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

IMPORT_SECONDS = 30

_PROGRAM = """
import json, time
wall, cpu = time.perf_counter(), time.process_time()
{statement}
print(json.dumps([(time.perf_counter() - wall) * 1e3, (time.process_time() - cpu) * 1e3]))
"""


@dataclass(frozen=True, slots=True)
class Import:
    """One statement, and that from which its cost is counted."""

    title: str
    statement: str
    above: str


IMPORTS = (
    Import("`import nephew` above `import huey`", "import nephew", "import huey"),
    Import(
        "the same with an instance on SQLite made, which loads the driver",
        "import nephew; nephew.Nephew('benchmark', 'sqlite:///never-opened.db')",
        "import huey; huey.SqliteHuey('benchmark', filename=':memory:')",
    ),
)

#: For each import and each repetition: milliseconds of wall and processor time above the other statement, and in all.
Times = dict[str, list[tuple[float, float, float, float]]]


def measure(times: int, root: Path) -> Times:
    """Time all statements in turn; each is run once before, so that it finds its bytecode."""
    found: Times = {entry.title: [] for entry in IMPORTS}
    for repetition in range(times + 1):
        for entry in IMPORTS:
            above_wall, above_cpu = _time(entry.above, root)
            wall, cpu = _time(entry.statement, root)
            if repetition:
                found[entry.title].append((wall - above_wall, cpu - above_cpu, wall, cpu))
    return found


def _time(statement: str, root: Path) -> tuple[float, float]:
    program = _PROGRAM.format(statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True, timeout=IMPORT_SECONDS
    )
    wall, cpu = json.loads(done.stdout)
    return wall, cpu
