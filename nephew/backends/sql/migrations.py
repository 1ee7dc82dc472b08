"""Versions of the tables, one function a step; applied under a lock, so that consumers may start together."""

from __future__ import annotations

from collections.abc import Callable

from peewee import Database, DatabaseError

from nephew.backends.sql import tables
from nephew.errors import SchemaError

#: Step *n* (counted from 1) brings the tables from version n - 1 to n.
STEPS: tuple[Callable[[Database], None], ...] = (tables.create,)

LATEST = len(STEPS)


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
    for number in range(before, LATEST):
        _apply(database, number + 1)
    return before, LATEST


def _apply(database: Database, number: int) -> None:
    try:
        STEPS[number - 1](database)
        database.execute_sql(f"INSERT INTO nephew_schema (version) VALUES ({number:d})")
    except DatabaseError as error:
        raise SchemaError(f"migration {number} failed, nothing was changed: {error}") from error
