"""What every scene has at hand: the servers, the consumer, and ways to wait and compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huey.exceptions import ResultTimeout, TaskException
from rich.console import Console

from app.demo.consumer import Consumer
from app.demo.files import FileServer
from app.demo.mail import MailServer
from app.queue import huey
from nephew import Job, Result

#: How long anything may take; all of it is far quicker.
PATIENCE_SECONDS = 20


class Different(Exception):
    """Something did not end as expected; the message says how."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where the scenes play."""

    console: Console
    workspace: Path
    files: FileServer
    mailbox: MailServer
    consumer: Consumer

    def say(self, text: str, style: str | None = None) -> None:
        """Tell the audience."""
        self.console.print(f"  {text}", style=style, markup=False, highlight=False)

    def until(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE_SECONDS) -> Any:
        """Wait until `condition` holds and return what it returned."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if not self.consumer.alive:
                raise Different(f"expected {what}, but the consumer has ended")
            if time.monotonic() > deadline:
                raise Different(f"expected {what} within {seconds:g} s, got nothing of it")
            time.sleep(0.05)
        return found

    def value(self, result: Result[Any]) -> Any:
        """What the job returned, once it has."""
        try:
            return result.get(blocking=True, timeout=PATIENCE_SECONDS)
        except ResultTimeout:
            job = record(result)
            raise Different(f"expected {job.task} to end within {PATIENCE_SECONDS} s, but it is {job.state}") from None
        except TaskException as error:
            raise Different(f"expected the job {result.id} to succeed, but it failed: {error}") from None

    def ended(self, result: Result[Any]) -> Job:
        """The job's record, once it has ended."""
        self.until(lambda: record(result).ended, f"the job {result.id} to end")
        return record(result)


def record(result: Result[Any]) -> Job:
    """The job's record, as it is now."""
    job = huey.job(result.id)
    if job is None:
        raise Different(f"expected a record of the job {result.id}, got none")
    return job


def expect(actual: object, expected: object, what: str) -> None:
    """Compare.

    :raises Different: saying both.
    """
    if actual != expected:
        raise Different(f"expected {what} to be {_short(expected)}, got {_short(actual)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}…"
