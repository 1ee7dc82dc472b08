"""Nephew on PostgreSQL, as it comes."""

from __future__ import annotations

from importlib.metadata import version

import psycopg

import nephew
from benchmarks import place
from benchmarks.hueys import HueyRunner

huey = nephew.Nephew("benchmark", place.postgres())

RUNNER = HueyRunner(
    huey,
    __name__,
    one="-k process -w 1",
    watches_workers=True,
    title="Nephew, PostgreSQL",
    acknowledges="as on SQLite",
    keeps="as on SQLite",
    durability="each commit is synced (`fsync` and `synchronous_commit` on)",
    bulk="`.map`, one transaction per call",
    versions={
        "nephew": nephew.__version__,
        "huey": version("huey"),
        "peewee": version("peewee"),
        "psycopg": psycopg.__version__,
    },
)
