"""Huey on Redis, with its defaults."""

from __future__ import annotations

import huey as _huey

from benchmarks import place
from benchmarks.hueys import HueyRunner
from benchmarks.runner import redis_py

huey = _huey.RedisHuey("benchmark", url=place.redis())

# Jobs/s in two turns on a busy machine. In one process: 1,850 and 1,760 with 1 thread, 2,270 and 4,140 with 4, 3,380
# and 3,140 with 8, 1,410 and 2,410 with `-k process -w 1`. In two: 3,160 and 3,780 with 4 threads each, 1,800 and 1,660
# with 1 thread each, 2,650 and 2,620 with `-k process -w 2`.
_THREADS = "-k thread -w 4"

RUNNER = HueyRunner(
    huey,
    __name__,
    one=_THREADS,
    two=(_THREADS, _THREADS),
    at_a_time="4 threads",
    title="RedisHuey",
    acknowledges="as SqliteHuey",
    keeps="as SqliteHuey",
    durability="as Redis is configured; here it keeps nothing when it ends",
    bulk="`.map`, which is one command per job",
    versions={"huey": _huey.__version__, **redis_py()},
)
