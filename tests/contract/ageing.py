"""Jobs as they would be had they been stored earlier: by hand, on every backend."""

from __future__ import annotations

import json
from collections.abc import Sequence

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.backends.redis import RedisBackend
from nephew.backends.redis.packing import HEAD
from nephew.backends.sql import SqlBackend
from nephew.job import new_id
from tests.contract.jobs import Hand, jobs, succeeded

DAY = 86400.0

FILL = (
    "INSERT INTO nephew_job (name, id, task, queue, state, priority, payload, enqueued_at, finished_at)"
    " VALUES (?, ?, 'demo', 'default', 'succeeded', 0, ?, ?, ?)"
)


def age(huey: Nephew, days: float, *ids: str) -> None:
    """Let everything about these jobs (or about all) have happened so many days earlier."""
    chosen = ids or [row.id for row in huey.backend.rows(limit=None)]
    if isinstance(huey.backend, RedisBackend):
        _age_on_redis(huey.backend, chosen, days * DAY, days * DAY)
        return
    earlier = ", ".join(f"{column} = {column} - ?" for column in ("enqueued_at", "started_at", "finished_at"))
    change = f"UPDATE nephew_job SET {earlier} WHERE name = ? AND id = ?"
    huey.backend.write(lambda run: run(change, [(*[days * DAY] * 3, huey.name, each) for each in chosen], many=True))


def fill(huey: Nephew, count: int, days: float, ended: float | None = None) -> None:
    """Jobs that were enqueued so many days ago and have succeeded, at once or so many days ago."""
    ids = [new_id() for _ in range(count)]
    enqueued_at, finished_at = (huey.backend.now() - (each or days) * DAY for each in (days, ended))
    if isinstance(huey.backend, RedisBackend):
        hand = Hand(huey.backend)
        huey.backend.enqueue(jobs(*ids))
        hand.settle(*(succeeded(claimed, finished_at=finished_at) for claimed in hand.claim(ids=ids)))
        _age_on_redis(huey.backend, ids, days * DAY, 0.0)
        return
    values = [(huey.name, each, b"", enqueued_at, finished_at) for each in ids]
    huey.backend.write(lambda run: run(FILL, values, many=True))


def _age_on_redis(backend: RedisBackend, ids: Sequence[str], enqueued: float, finished: float) -> None:
    records, changed = backend.call("HMGET", backend.key("jobs"), *ids), []
    for job_id, record in zip(ids, records, strict=True):
        first, rest = record.split(b"\n", 1)
        place, at = first.split()
        changed += [job_id, b"%s %f\n%s" % (place, float(at) - enqueued, rest)]
    backend.call("HSET", backend.key("jobs"), *changed)
    for slot in backend.call("ZRANGE", backend.key("slots"), 0, -1) if finished else ():
        for job_id, kept in zip(ids, backend.call("HMGET", slot, *ids), strict=True):
            if kept is not None:
                told, *result = kept.split(b"\n", 1)
                end = json.loads(told)
                end["finished_at"] -= finished
                backend.call("HSET", slot, job_id, b"\n".join([json.dumps(end).encode(), *result]))


def pass_time(backend: Backend, seconds: float) -> None:
    """Let so many whole seconds pass for whatever waits for a moment: times of jobs and of locks."""
    if isinstance(backend, RedisBackend):
        _pass_time_on_redis(backend, seconds)
        return
    assert isinstance(backend, SqlBackend)
    jobs = "UPDATE nephew_job SET eta = eta - ?, expires_at = expires_at - ? WHERE name = ?"
    locks = "UPDATE nephew_lock SET expires_at = expires_at - ? WHERE name = ?"
    backend.write(lambda run: (run(jobs, (seconds, seconds, backend.name)), run(locks, (seconds, backend.name))))


def _pass_time_on_redis(backend: RedisBackend, seconds: float) -> None:
    for word in ("scheduled", "retrying", "expiring"):
        for job_id in backend.call("ZRANGE", backend.key(word), 0, -1):
            backend.call("ZINCRBY", backend.key(word), -seconds, job_id)
    for job_id, record in backend.scan(backend.key("jobs")):
        first, head, payload = record.split(b"\n", 2)
        values = json.loads(head)
        for index in (HEAD.index("eta"), HEAD.index("expires_at")):
            if len(values) > index and values[index] is not None:
                values[index] -= seconds
        backend.call("HSET", backend.key("jobs"), job_id, b"\n".join([first, json.dumps(values).encode(), payload]))
    for job_id, kept in backend.scan(backend.key("marks")):
        marks = json.loads(kept)
        told = [word for word in ("eta", "expires_at") if marks.get(word, "-") != "-"]
        times = {word: repr(float(marks[word]) - seconds) for word in told}
        if times:
            backend.call("HSET", backend.key("marks"), job_id, json.dumps(marks | times))
    for lock in backend.call("SMEMBERS", backend.key("locks")):
        backend.call("HINCRBYFLOAT", backend.key("lock", lock.decode()), "expires_at", -seconds)
