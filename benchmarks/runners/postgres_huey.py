"""Huey on PostgreSQL."""

from __future__ import annotations

import huey as _huey
import psycopg

from benchmarks import place
from benchmarks.hueys import HueyRunner

huey = _huey.PostgresHuey("benchmark", dsn=place.postgres())

RUNNER = HueyRunner(
    huey,
    __name__,
    one="-k process -w 1",
    title="PostgresHuey",
    acknowledges="as SqliteHuey",
    keeps="as SqliteHuey",
    durability="each commit is synced (`fsync` and `synchronous_commit` on)",
    bulk="`.map`, which is one transaction per job",
    versions={"huey": _huey.__version__, "psycopg": psycopg.__version__},
)
