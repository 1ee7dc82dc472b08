"""What a backend does, and the values that go in and out of it.

A backend keeps bytes and says what became of them; it decodes nothing and runs nothing. Times are epoch
seconds. Every method that writes is one atomic step.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from nephew.job import State


class NewJob(NamedTuple):
    """A job to be stored. `eta` None or past: at once. `chord`: its values are bound when it is claimed."""

    id: str
    task: str
    queue: str
    payload: bytes
    priority: float = 0.0
    eta: float | None = None
    unique_key: str | None = None
    chord: str | None = None


class Enqueued(NamedTuple):
    """What became of a `NewJob`: its id, or that of the unfinished job that it duplicates."""

    id: str
    duplicate: bool


class Claimed(NamedTuple):
    """A job that this worker holds. `seq` is its place, `claim` the token that a settle must show.

    `alone`: its last worker died, so nothing else may run beside it in the process. `chord_values` are the
    encoded values of the chord that it is the callback of.
    """

    seq: int
    id: str
    task: str
    queue: str
    payload: bytes
    priority: float
    attempts: int
    crashes: int
    alone: bool
    claim: int
    chord: str | None
    chord_values: tuple[bytes, ...] = ()
    revokes: dict[str, bytes] = {}


class ChordMark(NamedTuple):
    """One member of a chord has ended with `value`; the last one enqueues the callback."""

    cid: str
    position: int
    size: int
    value: bytes
    callback: NewJob


class Never(NamedTuple):
    """A step of a pipeline that will not run, because one before it ended badly."""

    id: str
    task: str
    queue: str
    payload: bytes
    result: bytes | None
    reason: str


class Outcome(NamedTuple):
    """How a claim ends: everything that becomes true with it, in one atomic step.

    :ivar state: where the job goes. `queued` with `payload` None gives it back to its old place, uncounted.
    :ivar counted: whether this run counts as an attempt.
    :ivar result: encoded result or error; None keeps what is there.
    :ivar attempt: the outcome word of the attempt to be recorded (failures; a success needs no extra row).
    :ivar payload: the message of the next attempt.
    :ivar never: the steps of its pipeline that will not run now.
    :ivar chord_done: the chord whose values this job was called with, no longer needed. While the job may
        be run again by hand (it failed, was cancelled or expired) they are.
    :ivar forget: revocations that have had their effect.
    """

    seq: int
    id: str
    claim: int
    state: State
    counted: bool = False
    started_at: float | None = None
    finished_at: float | None = None
    result: bytes | None = None
    attempt: str | None = None
    error: str | None = None
    traceback: str | None = None
    reason: str | None = None
    payload: bytes | None = None
    eta: float | None = None
    progress: tuple[float, str | None] | None = None
    worker: str | None = None
    follow_ups: tuple[NewJob, ...] = ()
    never: tuple[Never, ...] = ()
    chord_mark: ChordMark | None = None
    chord_done: str | None = None
    forget: tuple[str, ...] = ()


class Settled(NamedTuple):
    """What a settle did.

    :ivar lost: the claims (as `(seq, claim)`) that no longer held.
    :ivar enqueued: the ids of the jobs that followed.
    :ivar known: False when the worker's registration is gone: it was taken for dead and must sign on anew.
    """

    lost: frozenset[tuple[int, int]]
    enqueued: tuple[str, ...]
    known: bool = True


class WorkerRecord(NamedTuple):
    """A process that claims jobs, as it is registered.

    :ivar number: given by the store; names the worker in claims.
    :ivar incarnation: random; a process that execs or a pid that is used again is another worker.
    :ivar path: the file whose lock it holds while it lives; empty where the system has no such locks.
    :ivar parent: the incarnation of its consumer.
    """

    number: int
    incarnation: str
    parent: str
    host: str
    boot: str
    pid_namespace: str
    pid: int
    path: str
    kind: str
    queues: str
    started_at: float
    heartbeat_at: float


class Row(NamedTuple):
    """A job's stored record, undecoded."""

    seq: int
    id: str
    task: str
    queue: str
    state: str
    priority: float
    eta: float | None
    payload: bytes
    result: bytes | None
    error: str | None
    attempts: int
    crashes: int
    worker: int | None
    claim: int | None
    worker_label: str | None
    enqueued_at: float
    started_at: float | None
    finished_at: float | None
    progress: float | None
    progress_message: str | None
    reason: str | None
    unique_key: str | None


class AttemptRow(NamedTuple):
    """A stored attempt of a job: the failed ones and the crashes."""

    number: int
    started_at: float | None
    finished_at: float | None
    worker: str | None
    outcome: str
    error: str | None
    traceback: str | None


class Died(NamedTuple):
    """A worker is gone.

    :ivar running: the claims (`(seq, claim)`, and since when) that its process was running when it died;
        None: not known.
    :ivar cause: in words, for the record.
    :ivar charged: False when it was ended on purpose; then nobody is charged a crash.
    """

    worker: int
    running: dict[tuple[int, int], float] | None
    cause: str
    charged: bool = True


class LockRow(NamedTuple):
    """A lock somebody holds. `fence` grows with every acquisition."""

    name: str
    owner: str
    label: str
    fence: int
    acquired_at: float
    expires_at: float


class Schema(NamedTuple):
    """The versions of the store's tables.

    :ivar found: 0 when there are none.
    :ivar automatic: whether a consumer brings them up to date when it starts.
    """

    found: int
    expected: int
    automatic: bool


class Backend(ABC):
    """A place where the jobs of one instance are kept."""

    #: The instance's name; every row carries it.
    name: str
    #: For people: kind and place, without passwords.
    description: str
    #: Whether other processes see the same jobs.
    shared: bool
    #: Whether workers must send heartbeats (SQLite's workers are all on one host: the file lock is enough).
    heartbeats: bool

    # -- life ---------------------------------------------------------------------------------------
    @abstractmethod
    def migrate(self) -> tuple[int, int]:
        """Bring the tables up to date; safe to call at once from several processes. Versions before, after."""

    @abstractmethod
    def schema(self) -> Schema:
        """The versions of the tables. Only looks: no file and no table is made."""

    @abstractmethod
    def close(self) -> None:
        """Close what the calling thread holds open; the next call opens it again."""

    @abstractmethod
    def forget_connections(self) -> None:
        """In a fork's child: drop the parent's connections without touching them."""

    @abstractmethod
    def in_transaction(self) -> bool:
        """Whether the calling thread is inside a transaction of the application's own."""

    @abstractmethod
    def now(self) -> float:
        """The store's clock."""

    @abstractmethod
    def watcher(self) -> Watcher:
        """What tells a consumer that something was written."""

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

        A worker that is not registered takes nothing. Repeating it with the same `claim` returns what the
        first one took.
        """

    @abstractmethod
    def settle(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Settled:
        """Apply outcomes, each whole or not at all, and only where the claim still holds.

        Repeating it with the same `number` changes nothing and gives the first reply again.
        """

    @abstractmethod
    def mark_running(self, worker: int, running: Sequence[tuple[int, int, float]]) -> None:
        """Note that claims (`(seq, claim, since)`) are being run."""

    @abstractmethod
    def note_progress(self, worker: int, seq: int, claim: int, fraction: float, message: str | None) -> None:
        """Store a running job's progress while its claim holds."""

    @abstractmethod
    def promote(self, now: float | None = None) -> int:
        """Move due jobs to the queue, in the order of their times; how many."""

    @abstractmethod
    def next_due(self) -> float | None:
        """When the next scheduled job is due."""

    @abstractmethod
    def unpark(self, tasks: Iterable[str] = (), ids: Iterable[str] = (), reason: str = "") -> int:
        """Put parked jobs of these tasks, or with these ids, back into the queue; how many.

        With `reason`, only those whose reason begins with it.
        """

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
        """A worker ends in peace: what it still holds goes back to the queue, in order and uncounted."""

    @abstractmethod
    def is_registered(self, worker: int) -> bool:
        """Whether a worker is still known."""

    @abstractmethod
    def release_orphans(self) -> int:
        """Give back claims of workers that are not registered any more; how many."""

    @abstractmethod
    def heartbeat(self, incarnations: Sequence[str]) -> None:
        """These workers live."""

    @abstractmethod
    def workers(self) -> list[WorkerRecord]:
        """The workers that have not retired or been reaped."""

    @abstractmethod
    def reap(self, died: Died, heir: int, claim: int, caps: Any) -> list[Claimed]:
        """Return a dead worker's claims to the queue, in order, and charge the running ones.

        Those that have reached their cap (`caps(task) -> int`) are claimed by `heir` instead and returned,
        to be failed. The worker's registration ends with it.
        """

    # -- results and data ---------------------------------------------------------------------------
    @abstractmethod
    def outcome(self, job_id: str) -> tuple[str, bytes | None, str | None] | None:
        """State, result and reason of a job; None when there is no such job."""

    @abstractmethod
    def take_result(self, job_id: str) -> bytes | None:
        """Read a result and delete it."""

    # -- history ------------------------------------------------------------------------------------
    @abstractmethod
    def row(self, job_id: str) -> Row | None:
        """A job's record."""

    @abstractmethod
    def rows(
        self,
        states: Sequence[str] = (),
        task: str | None = None,
        queue: str | None = None,
        limit: int | None = 100,
        oldest_first: bool = False,
    ) -> list[Row]:
        """Records of jobs, the latest first."""

    @abstractmethod
    def attempts(self, job_id: str) -> list[AttemptRow]:
        """The stored attempts of a job, oldest first."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""

    @abstractmethod
    def waiting_count(self) -> int:
        """How many jobs wait in the queue and are not claimed."""

    @abstractmethod
    def oldest_waiting(self) -> float | None:
        """When the oldest job that waits for a worker was enqueued."""

    # -- locks and ticks ----------------------------------------------------------------------------
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

    @abstractmethod
    def tick(self, schedule: str, due: float, job: NewJob) -> bool:
        """Enqueue a schedule's job for its due time, once: False when that tick was already written."""

    @abstractmethod
    def last_tick(self, schedule: str) -> float | None:
        """The latest due time of a schedule that was enqueued, if any was."""

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
    def delete_jobs(self, ids: Sequence[str]) -> int:
        """Delete jobs and what belongs to them; how many."""

    @abstractmethod
    def flush(self, what: str) -> None:
        """Delete all of `queue`, `schedule`, `results` or `counters`."""


class Watcher(ABC):
    """Tells a consumer's main loop that something was written, without a thread."""

    #: Seconds between two looks of `changed`; None: wait for `fileno` to be readable.
    interval: float | None

    @abstractmethod
    def fileno(self) -> int | None:
        """A descriptor that becomes readable, if there is one."""

    @abstractmethod
    def changed(self) -> bool:
        """Whether something was written since the last call; never blocks."""

    @abstractmethod
    def close(self) -> None:
        """Let go of what it holds open."""
