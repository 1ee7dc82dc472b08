"""An application for thread and process workers, set up by the environment of its test."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys

from nephew import Nephew
from tests.integration.apps import acts, jobs, versions  # noqa: F401  # whose jobs come to the others

faulthandler.register(signal.SIGUSR1)  # where does it hang?

huey = Nephew(os.environ["TEST_NAME"], store_intermediate_errors="TEST_STORE_ERRORS" in os.environ)
tasks = jobs.install(huey)
if "TEST_CLOCK" in os.environ:
    jobs.install_clock(huey)
if "TEST_MANY" in os.environ:
    jobs.install_many(huey, int(os.environ["TEST_MANY"]))
if "TEST_VERSION" in os.environ:
    versions.install(huey, os.environ["TEST_VERSION"])


def _tell_what_a_fork_would_share() -> None:
    """Write the number of this process's threads and open databases into the file of runs."""
    links = (f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd"))
    targets = [os.readlink(link) for link in links if os.path.islink(link)]
    databases = [target for target in targets if ".db" in target or "-wal" in target or "-shm" in target]
    jobs.line("fork", f"{len(os.listdir('/proc/self/task'))},{len(databases)}")


if "TEST_FORKS" in os.environ and sys.platform == "linux":
    os.register_at_fork(before=_tell_what_a_fork_would_share)
