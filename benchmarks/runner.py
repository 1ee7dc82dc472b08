"""What an adapter has to say and do, so that every runner is measured in the same way.

What a session imports keeps to the standard library: it runs in the environment of its runner, with nothing else in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version


def redis_py() -> dict[str, str]:
    """The versions of the client of Redis in Python, and of its parser in C."""
    return {"redis-py": version("redis"), "hiredis": version("hiredis")}


@dataclass(frozen=True, slots=True)
class About:
    """What has to be known to judge a runner's figures."""

    #: Its name in the table.
    title: str
    #: How its workers are started.
    worker: str
    #: How many jobs one worker process runs at a time: while it drains, and when jobs sleep.
    concurrency: str
    #: What it acknowledges, and when.
    acknowledges: str
    #: What it keeps of a finished job.
    keeps: str
    #: What a power cut may take.
    durability: str
    #: How the bulk enqueue is done.
    bulk: str
    #: The versions of the packages that take part.
    versions: dict[str, str]
    #: By its own settings, after how many seconds all jobs of a killed worker are due again; 0: at once, or never.
    late_seconds: float = 0
    #: Whether that is only true of the jobs that it had fetched: those that it ran are lost.
    loses_running: bool = False

    def as_dict(self) -> dict[str, object]:
        """Plain values, for JSON."""
        return asdict(self)


class Runner(ABC):
    """One job runner, seen from the application that uses it."""

    about: About

    #: Whether an idle consumer does something by itself only every ten seconds or so.
    beats_seldom = False
    #: Whether a consumer of two worker processes notices when one of them is killed, and gives its jobs to others.
    watches_workers = False

    @abstractmethod
    def enqueue(self, number: int) -> object:
        """Enqueue the no-op job of this number as applications do; returns its handle."""

    def enqueue_each(self, numbers: Sequence[int]) -> None:
        """Enqueue no-op jobs, one after the other: the next one when the store has confirmed the one before."""
        for number in numbers:
            self.enqueue(number)

    @abstractmethod
    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """Enqueue many no-op jobs in the fastest way that the runner documents."""

    @abstractmethod
    def enqueue_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """Enqueue a job of `benchmarks.jobs.nap(number, seconds)` for each number; how fast does not matter."""

    @abstractmethod
    def await_result(self, handle: object, seconds: float) -> object:
        """Wait for a job's result as applications do.

        :raises Exception: whatever the runner raises when it was not there in this time.
        """

    @abstractmethod
    def commands(self, workers: int) -> list[list[str]]:
        """The commands that start consumers with so many worker processes in all.

        SIGINT ends them when the jobs that are running have ended.
        """

    @abstractmethod
    def nap_commands(self) -> list[list[str]]:
        """The command that starts one worker process which runs 50 naps at a time, on threads or coroutines.

        Empty for a runner that has no such worker.
        """

    @abstractmethod
    def waiting(self) -> int:
        """How many jobs have not been taken."""

    @abstractmethod
    def kept(self) -> int:
        """How many results, or finished jobs, the store holds."""

    def close(self) -> None:  # noqa: B027 - most have nothing to do here
        """Give back what the runner holds; nothing is asked of it afterwards."""
