"""On a Redis that others use, too, the demonstration is a guest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

#: Keys that are looked at in one step of the search.
STEP = 1000


@contextmanager
def visiting(url: str | None, name: str) -> Iterator[None]:
    """After the block nothing of the instance `name` is left in the Redis at `url`, if there is one."""
    try:
        yield
    finally:
        if url is not None:
            with Redis.from_url(url) as client:
                for key in client.scan_iter(match=f"{{{name}}}:*", count=STEP):
                    client.unlink(key)
