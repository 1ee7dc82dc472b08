"""Huey on a SQLite file."""

from __future__ import annotations

import sqlite3

import huey as _huey

from benchmarks import place
from benchmarks.hueys import HueyRunner

# Huey knows fsync at every commit (its default, on this table's machine many times slower) and never; never is
# closer to what Nephew does.
huey = _huey.SqliteHuey("benchmark", filename=str(place.folder() / "huey.db"), fsync=False)

RUNNER = HueyRunner(
    huey,
    __name__,
    title="SqliteHuey",
    acknowledges="deletes a job when it is taken: a killed worker's jobs are lost",
    keeps="the result, until it is read",
    durability="WAL, `fsync=False` (`synchronous=off`): never synced; its default syncs each commit",
    bulk="`.map`, which is one transaction per job",
    versions={"huey": _huey.__version__, "SQLite": sqlite3.sqlite_version},
)
