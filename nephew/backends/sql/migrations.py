"""Versions of the tables, one function a step; applied under a lock, so that consumers may start together."""

from __future__ import annotations

from collections.abc import Callable

from peewee import Database, DatabaseError
from playhouse.migrate import SchemaMigrator
from playhouse.migrate import migrate as alter

from nephew.backends.schedules import FORGOTTEN
from nephew.backends.sql import tables
from nephew.errors import SchemaError

#: What version 2 brought to the table of jobs.
RECORD = ("expires_at", "parent", "relation", "member", "tags", "redacted", "fingerprint", "cancelling", "once")

#: What version 5 brought to the table of ticks.
LEDGER = ("fate", "reason", "until", "state", "ended_at")


def _complete_the_record(database: Database) -> None:
    """Version 2: expiry, family, tags, log lines, and what a job that must stop is told."""
    migrator = SchemaMigrator.from_database(database)
    fields = tables.Job._meta.fields
    alter(*(migrator.add_column("nephew_job", name, fields[name]) for name in RECORD))
    with database.bind_ctx([tables.Log], bind_refs=False, bind_backrefs=False):
        database.create_tables([tables.Log], safe=True)
    for statement in tables.MORE_INDEXES:
        database.execute_sql(statement)


def _make_room_for_events_and_the_archive(database: Database) -> None:
    """Version 3: events, for those who follow them, and jobs that were archived from a queue on Redis."""
    with database.bind_ctx(tables.EVENTS, bind_refs=False, bind_backrefs=False):
        database.create_tables(tables.EVENTS, safe=True)
    database.execute_sql(tables.EVENT_INDEX)
    migrator = SchemaMigrator.from_database(database)
    alter(migrator.add_column("nephew_job", "place", tables.Job._meta.fields["place"]))
    database.execute_sql(tables.ARCHIVE_INDEX)


def _lighten_the_index_of_rare_states(database: Database) -> None:
    """Version 4: its condition, which is looked at for each job that is enqueued or ended."""
    database.execute_sql("DROP INDEX IF EXISTS nephew_job_rare")
    database.execute_sql(tables.RARE_INDEX)


def _keep_a_ledger_of_ticks(database: Database) -> None:
    """Version 5: what became of each tick, and control of schedules; each is decided up to its latest tick."""
    migrator = SchemaMigrator.from_database(database)
    fields = tables.Tick._meta.fields
    alter(*(migrator.add_column("nephew_tick", name, fields[name]) for name in LEDGER))
    alter(migrator.drop_not_null("nephew_tick", "job"))
    with database.bind_ctx(tables.SCHEDULES, bind_refs=False, bind_backrefs=False):
        database.create_tables(tables.SCHEDULES, safe=True)
    its_job = "FROM nephew_job job WHERE job.name = nephew_tick.name AND job.id = nephew_tick.job"
    for statement in (
        f"UPDATE nephew_tick SET state = (SELECT state {its_job}), ended_at = (SELECT finished_at {its_job})"
        f" WHERE EXISTS (SELECT 1 {its_job} AND job.finished_at IS NOT NULL)",
        f"UPDATE nephew_tick SET state = '{FORGOTTEN}', ended_at = written_at WHERE NOT EXISTS (SELECT 1 {its_job})",
        "INSERT INTO nephew_schedule (name, schedule, seen, since, ticks)"
        " SELECT name, schedule, max(due), max(due), count(*) FROM nephew_tick GROUP BY name, schedule",
        *tables.TICK_INDEXES,
    ):
        database.execute_sql(statement)


#: By version, the step that brings older tables there. New ones are made at once as they are now (`tables.create`).
STEPS: dict[int, Callable[[Database], None]] = {
    2: _complete_the_record,
    3: _make_room_for_events_and_the_archive,
    4: _lighten_the_index_of_rare_states,
    5: _keep_a_ledger_of_ticks,
}

LATEST = max(STEPS)


def version(database: Database) -> int:
    """The version of the tables in this database; 0 when there are none."""
    if "nephew_schema" not in database.get_tables():
        return 0
    found = database.execute_sql("SELECT max(version) FROM nephew_schema").fetchone()
    return int(found[0] or 0)


def migrate(database: Database, lock: Callable[[], None]) -> tuple[int, int]:
    """Apply the missing steps, inside the caller's write transaction.

    :param lock: takes the lock that lets one migration at a time pass; freed with the transaction.
    :returns: the versions before and after.
    :raises SchemaError: when the tables are newer than this Nephew.
    """
    lock()
    before = version(database)
    if before > LATEST:
        raise SchemaError(
            f"expected tables of version {LATEST} or older, got version {before}: "
            "this Nephew is older than the one that migrated them; upgrade it"
        )
    if before == 0:
        database.execute_sql("CREATE TABLE IF NOT EXISTS nephew_schema (version INTEGER PRIMARY KEY)")
        _apply(database, LATEST, tables.create)
    for number in range(before + 1, LATEST + 1) if before else ():
        _apply(database, number, STEPS[number])
    return before, LATEST


def _apply(database: Database, number: int, step: Callable[[Database], None]) -> None:
    try:
        step(database)
        database.execute_sql(f"INSERT INTO nephew_schema (version) VALUES ({number:d})")
    except DatabaseError as error:
        raise SchemaError(f"migration to version {number} failed, nothing was changed: {error}") from error
