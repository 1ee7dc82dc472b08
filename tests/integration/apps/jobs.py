"""The jobs of the small applications. Each run leaves lines in a file, so that the runs can be counted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from huey.exceptions import RetryTask

from nephew import Nephew, cron, current_job, every

Function = Callable[..., Any]

JOBS: list[tuple[Function, dict[str, Any]]] = []


def job(**options: Any) -> Callable[[Function], Function]:
    """Make a function into a task of every instance that `install` is called with."""

    def collect(function: Function) -> Function:
        JOBS.append((function, options))
        return function

    return collect


def install(huey: Nephew) -> SimpleNamespace:
    """The jobs as tasks of this instance."""
    return SimpleNamespace(**{function.__name__: huey.task(**options)(function) for function, options in JOBS})


def install_clock(huey: Nephew) -> None:
    """A schedule that comes due every second."""
    huey.periodic_task(every(seconds=1))(tick)
    huey.periodic_task(cron("0 0 1 1 *"))(new_year)


def line(word: str, key: str) -> None:
    """Add `word key time pid` to the file of runs."""
    text = f"{word} {key} {time.time():.6f} {os.getpid()}\n"
    descriptor = os.open(os.environ["TEST_RUNS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, text.encode())
    os.close(descriptor)


@job()
def note(key: str) -> str:
    line("ran", key)
    return key


@job()
def spell(key: str, seconds: float) -> int:
    """Takes a while, and tells which attempt it was."""
    line("began", key)
    time.sleep(seconds)
    line("ended", key)
    return current_job().attempt


@job()
def hold(key: str, seconds: float) -> None:
    """One C call that lets no other thread run Python code meanwhile."""
    started = time.monotonic()
    sum(range(5_000_000))
    size = int(5_000_000 * seconds / (time.monotonic() - started))
    line("began", key)
    sum(range(size))
    line("ended", key)


@job()
def kill_me(key: str) -> None:
    line("began", key)
    os.kill(os.getpid(), signal.SIGKILL)


@job(retries=2)
def fail_first(key: str, times: int) -> str:
    """Fails in its first attempts."""
    line("ran", key)
    if current_job().attempt <= times:
        raise ValueError(f"{key} fails in attempt {current_job().attempt}")
    return key


@job(retries=2, retry_delay=0)
def fail(key: str) -> None:
    line("ran", key)
    raise ValueError(f"{key} fails in attempt {current_job().attempt}")


@job()
def handle(key: str, error: BaseException) -> None:
    """An error handler."""
    line("handled", str(error).replace(" ", "_"))


@job()
def follow(attempt: int, key: str) -> None:
    """The next step of a pipeline."""
    line("followed", key)


@job()
def retry_later(key: str) -> str:
    """Asks once for another run."""
    line("ran", key)
    if current_job().attempt == 1:
        raise RetryTask(delay=0.3)
    return key


@job(timeout=1, retries=1)
def oversleep(key: str) -> str:
    """Sleeps through its time the first time."""
    line("began", key)
    if current_job().attempt == 1:
        time.sleep(60)
    line("ended", key)
    return key


@job(timeout=1)
def oversleep_always(key: str) -> None:
    line("began", key)
    time.sleep(60)


@job(queue="mail")
def post(key: str) -> str:
    line("ran", key)
    return key


@job(unique=True)
def only_one(key: str) -> str:
    line("began", key)
    time.sleep(0.5)
    return key


def added_later(key: str) -> str:
    """A task that the applications do not know at first."""
    line("ran", key)
    return key


def tick() -> None:
    line("tick", "tick")


def new_year() -> None:
    line("tick", "new-year")
