"""The application of a soak, for thread and process workers."""

from __future__ import annotations

import faulthandler
import os
import signal

from nephew import Nephew
from tests.soak import jobs

faulthandler.register(signal.SIGUSR1)  # where does it hang?

huey = Nephew(os.environ["TEST_NAME"])
jobs.install(huey)
