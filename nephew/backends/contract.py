"""What a backend does.

A backend keeps bytes and says what became of them; it decodes nothing and runs nothing. Times are epoch
seconds. Every method that writes is one atomic step.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any

from nephew.backends.events import Events
from nephew.backends.history import History
from nephew.backends.records import (
    Change,
    Claimed,
    Died,
    Ended,
    Enqueued,
    LockRow,
    LogLines,
    NewJob,
    Outcome,
    Schema,
    Settled,
    Transaction,
    WorkerRecord,
)
from nephew.backends.schedules import Schedules
from nephew.backends.watcher import Doorbell, Watcher
from nephew.errors import NephewError

#: Seconds between the first two looks at a job that may end at once, from which they grow, and for how long.
FIRST_LOOK, SOON = 0.0002, 0.01


class Backend(Events, History, Schedules, ABC):
    """A place where the jobs of one instance are kept."""

    #: The instance's name; every row carries it.
    name: str
    #: For people: kind and place, without passwords.
    description: str
    #: Whether other processes see the same jobs.
    shared: bool
    #: Whether an open transaction keeps all others from writing.
    one_writer: bool
    #: Whether a transaction is undone when others write to a row that it writes later.
    snapshots: bool
    #: Whether a job can be enqueued and ended in a transaction of the application's own.
    transactions: bool = True
    #: Whether workers must send heartbeats (SQLite's workers are all on one host: the file lock is enough).
    heartbeats: bool

    @property
    def keeps(self) -> int | None:
        """Of how many ended jobs it keeps the records, at most; None: it has no such limit."""
        return None

    # -- life ---------------------------------------------------------------------------------------
    @abstractmethod
    def migrate(self) -> tuple[int, int]:
        """Bring the tables up to date; safe to call at once from several processes. Versions before, after."""

    @abstractmethod
    def schema(self) -> Schema:
        """The versions of the tables. Only looks: no file and no table is made."""

    def warnings(self) -> list[str]:
        """What about the store's configuration may cost jobs, and what to do about it.

        :raises ConfigError: when the store cannot be used at all.
        """
        return []

    @abstractmethod
    def close(self) -> None:
        """Close what the calling thread holds open; the next call opens it again."""

    def leave(self) -> None:
        """The calling thread needs the store no more: close what is its own."""
        self.close()

    @abstractmethod
    def forget_connections(self) -> None:
        """In a fork's child: drop the parent's connections without touching them."""

    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether the calling thread is inside a transaction of the application's own."""

    @abstractmethod
    def inside(self, connection: Any) -> AbstractContextManager[None]:
        """Write within the transaction of a connection of the application's own, for the calling thread.

        :raises ConfigError: when it is no connection to the database that the jobs are in.
        :raises NephewError: when no transaction is open on it, or another one is open here.
        """

    @abstractmethod
    def begin(self) -> Transaction:
        """Begin a transaction on the calling thread, which all belongs to that the thread writes from here on.

        The application's own use of the same Peewee database, and of the transaction's connection, included.
        """

    @abstractmethod
    def trouble(self, transaction: Transaction) -> NephewError | None:
        """Why a job's transaction cannot be committed as it is now; None: it can."""

    @abstractmethod
    def conclude(self, worker: int, outcome: Outcome) -> Settled:
        """Apply an outcome, if its claim holds, within the transaction that is open here; it counts once committed."""

    @abstractmethod
    def commit(self, transaction: Transaction) -> None:
        """Commit it.

        :raises BackendError: when it was not committed, or when the answer is lost and nobody knows.
        """

    @abstractmethod
    def roll_back(self, transaction: Transaction) -> bool:
        """Undo it, as far as it is not committed; False when its connection had been lost."""

    @abstractmethod
    def is_conflict(self, error: BaseException) -> bool:
        """Whether an error means that a transaction was undone for the sake of another, and may be tried again."""

    @abstractmethod
    def now(self) -> float:
        """The store's clock."""

    @abstractmethod
    def watcher(self) -> Watcher:
        """What tells a consumer that something was written."""

    def doorbell(self) -> Doorbell | None:
        """What brings one idle worker its work, without its consumer; None: the consumer hears of it by `watcher`."""
        return None

    @abstractmethod
    def ends_watcher(self) -> Watcher:
        """What tells those who wait for jobs, or follow events, that something has happened; see `ended`."""

    @abstractmethod
    def run_dir(self) -> str:
        """A folder that all workers of this host see, for their small files."""

    # -- queue --------------------------------------------------------------------------------------
    @abstractmethod
    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        """Store jobs, all or none. A job whose unique key or id belongs to an unfinished job is not stored."""

    @abstractmethod
    def claim(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = (), ids: Sequence[str] = ()
    ) -> list[Claimed]:
        """Take up to `limit` waiting jobs, the most urgent first; with `ids`, these, even if not yet due.

        Repeating it with the same `claim` returns what the first one took.

        :raises UnknownWorker: when the worker is not registered; it takes nothing.
        """

    def claim_ahead(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = ()
    ) -> Callable[[], list[Claimed]] | None:
        """Send a claim and do not wait for it: what is returned does, once, on any thread; None: `claim` has to do.

        It returns and raises what `claim` does, which may be called with the same numbers once it has raised.
        """
        return None

    @abstractmethod
    def settle(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Settled:
        """Apply outcomes, each whole or not at all, and only where the claim still holds.

        Repeating it with the same `number` changes nothing and gives the first reply again.
        """

    def settle_ahead(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Callable[[], Settled] | None:
        """Send outcomes and do not wait for the answer; as `claim_ahead`. None: `settle` has to do."""
        return None

    @abstractmethod
    def begin_once(self, worker: int, seq: int, claim: int, since: float) -> bool:
        """Note that a job is begun which must not be begun again; False when its claim no longer holds.

        From here on it is never given back: whoever finds its worker dead has to end it.
        """

    @abstractmethod
    def ask_to_stop(self, job_id: str, reason: str) -> bool:
        """Ask for the end of a job that a worker holds; False when none does."""

    @abstractmethod
    def asked_to_stop(self, worker: int) -> list[tuple[int, int, str]]:
        """The claims (`(seq, claim, reason)`) of a worker whose end somebody has asked for."""

    @abstractmethod
    def change(self, job_id: str, change: Change) -> bool:
        """Change a job that waits and that no worker holds; False when it does not."""

    @abstractmethod
    def expired(self, limit: int = 100) -> list[str]:
        """The ids of jobs whose expiry has come while they were waiting."""

    @abstractmethod
    def mark_running(self, worker: int, running: Sequence[tuple[int, int, float]]) -> None:
        """Note that claims (`(seq, claim, since)`) are being run."""

    @abstractmethod
    def note_progress(self, worker: int, seq: int, claim: int, fraction: float, message: str | None) -> None:
        """Store a running job's progress while its claim holds."""

    @abstractmethod
    def note_log(self, worker: int, seq: int, claim: int, log: LogLines) -> None:
        """Store what a running job has logged so far, while its claim holds."""

    @abstractmethod
    def promote(self, now: float | None = None) -> int:
        """Move due jobs to the queue, in the order of their times; how many."""

    @abstractmethod
    def next_due(self) -> float | None:
        """When the next scheduled job is due."""

    @abstractmethod
    def parked(self, after: int = 0, limit: int = 100) -> list[tuple[int, str, str]]:
        """Places, ids and tasks of parked jobs behind the place `after`, in order; none: there are no more of them."""

    @abstractmethod
    def unpark(self, ids: Sequence[str]) -> int:
        """Put these jobs back into the queue, in their old places, where they are parked; how many."""

    @abstractmethod
    def requeue(self, job_id: str) -> bool:
        """Put an ended job back into the queue, its crashes and its revocation forgiven.

        False when it has not ended, or cannot run again: a twin has its unique key, or it was the callback
        of a chord and succeeded, so that its values are gone.
        """

    # -- workers ------------------------------------------------------------------------------------
    @abstractmethod
    def register(self, worker: WorkerRecord) -> int:
        """Make a worker known; its number."""

    @abstractmethod
    def retire(self, worker: int) -> None:
        """A worker ends in peace: what it still holds goes back to the queue, in order and uncounted.

        That a job goes back which had begun is an event; here, and wherever claims are given back.
        """

    @abstractmethod
    def held(self, worker: int) -> list[tuple[int, str, int]]:
        """What a worker holds, as the store knows it: `(seq, id, claim)`."""

    @abstractmethod
    def release_orphans(self) -> int:
        """Give back claims of workers that are not registered any more; how many.

        Not those of jobs that may begin only once: see `take_over`.
        """

    @abstractmethod
    def has_lost(self) -> bool:
        """Whether there are jobs that may begin only once, were begun, and whose worker is gone."""

    @abstractmethod
    def take_over(self, heir: int, claim: int) -> list[Claimed]:
        """Claim the jobs that `has_lost` means, to be failed; the same ones when it is repeated."""

    @abstractmethod
    def heartbeat(self, incarnations: Sequence[str]) -> None:
        """These workers live."""

    @abstractmethod
    def workers(self) -> list[WorkerRecord]:
        """The workers that have not retired or been reaped."""

    @abstractmethod
    def reap(self, died: Died, heir: int, claim: int, caps: Any) -> list[Claimed]:
        """Return a dead worker's claims to the queue, in order, and charge the running ones; suspects only run alone.

        Those that have reached their cap (`caps(task) -> int`) are claimed by `heir` instead and returned,
        to be failed; the same ones when it is repeated. The worker's registration ends with it.
        """

    # -- results and data ---------------------------------------------------------------------------
    @abstractmethod
    def outcome(self, job_id: str) -> tuple[str, bytes | None, str | None] | None:
        """State, result and reason of a job; None when there is no such job."""

    @abstractmethod
    def take_result(self, job_id: str) -> bytes | None:
        """Read a result and delete it."""

    @abstractmethod
    def ended(self, ids: Sequence[str], follows: bool = False) -> set[str]:
        """Which of these jobs have ended, or are unknown and have data under their ids.

        Asks for the others' ends to be told to `ends_watcher`, for some seconds; it is asked again in time.

        :param follows: ask for everything that happens to be told.
        """

    def ends_soon(self, job_id: str, within: float) -> Ended | None:
        """Whether a job has ended (as `ended` says it), or does so before it is worth a connection that listens.

        :param within: seconds after which nobody is interested any more.
        """
        until, pause = time.monotonic() + min(SOON, within), FIRST_LOOK
        while not self.ended([job_id]):
            if time.monotonic() + pause >= until:
                return None
            time.sleep(pause)
            pause *= 1.3
        return Ended()

    # -- locks --------------------------------------------------------------------------------------
    @abstractmethod
    def acquire_lock(self, name: str, owner: str, label: str, ttl: float) -> int | None:
        """Take a lock that nobody holds; its fencing number, or None."""

    @abstractmethod
    def renew_lock(self, name: str, owner: str, ttl: float) -> bool:
        """Prolong a lock that is still the owner's."""

    @abstractmethod
    def release_lock(self, name: str, owner: str | None) -> bool:
        """Give a lock up if it is the owner's; `owner` None breaks it, whoever holds it."""

    @abstractmethod
    def locks(self) -> list[LockRow]:
        """The locks that are held."""

    # -- Huey's raw storage -------------------------------------------------------------------------
    @abstractmethod
    def put(self, key: str, value: bytes, ttl: float | None = None) -> None:
        """Store data under a key of the user's."""

    @abstractmethod
    def put_new(self, key: str, value: bytes, ttl: float | None = None) -> bool:
        """Store data under a key that has none; whether it was stored."""

    @abstractmethod
    def peek(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The data under these keys (results of jobs included)."""

    @abstractmethod
    def pop(self, key: str) -> bytes | None:
        """Read data and delete it."""

    @abstractmethod
    def items(self) -> dict[str, bytes]:
        """All data and results."""

    @abstractmethod
    def add(self, key: str, amount: int) -> int:
        """Change a counter; its new value."""

    @abstractmethod
    def drop_counter(self, key: str) -> None:
        """Forget a counter."""

    @abstractmethod
    def add_scheduled(self, job: NewJob) -> None:
        """Store a job in the schedule even when it is already due."""

    @abstractmethod
    def tidy(self, limit: int = 500) -> int:
        """Delete data whose time is over; how many, at most `limit`."""

    @abstractmethod
    def flush(self, what: str) -> None:
        """Delete all of `queue`, `schedule`, `results` or `counters`."""
