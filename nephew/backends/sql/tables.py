"""The tables, defined once for both databases, and the indexes that Peewee cannot describe."""

from __future__ import annotations

from typing import Any

from peewee import (
    SQL,
    BigAutoField,
    BigIntegerField,
    BlobField,
    BooleanField,
    CompositeKey,
    Database,
    DoubleField,
    IntegerField,
    Model,
    TextField,
)


class Job(Model):
    """One job, from its enqueueing to the end of its history. `seq` is its place in the queue."""

    seq = BigAutoField()
    name = TextField()
    id = TextField()
    task = TextField()
    queue = TextField()
    state = TextField()
    priority = DoubleField()
    eta = DoubleField(null=True)
    payload = BlobField()
    unique_key = TextField(null=True)
    chord = TextField(null=True)
    enqueued_at = DoubleField()
    worker = BigIntegerField(null=True)
    claim = BigIntegerField(null=True)
    attempts = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])
    crashes = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])
    alone = BooleanField(default=False, constraints=[SQL("DEFAULT FALSE")])
    started_at = DoubleField(null=True)
    finished_at = DoubleField(null=True)
    worker_label = TextField(null=True)
    result = BlobField(null=True)
    error = TextField(null=True)
    reason = TextField(null=True)
    progress = DoubleField(null=True)
    progress_message = TextField(null=True)
    expires_at = DoubleField(null=True)
    parent = TextField(null=True)
    relation = TextField(null=True)
    member = TextField(null=True)
    tags = TextField(null=True)
    redacted = TextField(null=True)
    fingerprint = TextField(null=True)
    cancelling = TextField(null=True)
    once = BooleanField(default=False, constraints=[SQL("DEFAULT FALSE")])
    #: Its place in a queue on Redis that it was archived from; null: its queue is this table.
    place = BigIntegerField(null=True)

    class Meta:
        table_name = "nephew_job"


class Attempt(Model):
    """A run that did not end well; a success is told by its job's own row."""

    number = BigAutoField()
    name = TextField()
    job = TextField()
    attempt = IntegerField()
    started_at = DoubleField(null=True)
    finished_at = DoubleField(null=True)
    worker = TextField(null=True)
    outcome = TextField()
    error = TextField(null=True)
    traceback = TextField(null=True)

    class Meta:
        table_name = "nephew_attempt"


class Log(Model):
    """What an attempt's own logging said: its last lines, as JSON, and how many there were before them."""

    name = TextField()
    job = TextField()
    attempt = IntegerField()
    lines = TextField()
    dropped = IntegerField()

    class Meta:
        table_name = "nephew_log"
        primary_key = CompositeKey("name", "job", "attempt")


class Worker(Model):
    """A process that claims jobs, and the last reply to a settle of its, should it ask again.

    Numbers are never given twice, or a late worker could pass for a new one.
    """

    number = BigIntegerField(primary_key=True)
    name = TextField()
    incarnation = TextField()
    parent = TextField()
    host = TextField()
    boot = TextField()
    pid_namespace = TextField()
    pid = BigIntegerField()
    path = TextField()
    kind = TextField()
    queues = TextField()
    started_at = DoubleField()
    heartbeat_at = DoubleField()
    settled = BigIntegerField(default=0, constraints=[SQL("DEFAULT 0")])
    reply = TextField(null=True)

    class Meta:
        table_name = "nephew_worker"


class Data(Model):
    """Values under keys of the user's or of Huey's: revocations, rate windows, results without a job."""

    name = TextField()
    key = TextField()
    value = BlobField()
    expires_at = DoubleField(null=True)
    revocation = BooleanField()

    class Meta:
        table_name = "nephew_data"
        primary_key = CompositeKey("name", "key")


class Counter(Model):
    """Numbers that are counted up."""

    name = TextField()
    key = TextField()
    value = BigIntegerField()

    class Meta:
        table_name = "nephew_counter"
        primary_key = CompositeKey("name", "key")


class Chord(Model):
    """How many members of a chord have ended."""

    name = TextField()
    cid = TextField()
    done = IntegerField()

    class Meta:
        table_name = "nephew_chord"
        primary_key = CompositeKey("name", "cid")


class ChordMember(Model):
    """What a member of a chord ended with; its key makes it count once."""

    name = TextField()
    cid = TextField()
    position = IntegerField()
    value = BlobField()

    class Meta:
        table_name = "nephew_chord_member"
        primary_key = CompositeKey("name", "cid", "position")


class Lock(Model):
    """A lock; without an owner it only remembers the last fencing number."""

    name = TextField()
    key = TextField()
    owner = TextField(null=True)
    label = TextField()
    fence = BigIntegerField()
    acquired_at = DoubleField()
    expires_at = DoubleField()

    class Meta:
        table_name = "nephew_lock"
        primary_key = CompositeKey("name", "key")


class Schedule(Model):
    """How far a schedule is decided, and how it is controlled; see `ScheduleRow`."""

    name = TextField()
    schedule = TextField()
    seen = DoubleField()
    since = DoubleField()
    definition = TextField(null=True)
    payload = BlobField(null=True)
    added = BooleanField(default=False, constraints=[SQL("DEFAULT FALSE")])
    paused_at = DoubleField(null=True)
    succeeded_at = DoubleField(null=True)
    lapse = TextField(null=True)
    #: How many rows it has in the ledger, about.
    ticks = IntegerField(default=0, constraints=[SQL("DEFAULT 0")])

    class Meta:
        table_name = "nephew_schedule"
        primary_key = CompositeKey("name", "schedule")


class Control(Model):
    """How often the control of an instance's schedules has changed."""

    name = TextField(primary_key=True)
    version = BigIntegerField()

    class Meta:
        table_name = "nephew_control"


class Tick(Model):
    """A due time of a schedule, and what became of it; its key makes it happen once. See `TickRow`."""

    name = TextField()
    schedule = TextField()
    due = DoubleField()
    job = TextField(null=True)
    written_at = DoubleField()
    fate = TextField(default="enqueued", constraints=[SQL("DEFAULT 'enqueued'")])
    reason = TextField(default="", constraints=[SQL("DEFAULT ''")])
    until = DoubleField(null=True)
    #: How its job ended, and when; null while it has not, or there is none.
    state = TextField(null=True)
    ended_at = DoubleField(null=True)

    class Meta:
        table_name = "nephew_tick"
        primary_key = CompositeKey("name", "schedule", "due")


class Event(Model):
    """Events of one batch, as JSON arrays with commas between them: id, task, state, worker, error.

    The first one that is kept may be empty: it says where those before it were cut.
    """

    number = BigAutoField()
    name = TextField()
    txid = BigIntegerField()
    at = DoubleField()
    size = IntegerField()
    told = TextField()

    class Meta:
        table_name = "nephew_event"


class EventGroup(Model):
    """How far a group of readers is."""

    name = TextField()
    key = TextField()
    txid = BigIntegerField()
    number = BigIntegerField()

    class Meta:
        table_name = "nephew_event_group"
        primary_key = CompositeKey("name", "key")


class EventTaken(Model):
    """A batch that a consumer of a group has taken and not acknowledged."""

    name = TextField()
    key = TextField()
    number = BigIntegerField()
    consumer = TextField()
    taken_at = DoubleField()

    class Meta:
        table_name = "nephew_event_taken"
        primary_key = CompositeKey("name", "key", "number")


#: Those of events, which version 3 brought.
EVENTS: tuple[type[Any], ...] = (Event, EventGroup, EventTaken)

#: Those of schedules beside their ticks, which version 5 brought.
SCHEDULES: tuple[type[Any], ...] = (Schedule, Control)

TABLES: tuple[type[Any], ...] = (
    *(Job, Attempt, Log, Worker, Data, Counter, Chord, ChordMember, Lock, Tick),
    *EVENTS,
    *SCHEDULES,
)

#: States that are looked for and that few jobs are in. SQLite takes a partial index only when the query
#: holds its very condition. Not a list of states, which SQLite would make a table of for each row that is written.
RARE = "(state = 'failed' OR state = 'cancelled' OR state = 'expired' OR state = 'parked' OR state = 'running')"
RARE_INDEX = f"CREATE INDEX nephew_job_rare ON nephew_job (name, state, seq) WHERE {RARE}"

#: Partial indexes keep pending work fast beside millions of finished rows.
INDEXES = (
    "CREATE UNIQUE INDEX nephew_job_id ON nephew_job (name, id)",
    "CREATE INDEX nephew_job_ready ON nephew_job (name, priority DESC, seq, queue)"
    " WHERE state = 'queued' AND worker IS NULL",
    "CREATE INDEX nephew_job_due ON nephew_job (name, eta) WHERE state IN ('scheduled', 'retrying')",
    "CREATE INDEX nephew_job_claimed ON nephew_job (worker, claim) WHERE worker IS NOT NULL AND finished_at IS NULL",
    "CREATE UNIQUE INDEX nephew_job_unique ON nephew_job (name, unique_key)"
    " WHERE unique_key IS NOT NULL AND finished_at IS NULL",
    RARE_INDEX,
    "CREATE INDEX nephew_attempt_job ON nephew_attempt (name, job)",
    "CREATE UNIQUE INDEX nephew_worker_incarnation ON nephew_worker (incarnation)",
    "CREATE INDEX nephew_data_revocation ON nephew_data (name) WHERE revocation",
)

#: Those of version 2: for jobs that expire, that follow from others, that have tags, and that failed alike.
MORE_INDEXES = (
    "CREATE INDEX nephew_job_expiring ON nephew_job (name, expires_at)"
    " WHERE expires_at IS NOT NULL AND finished_at IS NULL",
    "CREATE INDEX nephew_job_parent ON nephew_job (name, parent) WHERE parent IS NOT NULL",
    "CREATE INDEX nephew_job_member ON nephew_job (name, member) WHERE member IS NOT NULL",
    "CREATE INDEX nephew_job_tagged ON nephew_job (name, seq) WHERE tags IS NOT NULL",
    "CREATE INDEX nephew_job_fingerprint ON nephew_job (name, fingerprint, seq) WHERE fingerprint IS NOT NULL",
)

#: That of archived jobs in the order of their places, which costs the jobs of this table's own queue nothing.
ARCHIVE_INDEX = "CREATE INDEX nephew_job_archived ON nephew_job (name, place) WHERE place IS NOT NULL"

#: That of events, in the order in which they are read.
EVENT_INDEX = "CREATE INDEX nephew_event_order ON nephew_event (name, txid, number)"

#: Ticks that are not over yet. As with `RARE`, a query has to hold the very condition.
OPEN = "ended_at IS NULL AND (fate = 'enqueued' OR fate = 'waiting')"
#: Those of ticks. The fate comes first, so that this one is not taken for no better than the primary key.
TICK_INDEXES = (
    f"CREATE INDEX nephew_tick_open ON nephew_tick (name, fate, schedule, due) WHERE {OPEN}",
    "CREATE INDEX nephew_tick_written ON nephew_tick (name, written_at)",
)


def create(database: Database) -> None:
    """Create the latest version of the tables, inside the caller's transaction."""
    with database.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        database.create_tables(TABLES, safe=True)
    for statement in (*INDEXES, *MORE_INDEXES, ARCHIVE_INDEX, EVENT_INDEX, *TICK_INDEXES):
        database.execute_sql(statement)
