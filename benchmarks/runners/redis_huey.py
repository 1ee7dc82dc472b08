"""Huey on Redis, with its defaults."""

from __future__ import annotations

import huey as _huey

from benchmarks import place
from benchmarks.hueys import HueyRunner
from benchmarks.runner import redis_py

huey = _huey.RedisHuey("benchmark", url=place.redis())

# Jobs/s in two turns on a busy machine. In one process: 2,080 and 3,270 with 1 thread, 5,170 and 4,910 with 2, 4,440
# and 3,880 with 4, 3,430 and 4,390 with 8, 2,120 and 6,100 with `-k process -w 1`.
_THREADS = "-k thread -w 2"

RUNNER = HueyRunner(
    huey,
    __name__,
    one=_THREADS,
    two=(_THREADS, _THREADS),
    at_a_time="2 threads",
    title="RedisHuey",
    acknowledges="as SqliteHuey",
    keeps="as SqliteHuey",
    durability="as Redis is configured; here it keeps nothing when it ends",
    bulk="`.map`, which is one command per job",
    versions={"huey": _huey.__version__, **redis_py()},
)
