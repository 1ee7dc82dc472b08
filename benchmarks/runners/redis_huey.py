"""Huey on Redis, with its defaults."""

from __future__ import annotations

from importlib.metadata import version

import huey as _huey

from benchmarks import place
from benchmarks.hueys import HueyRunner

huey = _huey.RedisHuey("benchmark", url=place.redis())

RUNNER = HueyRunner(
    huey,
    __name__,
    "process",
    title="RedisHuey",
    acknowledges="as SqliteHuey",
    keeps="as SqliteHuey",
    durability="as Redis is configured; here it keeps nothing when it ends",
    bulk="`.map`, which is one command per job",
    versions={"huey": _huey.__version__, "redis-py": version("redis")},
)
