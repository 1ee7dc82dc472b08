"""Python reads this before anything else: the clock of this process is as wrong as a file says, in seconds."""

from __future__ import annotations

import datetime as dt
import os
import time
from pathlib import Path

import huey.api
import huey.utils

right = time.time
_error = Path(os.environ["TEST_CLOCK_ERROR"])


def wrong() -> float:
    return right() + float(_error.read_text())


def utcnow() -> dt.datetime:
    return dt.datetime.fromtimestamp(wrong(), dt.UTC).replace(tzinfo=None)


time.time = wrong
huey.api.utcnow = huey.utils.utcnow = utcnow
