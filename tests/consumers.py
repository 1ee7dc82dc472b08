"""Real consumers: the stock `huey_consumer` as a process of its own, and the accounts of what it did."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from huey import signals

from nephew import Job, Nephew
from nephew.backends.records import Row
from tests import ledger, visits
from tests.eventually import eventually
from tests.integration.apps import jobs
from tests.leftovers import is_running

ROOT = Path(__file__).resolve().parents[1]

#: Generous: two cores are shared with other test runs.
START_SECONDS = 20
STOP_SECONDS = 30

KINDS = {"thread": "plain", "process": "plain", "greenlet": "green"}


class Run(NamedTuple):
    """One line that a job wrote."""

    word: str
    key: str
    at: float
    pid: int


class Consumer:
    """One `huey_consumer`, in a process group of its own."""

    def __init__(
        self,
        bench: Bench,
        kind: str = "process",
        workers: int = 2,
        *options: str,
        app: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.bench, self.kind, self.workers = bench, kind, workers
        module = app if app and "." in app else f"tests.integration.apps.{app or KINDS[kind]}"
        self.command = [
            str(Path(sys.executable).with_name("huey_consumer")),
            f"{module}.huey", "-k", kind, "-w", str(workers), *options,
        ]  # fmt: skip
        self.environment = bench.environment | (environment or {})
        self.log_path = bench.folder / f"consumer-{len(bench.consumers)}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The consumer's own process; its group has the same number."""
        assert self._process is not None, "the consumer was not started"
        return self._process.pid

    def start(self, ready: bool = True) -> Consumer:
        """Start it; returns when its workers ask for jobs."""
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        if ready:
            self.await_ready()
        return self

    def await_ready(self) -> None:
        """Return when all of its workers have registered."""
        expected = self.workers if self.kind == "process" else 1

        def assert_ready() -> None:
            assert self._process is not None
            assert self._process.poll() is None, f"the consumer ended:\n{self.log()}"
            assert len(self.worker_pids()) == expected, f"not ready:\n{self.log()}"

        try:
            eventually(assert_ready, START_SECONDS)
        except AssertionError:
            self.dump_stacks()
            raise

    def worker_pids(self) -> list[int]:
        """The living processes that run its jobs."""
        group = set(self.group())
        rows = self.bench.huey.backend.workers()
        return [row.pid for row in rows if row.pid in group and row.kind == self.kind]

    def group(self) -> list[int]:
        """The living processes of its process group."""
        return list(_group(self.pid))

    def dump_stacks(self) -> None:
        """Have all of its processes write into the log what their threads are doing."""
        for pid in self.group():
            os.kill(pid, signal.SIGUSR1)
        size = len(self.log())
        with suppress(AssertionError):
            eventually(lambda: len(self.log()) > size, 2)

    def cpu_seconds(self) -> float:
        """What all of its processes have used so far."""
        return sum(_cpu_seconds(pid) for pid in self.group())

    def send(self, signum: int) -> None:
        """Signal the consumer's own process."""
        os.kill(self.pid, signum)

    def send_group(self, signum: int) -> None:
        """Signal all of its processes, as systemd does."""
        os.killpg(self.pid, signum)

    def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Its exit code, once it has ended."""
        assert self._process is not None
        return self._process.wait(timeout)

    def is_running(self) -> bool:
        """Whether its own process has not ended."""
        return self._process is not None and self._process.poll() is None

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """End it as an operator does; its exit code."""
        self.send(signum)
        return self.wait()

    def kill(self) -> None:
        """End all of its processes at once."""
        with suppress(ProcessLookupError):
            self.send_group(signal.SIGKILL)
        self.wait()

    def log(self) -> str:
        """What it has said."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""


class Bench:
    """One instance, seen from outside: enqueues, starts consumers, counts runs, checks the books."""

    def __init__(self, url: str, name: str, folder: Path) -> None:
        visits.opened(url)
        self.url, self.folder = url, folder
        self.run_dir = folder / "run"
        self.runs_path = folder / "runs"
        self.environment = {
            "NEPHEW_URL": url,
            "NEPHEW_RUN_DIR": str(self.run_dir),
            "TEST_NAME": name,
            "TEST_RUNS": str(self.runs_path),
        }
        self.consumers: list[Consumer] = []
        self.huey = Nephew(name, url, run_dir=str(self.run_dir))
        self.tasks = jobs.install(self.huey)
        self.enqueued: set[str] = set()
        self.huey.signal(signals.SIGNAL_ENQUEUED, signals.SIGNAL_SCHEDULED)(self._note)

    def _note(self, signal: str, task: Any) -> None:
        self.enqueued.add(task.id)

    def consumer(
        self,
        kind: str = "process",
        workers: int = 2,
        *options: str,
        app: str | None = None,
        ready: bool = True,
        environment: dict[str, str] | None = None,
        **settings: Any,
    ) -> Consumer:
        """Start a consumer; `settings` are Nephew's."""
        environment = (environment or {}) | {f"NEPHEW_{key.upper()}": str(v) for key, v in settings.items()}
        consumer = Consumer(self, kind, workers, *options, app=app, environment=environment)
        self.consumers.append(consumer)
        return consumer.start(ready)

    # -- what happened ------------------------------------------------------------------------------
    def runs(self, word: str | None = None, key: str | None = None) -> list[Run]:
        """The lines that jobs have written, in order."""
        if not self.runs_path.exists():
            return []
        found = []
        for text in self.runs_path.read_text().splitlines():
            fields = text.split()
            found.append(Run(fields[0], fields[1], float(fields[2]), int(fields[3])))
        return [run for run in found if word in (None, run.word) and key in (None, run.key)]

    def await_run(self, word: str, key: str, count: int = 1, timeout: float = 30) -> Run:
        """The `count`-th line of that kind, once it is there."""

        def found() -> Run:
            runs = self.runs(word, key)
            assert len(runs) >= count, f"{word} {key}: {len(runs)} of {count}\n{self.logs()}"
            return runs[count - 1]

        return eventually(found, timeout)

    def job(self, handle: Any) -> Job:
        """The record of a job."""
        found = self.huey.job(handle.id)
        assert found is not None, f"there is no job {handle.id}"
        return found

    def await_state(self, handle: Any, state: str, timeout: float = 30) -> Job:
        """The record of a job, once it is in this state."""

        def reached() -> Job:
            job = self.job(handle)
            assert job.state == state, f"{job}\n{self.logs()}"
            return job

        return eventually(reached, timeout)

    def await_all(self, state: str, count: int, timeout: float = 60) -> None:
        """Return when so many jobs are in this state."""

        def reached() -> None:
            counts = self.huey.backend.counts()
            assert counts.get(state, 0) >= count, f"{counts}\n{self.logs()}"

        eventually(reached, timeout)

    def scalar(self, sql: str) -> Any:
        """The only value of a query about this instance."""
        return self.column(sql)[0]

    def column(self, sql: str) -> list[Any]:
        """The first column of a query about this instance."""
        return [row[0] for row in self.huey.backend.read(sql, (self.huey.name,))]

    def claimed(self) -> int:
        """How many unfinished jobs a worker holds."""
        return sum(row.worker is not None and row.finished_at is None for row in self._rows())

    def _rows(self) -> list[Row]:
        return self.huey.backend.rows(limit=None, longest=0)

    def logs(self) -> str:
        """The last lines of all consumers."""
        parts = []
        for consumer in self.consumers:
            lines = consumer.log().splitlines()
            shown = lines if len(lines) <= 120 else [*lines[:20], "…", *lines[-100:]]
            parts.append("\n".join([f"--- {consumer.log_path.name} ({consumer.kind})", *shown]))
        return "\n".join(parts)

    # -- the end ------------------------------------------------------------------------------------
    def close(self, left: Collection[str] = ()) -> None:
        """Stop what runs, then check the books; `left` is what may be left in them."""
        codes = {c.pid: c.stop() for c in self.consumers if c.is_running()}
        assert not any(codes.values()), f"exit codes {codes}\n{self.logs()}"
        self.check(left)

    def check(self, left: Collection[str] = ()) -> None:
        """Enqueued = finished + waiting; and the books are in order."""
        lost = self.enqueued - {row.id for row in self._rows()}
        assert not lost, f"lost: {lost}"
        self.check_books(left)

    def check_books(self, left: Collection[str] = ()) -> None:
        """Nothing is held, nobody is registered, nothing runs."""
        self.huey.sign_off()
        ledger.assert_in_order([*ledger.of_backend(self.huey.backend), *ledger.files_in(self.run_dir)], left)
        visits.seen(self.url)
        eventually(self._assert_no_process, 10)

    def _assert_no_process(self) -> None:
        left = {consumer.pid: consumer.group() for consumer in self.consumers}
        assert not any(left.values()), f"still running: {left}"

    def abandon(self) -> None:
        """End everything, whatever state it is in."""
        for consumer in self.consumers:
            if consumer._process is not None:
                with suppress(ProcessLookupError):
                    consumer.send_group(signal.SIGKILL)
                consumer.wait()
        self.huey.sign_off()
        self.huey.backend.close()


def repeated(runs: Sequence[Run]) -> dict[str, int]:
    """How often each key occurs more than once."""
    return {key: count - 1 for key, count in Counter(run.key for run in runs).items() if count > 1}


def _group(group: int) -> Iterator[int]:
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields and int(fields[2]) == group and fields[0] not in "ZX":
            yield int(folder.name)


def _cpu_seconds(pid: int) -> float:
    """From the scheduler's nanoseconds: who sleeps and wakes all the time slips through the ticks of `stat`."""
    total = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError):
            total += int(path.read_text().split()[0])
    return total / 1e9


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat behind the name; the first is the state."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def await_gone(pids: Sequence[int], timeout: float) -> float:
    """Seconds until none of these processes was running any more."""
    started = time.monotonic()

    def gone() -> None:
        left = [pid for pid in pids if is_running(pid)]
        assert not left, f"still running: {left}"

    eventually(gone, timeout)
    return time.monotonic() - started
