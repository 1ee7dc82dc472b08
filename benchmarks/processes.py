"""What /proc tells about processes: who belongs to whom, the time they used, the memory they hold."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path


def family(pid: int) -> list[int]:
    """This process and all below it, as far as they are alive."""
    parents = _parents()
    found = [pid] if pid in parents else []
    for member in found:  # grows while it is walked
        found += [child for child, parent in parents.items() if parent == member]
    return found


def alive(pids: Iterable[int]) -> list[int]:
    """Those of them that have not ended."""
    parents = _parents()
    return [pid for pid in pids if pid in parents]


def _parents() -> dict[int, int]:
    """The parent of every living process."""
    parents: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has just ended
            state, parent = (folder / "stat").read_text(errors="replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(folder.name)] = int(parent)
    return parents


def cpu_seconds(pids: Iterable[int]) -> float:
    """The processor time that these processes have used so far.

    Read from the clock that the kernel keeps for each process; /proc/<pid>/stat counts in hundredths of a second.
    """
    return sum(time.clock_gettime((~pid << 3) | 2) for pid in pids)


def used(pids: Iterable[int]) -> dict[int, float]:
    """The processor time of each of these processes that is there."""
    found = {}
    for pid in pids:
        with suppress(OSError):  # it has just ended
            found[pid] = cpu_seconds([pid])
    return found


def used_since(before: Mapping[int, float]) -> float:
    """The processor time of all of these processes since `used` was asked."""
    return sum(seconds - before[pid] for pid, seconds in used(before).items())


def pss_bytes(pids: Iterable[int]) -> list[int]:
    """The proportional share of memory of each of these processes; those that have ended are left out."""
    found = []
    for pid in pids:
        with suppress(OSError):
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            if match := re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE):
                found.append(int(match[1]) * 1024)
    return found


def cores() -> int:
    """How many cores the machine has."""
    return os.cpu_count() or 1
