"""The jobs of a soak: small, of every kind. Each run leaves a line, so that what ran twice is found."""

from __future__ import annotations

import fcntl
import logging
import os
import time
from pathlib import Path
from types import SimpleNamespace

from nephew import Nephew, current_job, every
from tests.integration.apps.jobs import line

log = logging.getLogger("soak")

#: Kills must not end a job: it could be cut off more often than any cap while it waits for its turn.
UNCAPPED = 1000
#: For how long (seconds) the lock of a job is held whose worker is gone.
LOCKED = 5


def done(word: str = "ran") -> None:
    """Say that this attempt has done what it is for."""
    job = current_job()
    line(word, f"{job.id}.{job.attempt}")


def plain() -> None:
    done()


def answer(size: int) -> str:
    done()
    return "x" * size


def stumble(times: int) -> None:
    """Fails in its first attempts."""
    done()
    if current_job().attempt <= times:
        raise ValueError("not yet")


def step(value: int) -> int:
    """One of a pipeline, or a member of a chord."""
    done()
    return value + 1


def add_up(values: list[int]) -> int:
    done()
    return sum(values)


def alone(name: str, seconds: float) -> None:
    """Holds a lock of the kernel's for a while, which tells whether somebody else does the same."""
    with open(Path(os.environ["TEST_RUNS"]).with_name(name), "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            done("clash")
        time.sleep(seconds)
        done()


def only(name: str) -> None:
    alone(f"only-{name}", 0.02)


def talk() -> None:
    for number in range(5):
        current_job().progress(number / 5, f"step {number}")
        log.info("step %d", number)
    done()


def once() -> None:
    done("once")


def linger(seconds: float) -> None:
    """Lives long enough to be stopped; in small steps, since a thread is stopped between two of them."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
    done()


def tick() -> None:
    done("tick")


def install(huey: Nephew) -> SimpleNamespace:
    """The jobs as tasks of this instance."""

    @huey.task(max_crashes=UNCAPPED)
    def guarded(name: str) -> None:
        with huey.lock(name, ttl=LOCKED, wait=0.2):
            alone(f"lock-{name}", 0.005)

    huey.periodic_task(every(seconds=1))(tick)
    return SimpleNamespace(
        plain=huey.task()(plain),
        answer=huey.task()(answer),
        stumble=huey.task(retries=3, name="stumble")(stumble),
        stumble_later=huey.task(retries=3, retry_delay=0.2, name="stumble-later")(stumble),
        step=huey.task(max_crashes=UNCAPPED)(step),
        add_up=huey.task(max_crashes=UNCAPPED)(add_up),
        only=huey.task(unique=True)(only),
        guarded=guarded,
        talk=huey.task()(talk),
        once=huey.task(at_most_once=True)(once),
        linger=huey.task()(linger),
        oversleep=huey.task(timeout=0.2, name="oversleep")(linger),
    )
