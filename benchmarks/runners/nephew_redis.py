"""Nephew on Redis, as it comes."""

from __future__ import annotations

from importlib.metadata import version

import nephew
from benchmarks import place
from benchmarks.hueys import HueyRunner
from benchmarks.runner import redis_py

huey = nephew.Nephew("benchmark", place.redis())

RUNNER = HueyRunner(
    huey,
    __name__,
    one="-k process -w 1",
    watches_workers=True,
    title="Nephew, Redis",
    acknowledges="as on SQLite, in one script at most 10 ms later",
    keeps="as on SQLite, for as long as its own limits say",
    durability="as Redis is configured; here it keeps nothing when it ends",
    bulk="`.map`, one script per call",
    versions={"nephew": nephew.__version__, "huey": version("huey"), **redis_py()},
)
