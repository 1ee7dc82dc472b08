"""Nephew on a SQLite file, as it comes."""

from __future__ import annotations

import sqlite3
from importlib.metadata import version

import nephew
from benchmarks import place
from benchmarks.hueys import HueyRunner

huey = nephew.Nephew("benchmark", f"sqlite:///{place.folder() / 'nephew.db'}")

RUNNER = HueyRunner(
    huey,
    __name__,
    one="-k process -w 1",
    watches_workers=True,
    title="Nephew, SQLite",
    acknowledges="claims in batches, acknowledges with the result in one transaction at most 10 ms later: a killed "
    "worker's jobs run again",
    keeps="the result and the whole record of each job (arguments, attempt, times, worker)",
    durability="WAL, `synchronous=normal`: fsync at checkpoints; a power cut may take the last transactions",
    bulk="`.map`, one transaction per call",
    versions={
        "nephew": nephew.__version__,
        "huey": version("huey"),
        "peewee": version("peewee"),
        "SQLite": sqlite3.sqlite_version,
    },
)
