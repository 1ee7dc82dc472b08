"""The values that go in and out of a backend: frozen, undecoded. Times are epoch seconds."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, NamedTuple

from nephew.job import State


class NewJob(NamedTuple):
    """A job to be stored. `eta` None or past: at once. `chord`: its values are bound when it is claimed.

    :ivar expires_at: when it expires if it has not begun.
    :ivar parent: what it follows from: a job's id, a chord's, or a schedule's name; `relation` says which way.
    :ivar member: the chord that it counts for.
    :ivar tags: its tags, each between two commas; None: it has none.
    :ivar redacted: which of its arguments are not shown: positions and names, between commas.
    """

    id: str
    task: str
    queue: str
    payload: bytes
    priority: float = 0.0
    eta: float | None = None
    unique_key: str | None = None
    chord: str | None = None
    expires_at: float | None = None
    parent: str | None = None
    relation: str | None = None
    member: str | None = None
    tags: str | None = None
    redacted: str | None = None


class Enqueued(NamedTuple):
    """What became of a `NewJob`: its id, or that of the unfinished job that it duplicates."""

    id: str
    duplicate: bool


class Claimed(NamedTuple):
    """A job that this worker holds. `seq` is its place, `claim` the token that a settle must show.

    `alone`: its last worker died, so nothing else may run beside it in the process. `chord_values` are the
    encoded values of the chord that it is the callback of. `expires_at` None: as its message says.
    `cancelling`: somebody has asked for its end, and why. `once`: it was begun and must not be begun again.
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
    expires_at: float | None = None
    tags: str | None = None
    cancelling: str | None = None
    once: bool = False
    chord_values: tuple[bytes, ...] = ()
    revokes: dict[str, bytes] = {}


class Never(NamedTuple):
    """A step of a pipeline that will not run, because one before it ended badly. See `NewJob`."""

    id: str
    task: str
    queue: str
    payload: bytes
    result: bytes | None = None
    reason: str = ""
    parent: str | None = None
    relation: str | None = None
    member: str | None = None
    tags: str | None = None
    redacted: str | None = None
    chord: str | None = None


class ChordMark(NamedTuple):
    """One member of a chord has ended with `value`; the last one enqueues the callback.

    :ivar never: stands for a callback that is not to be enqueued.
    """

    cid: str
    position: int
    size: int
    value: bytes
    callback: NewJob | None
    never: Never | None = None


class LogLines(NamedTuple):
    """What an attempt's own logging said.

    :ivar attempt: its number.
    :ivar lines: the last lines, as JSON.
    :ivar dropped: how many came before them and were not kept.
    """

    attempt: int
    lines: str
    dropped: int


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
    :ivar fingerprint: what failures of the same kind have in common.
    :ivar log: what its attempt logged, if it did.
    :ivar task: the task's name, for those who follow what happens.
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
    fingerprint: str | None = None
    log: LogLines | None = None
    task: str = ""


class Transaction(NamedTuple):
    """A job's own transaction, on the thread that runs the job.

    :ivar connection: the driver's connection that it is open on.
    :ivar scope: what the backend ends it with.
    :ivar depth: how many transactions were open, one in another, once it was begun.
    :ivar turn: keeps other writers of this process waiting until it is closed.
    """

    connection: Any
    scope: Any
    depth: int
    turn: ExitStack


class Ended(NamedTuple):
    """A job has ended.

    :ivar result: its encoded result; None: it has to be asked for.
    """

    result: bytes | None = None


class Holder(NamedTuple):
    """Who holds a job: a worker, by one of its claims."""

    worker: int
    claim: int


class Settled(NamedTuple):
    """What a settle did.

    :ivar lost: the claims (as `(seq, claim)`) that no longer held, each with who holds the job now, or held it when
        it ended; None: it waits, or is gone.
    :ivar enqueued: the ids of the jobs that followed.
    :ivar stopped: the claims whose end somebody had asked for, and why: what they came to was not written, they are
        still held and to be ended as cancelled.
    :ivar known: False when the worker's registration is gone: it was taken for dead and must sign on anew.
    """

    lost: Mapping[tuple[int, int], Holder | None]
    enqueued: tuple[str, ...]
    known: bool = True
    stopped: dict[tuple[int, int], str] = {}


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
    expires_at: float | None
    parent: str | None
    relation: str | None
    member: str | None
    tags: str | None
    redacted: str | None
    fingerprint: str | None
    cancelling: str | None
    chord: str | None = None


class Filter(NamedTuple):
    """Which jobs are meant; what is left empty does not matter.

    :ivar states: in one of these.
    :ivar tag: with this tag.
    :ivar error: with this text in their error; `fingerprint`: with this one.
    :ivar before: enqueued before this moment.
    :ivar after: enqueued at this moment or later.
    """

    states: tuple[str, ...] = ()
    task: str | None = None
    queue: str | None = None
    tag: str | None = None
    error: str | None = None
    fingerprint: str | None = None
    before: float | None = None
    after: float | None = None


#: All jobs.
EVERY = Filter()


class Failures(NamedTuple):
    """Failed jobs with one fingerprint.

    :ivar fingerprint: None: those of which none is known.
    :ivar jobs: how many they are.
    :ivar last_at: when the last of them ended.
    :ivar id: the latest of them, with its task and error.
    """

    fingerprint: str | None
    jobs: int
    last_at: float
    id: str
    task: str
    error: str | None
    result: bytes | None


class Change(NamedTuple):
    """What is changed of waiting jobs; None leaves it as it is. An `eta` that is past: at once.

    `expires_at` infinite: never.
    """

    priority: float | None = None
    queue: str | None = None
    eta: float | None = None
    expires_at: float | None = None


class AttemptRow(NamedTuple):
    """A stored attempt of a job: the failed ones and the crashes."""

    number: int
    started_at: float | None
    finished_at: float | None
    worker: str | None
    outcome: str
    error: str | None
    traceback: str | None


class Record(NamedTuple):
    """All that is kept of an ended job.

    :ivar end: tells this end of the job from another one.
    """

    row: Row
    attempts: tuple[AttemptRow, ...]
    logs: tuple[LogLines, ...]
    end: str


class News(NamedTuple):
    """What happened in a queue since a moment, as far as it is still known.

    :ivar first: the number of the first event that is told; `last`: of the last.
    :ivar ended: the ids of the jobs that ended, in order.
    """

    first: int
    last: int
    ended: tuple[str, ...]


class Died(NamedTuple):
    """A worker is gone.

    :ivar running: the claims (`(seq, claim)`, and since when) that are to blame, since its process was running them
        when it died; None: not known.
    :ivar cause: in words, for the record.
    :ivar charged: False when it was ended on purpose; then nobody is charged a crash.
    :ivar suspects: claims of which one is to blame and nobody knows which: uncounted, and run alone from now on.
    """

    worker: int
    running: dict[tuple[int, int], float] | None
    cause: str
    charged: bool = True
    suspects: frozenset[tuple[int, int]] = frozenset()


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
