"""The tables as version 1 made them, for tests of what became of them."""

from __future__ import annotations

from peewee import Database, SqliteDatabase

TABLES = (
    "nephew_schema (version INTEGER PRIMARY KEY)",
    "nephew_job (seq {serial} PRIMARY KEY, name TEXT NOT NULL, id TEXT NOT NULL, task TEXT NOT NULL,"
    " queue TEXT NOT NULL, state TEXT NOT NULL, priority {real} NOT NULL, eta {real}, payload {bytes} NOT NULL,"
    " unique_key TEXT, chord TEXT, enqueued_at {real} NOT NULL, worker {big}, claim {big},"
    " attempts INTEGER NOT NULL DEFAULT 0, crashes INTEGER NOT NULL DEFAULT 0, alone {bool} NOT NULL DEFAULT FALSE,"
    " started_at {real}, finished_at {real}, worker_label TEXT, result {bytes}, error TEXT, reason TEXT,"
    " progress {real}, progress_message TEXT)",
    "nephew_attempt (number {serial} PRIMARY KEY, name TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL,"
    " started_at {real}, finished_at {real}, worker TEXT, outcome TEXT NOT NULL, error TEXT, traceback TEXT)",
    "nephew_worker (number {big} NOT NULL PRIMARY KEY, name TEXT NOT NULL, incarnation TEXT NOT NULL,"
    " parent TEXT NOT NULL, host TEXT NOT NULL, boot TEXT NOT NULL, pid_namespace TEXT NOT NULL, pid {big} NOT NULL,"
    " path TEXT NOT NULL, kind TEXT NOT NULL, queues TEXT NOT NULL, started_at {real} NOT NULL,"
    " heartbeat_at {real} NOT NULL, settled {big} NOT NULL DEFAULT 0, reply TEXT)",
    "nephew_data (name TEXT NOT NULL, key TEXT NOT NULL, value {bytes} NOT NULL, expires_at {real},"
    " revocation {bool} NOT NULL, PRIMARY KEY (name, key))",
    "nephew_counter (name TEXT NOT NULL, key TEXT NOT NULL, value {big} NOT NULL, PRIMARY KEY (name, key))",
    "nephew_chord (name TEXT NOT NULL, cid TEXT NOT NULL, done INTEGER NOT NULL, PRIMARY KEY (name, cid))",
    "nephew_chord_member (name TEXT NOT NULL, cid TEXT NOT NULL, position INTEGER NOT NULL, value {bytes} NOT NULL,"
    " PRIMARY KEY (name, cid, position))",
    "nephew_lock (name TEXT NOT NULL, key TEXT NOT NULL, owner TEXT, label TEXT NOT NULL, fence {big} NOT NULL,"
    " acquired_at {real} NOT NULL, expires_at {real} NOT NULL, PRIMARY KEY (name, key))",
    "nephew_tick (name TEXT NOT NULL, schedule TEXT NOT NULL, due {real} NOT NULL, job TEXT NOT NULL,"
    " written_at {real} NOT NULL, PRIMARY KEY (name, schedule, due))",
)

INDEXES = (
    "UNIQUE INDEX nephew_job_id ON nephew_job (name, id)",
    "INDEX nephew_job_ready ON nephew_job (name, priority DESC, seq, queue) WHERE state = 'queued' AND worker IS NULL",
    "INDEX nephew_job_due ON nephew_job (name, eta) WHERE state IN ('scheduled', 'retrying')",
    "INDEX nephew_job_claimed ON nephew_job (worker, claim) WHERE worker IS NOT NULL AND finished_at IS NULL",
    "UNIQUE INDEX nephew_job_unique ON nephew_job (name, unique_key)"
    " WHERE unique_key IS NOT NULL AND finished_at IS NULL",
    "INDEX nephew_job_rare ON nephew_job (name, state, seq)"
    " WHERE state IN ('failed', 'cancelled', 'expired', 'parked', 'running')",
    "INDEX nephew_attempt_job ON nephew_attempt (name, job)",
    "UNIQUE INDEX nephew_worker_incarnation ON nephew_worker (incarnation)",
    "INDEX nephew_data_revocation ON nephew_data (name) WHERE revocation",
)

SQLITE = {"serial": "INTEGER NOT NULL", "real": "REAL", "bytes": "BLOB", "big": "INTEGER", "bool": "INTEGER"}
POSTGRES = {"serial": "BIGSERIAL", "real": "DOUBLE PRECISION", "bytes": "BYTEA", "big": "BIGINT", "bool": "BOOLEAN"}


def create(database: Database) -> None:
    """Make them, as a Nephew of that time did."""
    types = SQLITE if isinstance(database, SqliteDatabase) else POSTGRES
    with database.atomic():
        for table in TABLES:
            database.execute_sql(f"CREATE TABLE {table.format(**types)}")
        for index in INDEXES:
            database.execute_sql(f"CREATE {index}")
        database.execute_sql("INSERT INTO nephew_schema (version) VALUES (1)")


def keep(database: Database, id: str, state: str, payload: bytes, **more: object) -> None:
    """A job as it was kept then."""
    values = {
        "name": "test", "id": id, "task": "demo", "queue": "default", "state": state, "priority": 0.0,
        "payload": payload, "enqueued_at": 100.0, **more,
    }  # fmt: skip
    mark = "?" if isinstance(database, SqliteDatabase) else "%s"
    columns, marks = ", ".join(values), ", ".join([mark] * len(values))
    database.execute_sql(f"INSERT INTO nephew_job ({columns}) VALUES ({marks})", tuple(values.values()))


def tick(database: Database, schedule: str, due: float, job: str) -> None:
    """A tick as it was kept then."""
    mark = "?" if isinstance(database, SqliteDatabase) else "%s"
    database.execute_sql(
        f"INSERT INTO nephew_tick (name, schedule, due, job, written_at) VALUES ({', '.join([mark] * 5)})",
        ("test", schedule, due, job, due),
    )
