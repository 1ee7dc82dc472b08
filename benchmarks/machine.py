"""The machine, as far as it explains figures."""

from __future__ import annotations

import os
import platform
import re
import tempfile
from pathlib import Path

from benchmarks import processes


def describe() -> str:
    """Processor, cores, memory, kernel, Python and the kind of file system in one line."""
    cores = processes.cores()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{cores} cores ({_processor()}), {memory:.0f} GiB memory, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}, temporary files on {_file_system()}"
    )


def load() -> float:
    """How many processes wanted a core in the last minute, on average."""
    return os.getloadavg()[0]


def _file_system() -> str:
    """That of the folder for temporary files, such as ext4; tmpfs is memory."""
    folder = Path(tempfile.gettempdir()).resolve()
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    kinds = {Path(place): kind for _, place, kind, *_ in mounts}  # the last one on a place is what is seen
    return next(kinds[place] for place in (folder, *folder.parents) if place in kinds)


def _processor() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1].strip() if match else platform.machine()
