"""The jobs of the small applications. Each run leaves lines in a file, so that the runs can be counted."""

from __future__ import annotations

import logging
import multiprocessing
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from huey.exceptions import RetryTask

from nephew import JobCancelled, Nephew, cron, current_job, every

Function = Callable[..., Any]

JOBS: list[tuple[Function, dict[str, Any]]] = []


def job(**options: Any) -> Callable[[Function], Function]:
    """Make a function into a task of every instance that `install` is called with."""

    def collect(function: Function) -> Function:
        JOBS.append((function, options))
        return function

    return collect


def install(huey: Nephew) -> SimpleNamespace:
    """The jobs as tasks of this instance; without those that its backend cannot run."""
    possible = [job for job in JOBS if huey.backend.transactions or not job[1].get("transactional")]
    return SimpleNamespace(**{function.__name__: huey.task(**options)(function) for function, options in possible})


def install_clock(huey: Nephew) -> None:
    """A schedule that comes due every second."""
    huey.periodic_task(every(seconds=1))(tick)
    huey.periodic_task(cron("0 0 1 1 *"))(new_year)


def install_many(huey: Nephew, count: int) -> None:
    """Schedules that come due once in four years."""
    for number in range(count):
        huey.periodic_task(cron(f"{number % 60} {number // 60 % 24} 29 2 *"), name=f"leap_{number}")(tick)


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


@job(tags=("told",), redact="key")
def tell(key: str, seconds: float) -> None:
    """Logs what it does, which nobody may see all of."""
    log = logging.getLogger("shop")
    log.warning("attempt %d began %s", current_job().attempt, key)
    time.sleep(seconds)
    log.warning("attempt %d ended %s", current_job().attempt, key)


@job()
def hold(key: str, seconds: float) -> None:
    """One C call that lets no other thread run Python code meanwhile."""
    size = int(2_000_000 * seconds / min(_seconds_for(2_000_000) for _ in range(5)))
    line("began", key)
    sum(range(size))
    line("ended", key)


def _seconds_for(size: int) -> float:
    started = time.monotonic()
    sum(range(size))
    return time.monotonic() - started


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
def follow(key: str, before: object) -> None:
    """The next step of a pipeline, or the callback of a chord."""
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


@job()
def spin(key: str, seconds: float) -> str:
    """Runs Python code all the time, and tidies up at the end."""
    line("began", key)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            time.sleep(0.01)
    finally:
        line("tidied", key)
    line("ended", key)
    return key


@job(timeout=1)
def spin_too_long(key: str) -> None:
    line("began", key)
    while True:
        time.sleep(0.01)


@job()
def swallow(key: str, times: int) -> str:
    """Lets nothing through that would stop it."""
    line("began", key)
    for _ in range(times):
        try:
            while True:
                time.sleep(0.01)
        except BaseException:
            line("swallowed", key)
    line("ended", key)
    return key


@job()
def ask(key: str) -> None:
    """Asks by itself whether it is to go on, though nothing else gets through to it."""
    line("began", key)
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            line("deaf", key)
        try:
            current_job().raise_if_cancelled()
        except JobCancelled:
            line("heard", key)
            raise


@job(at_most_once=True)
def once(key: str, seconds: float = 0.0) -> str:
    line("began", key)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
    line("ended", key)
    return key


@job(at_most_once=True)
def die_once(key: str) -> None:
    line("began", key)
    os.kill(os.getpid(), signal.SIGKILL)


@job(queue="mail")
def post(key: str) -> str:
    line("ran", key)
    return key


@job(unique=True)
def only_one(key: str) -> str:
    line("began", key)
    time.sleep(0.5)
    return key


@job(unique=True, retries=1)
def stall(key: str) -> int:
    """Takes a while, and tells where it ran. One whose key begins so fails in a consumer that is told to."""
    line("began", key)
    time.sleep(1)
    line("ended", key)
    if key.startswith("fails") and "TEST_FAILS" in os.environ:
        raise ValueError(key)
    return os.getpid()


@job()
def gather(values: list[int]) -> list[int]:
    """The callback of a chord."""
    line("ran", "gather")
    return values


def added_later(key: str) -> str:
    """A task that the applications do not know at first."""
    line("ran", key)
    return key


def tick() -> None:
    line("tick", "tick")


def new_year() -> None:
    line("tick", "new-year")


@job(retries=1, retry_delay=0.4)
def retry_soon(key: str) -> str:
    """Fails once."""
    line("ran", key)
    if current_job().attempt == 1:
        raise ValueError(key)
    return key


@job()
def bulk(key: str, size: int, seconds: float = 0.0) -> str:
    """Returns much."""
    line("began", key)
    time.sleep(seconds)
    return "x" * size


@job()
def length(key: str, text: str) -> int:
    """Is given much."""
    line("ran", key)
    return len(text)


@job(max_crashes=2)
def overwork(key: str) -> None:
    """Uses more processor time than it may: the kernel kills the process."""
    line("began", key)
    used = int(time.process_time())
    resource.setrlimit(resource.RLIMIT_CPU, (used + 1, used + 1))
    while True:
        pass


@job()
def overeat(key: str) -> None:
    """Asks for more memory than there is, which ends the job."""
    line("began", key)
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, before[1]))
    try:
        bytearray(8 << 30)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@job(max_crashes=2, redact="secret")
def perish(way: str, secret: str) -> None:
    """Logs something, and later something else and takes its process down in the same moment."""
    log = logging.getLogger("shop")
    line("began", way)
    log.warning("attempt %d began with %s", current_job().attempt, secret)
    time.sleep(0.15)  # by then the first line is in the store; the next one would not be before another 0.1 s
    log.warning("attempt %d ends with %s", current_job().attempt, secret)
    DEATHS[way]()


def _starve() -> None:
    """What a library does that is refused memory, once it has a good deal."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    eaten = b"x" * (64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (4 << 30, resource.RLIM_INFINITY))
    try:
        bytearray(8 << 30)
    except MemoryError:
        os.abort()
    raise AssertionError(f"there was room for it beside {len(eaten)} bytes")


DEATHS: dict[str, Callable[[], object]] = {
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "starved": _starve,
    "exited": lambda: os._exit(3),
}


@job()
def bear(key: str, way: str) -> int:
    """Makes a child while connections are open; both use the store, before and afterwards."""
    tasks = sys.modules["tests.integration.apps.plain"].tasks
    tasks.note(f"{key}-before")
    code = CHILDREN[way](lambda: tasks.note(f"{key}-child"))
    tasks.note(f"{key}-after")
    return code


def _fork(act: Callable[[], object]) -> int:
    pid = os.fork()
    if pid == 0:
        act()
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _multiprocess(act: Callable[[], object]) -> int:
    child = multiprocessing.get_context("fork").Process(target=act)
    child.start()
    child.join()
    return child.exitcode or 0


@job()
def bear_and_end(key: str) -> int:
    """Makes a child that would live for long, and ends it as `multiprocessing` does."""
    context = multiprocessing.get_context("fork")
    lives = context.Event()
    child = context.Process(target=lambda: (lives.set(), time.sleep(60)))
    child.start()
    lives.wait(10)
    child.terminate()
    child.join(10)
    child.kill()
    return child.exitcode or 0


def _run_program(act: Callable[[], object]) -> int:
    act()
    return subprocess.run([sys.executable, "-c", "raise SystemExit(0)"], check=False).returncode


CHILDREN = {"fork": _fork, "multiprocessing": _multiprocess, "subprocess": _run_program}


def _book(key: str, seconds: float) -> None:
    line("began", key)
    current_job().connection.execute(f"INSERT INTO booking VALUES ('{key}')")
    current_job().progress(0.5)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)
    line("ended", key)


@job(transactional=True)
def book(key: str, seconds: float = 0.0) -> None:
    """Writes a row together with its own end."""
    _book(key, seconds)


@job(transactional=True, timeout=1)
def book_too_long(key: str) -> None:
    _book(key, 60)
