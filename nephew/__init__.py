"""Nephew: durable background jobs on Huey, kept in SQLite, PostgreSQL, Redis or Valkey."""

from nephew.codec import SignedPickle
from nephew.current import current_job
from nephew.errors import (
    BackendError,
    ConfigError,
    DecodeError,
    EncodeError,
    JobCancelled,
    JobEnded,
    LockLost,
    LockNotAcquired,
    NephewError,
    RemoteError,
)
from nephew.instance import Nephew
from nephew.job import Job, State
from nephew.middleware import Middleware
from nephew.result import Result
from nephew.schedules import cron, every
from nephew.version import __version__

__all__ = [
    # an instance and what its calls return
    "Nephew",
    "Result",
    "Job",
    "State",
    "current_job",
    # what may change how jobs are run and enqueued
    "Middleware",
    # schedules
    "cron",
    "every",
    # serializers
    "SignedPickle",
    # errors
    "NephewError",
    "BackendError",
    "ConfigError",
    "DecodeError",
    "EncodeError",
    "JobCancelled",
    "JobEnded",
    "LockLost",
    "LockNotAcquired",
    "RemoteError",
    "__version__",
]
