"""What a job's function may say of itself, whether a worker runs it or it is called directly."""

from __future__ import annotations

import uuid

from nephew import current_job
from nephew.current import Running
from nephew.errors import NephewError


def job_id() -> str:
    """The running job's id, the same in each of its attempts; a new one outside of a job."""
    job = _running()
    return job.id if job else str(uuid.uuid4())


def report(fraction: float, message: str) -> None:
    """Tell the running job's progress; outside of a job nobody listens."""
    job = _running()
    if job:
        job.progress(fraction, message)


def _running() -> Running | None:
    try:
        return current_job()
    except NephewError:
        return None
