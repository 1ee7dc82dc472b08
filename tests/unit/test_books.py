"""That the check of the books (tests/ledger.py) sees each kind of what may be left, made here by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from nephew import Nephew
from tests import ledger, visits
from tests.places import on
from tests.servers import RedisServer

#: In tables: the kind of the entry, what it says, and how a row comes to be there.
JOB = (
    "INSERT INTO nephew_job (name, id, task, queue, state, priority, payload, enqueued_at, worker, finished_at, chord)"
    " VALUES (?, 'job', 'demo', 'default', {}, 0, '', 0, {}, {}, {})"
)
ROWS = {
    "an ended job that has not ended": ("place", "job is failed", JOB.format("'failed'", "NULL", "NULL", "NULL")),
    "a waiting job that has ended": ("place", "job is queued", JOB.format("'queued'", "NULL", "1", "NULL")),
    "a job that nobody runs": ("place", "nobody holds it", JOB.format("'running'", "NULL", "NULL", "NULL")),
    "a job that is never due": ("place", "no time", JOB.format("'scheduled'", "NULL", "NULL", "NULL")),
    "a claim": ("claim", "held by worker 7", JOB.format("'queued'", "7", "NULL", "NULL")),
    "a claim of nobody": ("orphan", "7, which there is not", JOB.format("'queued'", "7", "NULL", "NULL")),
    "an attempt": (
        "orphan", "an attempt of the job gone",
        "INSERT INTO nephew_attempt (name, job, attempt, outcome) VALUES (?, 'gone', 1, 'failed')",
    ),
    "log lines": (
        "orphan", "log lines of the job gone",
        "INSERT INTO nephew_log (name, job, attempt, lines, dropped) VALUES (?, 'gone', 1, '[]', 0)",
    ),
    "a batch of events": (
        "orphan", "in the group readers",
        "INSERT INTO nephew_event_taken (name, key, number, consumer, taken_at) VALUES (?, 'readers', 1, 'me', 0)",
    ),
    "a chord's counter": ("chord", "neither", "INSERT INTO nephew_chord (name, cid, done) VALUES (?, 'chord', 0)"),
    "a chord that has counted wrong": (
        "chord", "counts 2 of 0", "INSERT INTO nephew_chord (name, cid, done) VALUES (?, 'chord', 2)",
    ),
    "a chord's value": (
        "chord", "no counter",
        "INSERT INTO nephew_chord_member (name, cid, position, value) VALUES (?, 'chord', 0, '')",
    ),
    "a lock": (
        "lock", "door is held by me",
        "INSERT INTO nephew_lock (name, key, owner, label, fence, acquired_at, expires_at)"
        " VALUES (?, 'door', 'me', 'me', 1, 0, 99999999999)",
    ),
    "a worker": (
        "worker", "7 is registered",
        "INSERT INTO nephew_worker (number, name, incarnation, parent, host, boot, pid_namespace, pid, path, kind,"
        " queues, started_at, heartbeat_at, settled) VALUES (7, ?, 'x', '', '', '', '', 1, '', '', '', 0, 0, 0)",
    ),
}  # fmt: skip

RECORD = b'1 100.0\n["demo"]\n'
#: The same of keys: what is written.
KEYS: dict[str, tuple[str, str, list[Sequence[Any]]]] = {
    "a job that is nowhere": ("place", "nowhere", [("HSET", "jobs", "job", RECORD)]),
    "a job at two places": (
        "place", "at once",
        [("HSET", "jobs", "job", RECORD), ("ZADD", "scheduled", 1, "job"), ("ZADD", "retrying", 1, "job")],
    ),
    "an ended job in the queue": (
        "place", "at once",
        [("HSET", "jobs", "job", RECORD), ("SADD", "queues", "default"), ("ZADD", "ended:failed", 1, "job"),
         ("ZADD", "q:default", 0, b"\0\0\0\0\0\0\0\1job")],
    ),
    "a waiting job without a record": ("place", "no record", [("ZADD", "retrying", 1, "job")]),
    "an ended job without a record": ("place", "no record", [("ZADD", "ended:succeeded", 1, "job")]),
    "a queue that is not listed": ("place", "never claimed", [("ZADD", "q:default", 0, b"\0\0\0\0\0\0\0\1job")]),
    "a claim": ("claim", "held by worker 7", [("HSET", "held:7", "job", 1)]),
    "a claim of nobody": ("orphan", "7, which there is not", [("HSET", "held:7", "job", 1)]),
    "a job that must not be begun again": ("orphan", "job in once", [("SADD", "once", "job")]),
    "a time to run": ("orphan", "job in running", [("HSET", "running", "job", 1)]),
    "a wish to stop": ("orphan", "job in stops", [("HSET", "stops", "job", "enough")]),
    "a time to expire": ("orphan", "job in expiring", [("ZADD", "expiring", 1, "job")]),
    "an interim end": ("orphan", "job in interim", [("SADD", "interim", "job")]),
    "marks": ("orphan", "job in marks", [("HSET", "marks", "job", "{}")]),
    "attempts": ("orphan", "job in attempts", [("RPUSH", "attempts:job", "{}")]),
    "log lines": ("orphan", "job in logs", [("HSET", "logs:job", 1, "[]")]),
    "a callback": ("orphan", "job in callbacks", [("HSET", "callbacks", "job", "chord")]),
    "a heartbeat": ("orphan", "7 in beats", [("HSET", "beats", 7, 1)]),
    "a reply": ("orphan", "7 in settled", [("HSET", "settled", 7, "1")]),
    "an incarnation": ("orphan", "7 in incarnations", [("HSET", "incarnations", "x", 7)]),
    "a unique key of no job": (
        "unique key", "which is not unfinished", [("HSET", "unique", "key", "job"), ("HSET", "keyof", "job", "key")],
    ),
    "half a unique key": ("unique key", "do not agree", [("HSET", "keyof", "job", "key")]),
    "a chord's values": ("chord", "neither", [("HSET", "chord:chord", 0, "")]),
    "a lock": (
        "lock", "door is held by me",
        [("SADD", "locks", "door"), ("HSET", "lock:door", "owner", "me", "label", "me", "expires_at", 99999999999)],
    ),
    "a worker": ("worker", "7 is registered", [("HSET", "workers", 7, "{}")]),
}  # fmt: skip

place = on("sqlite", "postgres")


@pytest.fixture
def database(place: str, name: str) -> Iterator[Callable[[str], Any]]:
    huey = Nephew(name, place)
    huey.backend.migrate()

    yield lambda sql: huey.backend.write(lambda run: run(sql, (name,)))

    huey.backend.write(lambda run: run("DELETE FROM nephew_worker WHERE name = ?", (name,)))
    huey.backend.close()


def said(url: str, name: str) -> list[ledger.Entry]:
    """What the check after a test would say that has opened this."""
    with visits.visiting() as visit:
        visits.opened(url)
        return list(visit.entries(name, None))


@pytest.mark.parametrize("left", ROWS)
def test_a_row_that_is_left_is_seen(left: str, database: Callable[[str], Any], place: str, name: str):
    kind, text, statement = ROWS[left]
    assert said(place, name) == []

    database(statement)

    found = [entry for entry in said(place, name) if entry.kind == kind and text in entry.text]
    assert [entry.name for entry in found] == [name]


@pytest.mark.parametrize("left", KEYS)
def test_a_key_that_is_left_is_seen(left: str, redis_url: str, name: str):
    kind, text, commands = KEYS[left]
    huey = Nephew(name, redis_url)
    huey.backend.migrate()
    assert said(redis_url, name) == []

    for command, word, *values in commands:
        huey.backend.call(command, huey.backend.key(word), *values)

    found = [entry for entry in said(redis_url, name) if entry.kind == kind and text in entry.text]
    assert [entry.name for entry in found] == [name]
    huey.backend.close()


def test_entries_fail_a_test_but_for_those_that_it_leaves_on_purpose():
    claim = ledger.Entry("claim", "shop", "job is held by worker 7")

    ledger.assert_in_order([claim], left={"claim"})
    with pytest.raises(AssertionError, match="not in order:\nclaim: job is held by worker 7 \\(shop\\)"):
        ledger.assert_in_order([claim], left={"worker"})


@pytest.mark.leaves("claim", "lock")
def test_what_a_test_leaves_is_named_by_its_mark(request: pytest.FixtureRequest):
    assert visits.left_by(request.node) == {"claim", "lock"}


def test_a_kind_that_there_is_none_of_cannot_be_left(request: pytest.FixtureRequest):
    request.node.add_marker(pytest.mark.leaves("dust"))

    with pytest.raises(AssertionError, match=r"expected leaves\(\) with some of .*, got \['dust'\]"):
        visits.left_by(request.node)


def test_a_server_of_the_tests_own_is_looked_at_before_it_goes(name: str):
    with visits.visiting() as visit:
        server = RedisServer()
        try:
            server.start()
            with server.client() as client:
                client.hset(f"{{{name}}}:held:7", "job", 1)
        finally:
            server.remove()

        assert "claim" in {entry.kind for entry in visit.entries(name, None)}


def test_a_server_that_is_gone_before_anybody_has_looked_fails_the_test(name: str):
    with visits.visiting() as visit:
        visits.opened("redis://127.0.0.1:1/0")

        with pytest.raises(AssertionError, match="nobody looked at the books of redis:"):
            list(visit.entries(name, None))

        visits.seen("redis://127.0.0.1:1/0")
        assert list(visit.entries(name, None)) == []
