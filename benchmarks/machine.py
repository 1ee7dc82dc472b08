"""The machine, as far as it explains figures."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from benchmarks import processes


def describe() -> str:
    """Processor, cores, memory, kernel and Python in one line."""
    cores = processes.cores()
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{cores} cores ({_processor()}), {memory:.0f} GiB memory, {platform.system()} {platform.release()}, "
        f"{platform.python_implementation()} {platform.python_version()}"
    )


def load() -> float:
    """How many processes wanted a core in the last minute, on average."""
    return os.getloadavg()[0]


def _processor() -> str:
    match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return match[1].strip() if match else platform.machine()
