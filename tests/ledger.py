"""The books of instances, read from outside: what must never be in their rows or keys, and what must not be left.

Whatever is found is an `Entry`. Those of the kinds in `LASTING` are wrong at any moment; the others are right while
somebody works, and wrong once all have gone. A test that leaves one on purpose says so, with the reason:
`@pytest.mark.leaves("claim")`; `tests/visits.py` looks after each test.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import redis

from nephew.backends.contract import Backend
from nephew.backends.redis import RedisBackend
from nephew.backends.sql.migrations import LATEST

#: Kinds of what is wrong at any moment: records and the places that they are in do not agree; something belongs to
#: nothing; a unique key keeps others out for nobody; a chord waits for nobody; a tick does not say what became of it.
LASTING = frozenset({"place", "orphan", "unique key", "chord", "tick"})
#: Kinds of what is wrong when nobody works any more.
HELD = frozenset({"claim", "lock", "worker", "file"})

#: What a server that is gone is known by.
GONE = (redis.ConnectionError, redis.TimeoutError, psycopg.OperationalError)

#: Behind all that may follow in a name.
LAST = "\U0010ffff"

#: Runs a SELECT written with `?`; its rows.
Read = Callable[[str, Sequence[Any]], Iterable[Sequence[Any]]]
#: Sends a command to Redis; its reply, texts as bytes.
Call = Callable[..., Any]


_connections: dict[str, psycopg.Connection[Any]] = {}


class Entry(NamedTuple):
    """Something in the books that should not be there."""

    kind: str
    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.text} ({self.name})"


def assert_in_order(entries: Iterable[Entry], left: Iterable[str] = ()) -> None:
    """Fail, naming them, if there are entries of other kinds than may be left."""
    wrong = sorted({str(entry) for entry in entries if entry.kind not in left})
    assert not wrong, "\n".join(["the books are not in order:", *wrong[:20]])


# -- where to look ------------------------------------------------------------------------------------------------
def of_file(path: Path) -> Iterator[Entry]:
    """The entries of all instances in a file, and what is left of their workers beside it."""
    with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as database:
        tables = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'nephew_schema'").fetchone()
        if tables and _is_known(lambda sql, params: database.execute(sql, params)):
            yield from of_database(lambda sql, params: database.execute(sql, params), "")
    yield from files_in(Path(f"{path}-workers"))


def files_in(folder: Path) -> Iterator[Entry]:
    """The workers' files in a folder."""
    for path in folder.iterdir() if folder.exists() else ():
        yield Entry("file", path.name, f"left in {folder}")


def of_server(url: str, prefix: str) -> Iterator[Entry]:
    """The entries of instances whose names begin like this.

    :raises GONE: so is the server.
    """
    if not url.startswith("postgresql:"):
        with redis.Redis.from_url(url.replace("valkey", "redis", 1), protocol=2, socket_timeout=10) as client:
            yield from of_redis(client.execute_command, prefix)
        return
    with _connected(url) as connection:

        def read(sql: str, params: Sequence[Any] = ()) -> Iterable[Sequence[Any]]:
            return connection.execute(sql.replace("?", "%s"), params)

        if connection.execute("SELECT to_regclass('nephew_schema')").fetchone() != (None,) and _is_known(read):
            yield from of_database(read, prefix)


@contextlib.contextmanager
def _connected(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection that is kept for the next test: what it has learned of the tables costs more than it does."""
    kept = _connections.pop(url, None)
    if kept is None or not _answers(kept):
        kept = psycopg.connect(url, autocommit=True, connect_timeout=5)
    yield kept
    _connections[url] = kept


def _answers(connection: psycopg.Connection[Any]) -> bool:
    try:
        connection.execute("SELECT 1")
    except psycopg.OperationalError:
        return False
    return True


def of_backend(backend: Backend) -> Iterator[Entry]:
    """The entries of an instance, through a backend of its own."""
    if isinstance(backend, RedisBackend):
        return of_redis(backend.call, backend.name)
    return of_database(backend.read, backend.name)


# -- databases ----------------------------------------------------------------------------------------------------
def _is_known(read: Read) -> bool:
    """Whether the tables are of this version; those of others are kept by other rules."""
    return [row[0] for row in read("SELECT max(version) FROM nephew_schema", ())] == [LATEST]


_ENDED = "('succeeded', 'failed', 'cancelled', 'expired')"
_NO_JOB = "NOT EXISTS (SELECT 1 FROM nephew_job job WHERE job.name = t.name AND job.id = t.job)"
_NO_CHORD = (
    "NOT EXISTS (SELECT 1 FROM nephew_job job WHERE job.name = t.name"
    " AND (job.chord = t.cid OR job.member = t.cid AND job.finished_at IS NULL))"
)
_DONE = "(SELECT count(*) FROM nephew_chord_member m WHERE m.name = t.name AND m.cid = t.cid)"
_NO_GROUP = "NOT EXISTS (SELECT 1 FROM nephew_event_group g WHERE g.name = t.name AND g.key = t.key)"
_NO_WORKER = "NOT EXISTS (SELECT 1 FROM nephew_worker w WHERE w.name = t.name AND w.number = t.worker)"
_HELD = "t.worker IS NOT NULL AND t.finished_at IS NULL"

#: The kind of an entry, its table, what is said of a row, and which rows are meant.
ROWS = (
    ("place", "job", "t.id || ' is ' || t.state || ' and has not ended, or the other way round'",
     f"(t.state IN {_ENDED}) <> (t.finished_at IS NOT NULL)"),
    ("place", "job", "t.id || ' is running and nobody holds it'", "t.state = 'running' AND t.worker IS NULL"),
    ("place", "job", "t.id || ' waits for no time as ' || t.state",
     "t.state IN ('scheduled', 'retrying') AND t.eta IS NULL"),
    ("orphan", "attempt", "'an attempt of the job ' || t.job || ', which there is not'", _NO_JOB),
    ("orphan", "log", "'log lines of the job ' || t.job || ', which there is not'", _NO_JOB),
    ("orphan", "event_taken", "'batches taken in the group ' || t.key || ', which there is not'", _NO_GROUP),
    ("chord", "chord", "t.cid || ' has neither a callback nor a member that is still to end'", _NO_CHORD),
    ("chord", "chord_member", "t.cid || ' has values and no counter'",
     "NOT EXISTS (SELECT 1 FROM nephew_chord c WHERE c.name = t.name AND c.cid = t.cid)"),
    ("chord", "chord", f"t.cid || ' counts ' || t.done || ' of ' || {_DONE} || ' values'", f"t.done <> {_DONE}"),
    ("tick", "tick", "t.fate || ' ' || t.schedule || ' has a job, or none, or its end, that it should not have'",
     "(t.fate = 'enqueued') <> (t.job IS NOT NULL) OR (t.state IS NULL) <> (t.ended_at IS NULL)"
     " OR t.state IS NOT NULL AND t.job IS NULL"),
    ("claim", "job", "t.id || ' is held by worker ' || t.worker", _HELD),
    ("orphan", "job", "t.id || ' is held by worker ' || t.worker || ', which there is not'",
     f"{_HELD} AND {_NO_WORKER}"),
    ("lock", "lock", "t.key || ' is held by ' || t.label", "t.owner IS NOT NULL AND t.expires_at > ?"),
    ("worker", "worker", "t.number || ' is registered'", "true"),
)  # fmt: skip
_QUESTION = " UNION ALL ".join(
    f"SELECT '{kind}', t.name, {text} FROM nephew_{table} t WHERE t.name >= ? AND t.name < ? AND ({which})"
    for kind, table, text, which in ROWS
)


def of_database(read: Read, prefix: str) -> Iterator[Entry]:
    """The entries of instances whose names begin like this, in tables of this version."""
    params: list[Any] = []
    for _, _, _, which in ROWS:
        params += [prefix, prefix + LAST, *[time.time()] * which.count("?")]
    return (Entry(*row) for row in read(_QUESTION, params))


# -- Redis --------------------------------------------------------------------------------------------------------
#: All keys of an instance at one moment: name, kind and contents of each. (Not every user may say KEYS.)
_LOOK = """
local reads = {hash = {'HGETALL'}, set = {'SMEMBERS'}, zset = {'ZRANGE', 0, -1}}
local found, at = {}, '0'
repeat
    local some = redis.call('SCAN', at, 'MATCH', ARGV[1], 'COUNT', 10000)
    at = some[1]
    for _, name in ipairs(some[2]) do
        local kind = redis.call('TYPE', name).ok
        local read = reads[kind]
        found[#found + 1] = {name, kind, read and redis.call(read[1], name, unpack(read, 2)) or {}}
    end
until at == '0'
return found
"""


class Keys:
    """The keys of one instance, by their words."""

    def __init__(self) -> None:
        self._contents: dict[str, tuple[str, list[bytes]]] = {}

    def add(self, word: str, kind: str, contents: list[bytes]) -> None:
        self._contents[word] = (kind, contents)

    def map(self, word: str) -> dict[str, bytes]:
        """The fields of a hash."""
        values = self._of_kind(word, "hash")
        return {_text(field): value for field, value in zip(values[::2], values[1::2], strict=True)}

    def ids(self, word: str) -> set[str]:
        """The members of a set, sorted or not."""
        return {_text(value) for value in self._of_kind(word, "set", "zset")}

    def each(self, word: str) -> Iterator[tuple[str, str]]:
        """What comes behind this word and a colon, and all of it."""
        for name in self._contents:
            first, colon, more = name.partition(":")
            if colon and first == word:
                yield more, name

    def tickets(self, word: str) -> set[str]:
        """Who waits in a queue; see `lua/lib/job.lua`."""
        return {_text(ticket[8:]) for ticket in self._of_kind(word, "zset")}

    def _of_kind(self, word: str, *kinds: str) -> list[bytes]:
        """Nothing, if there is no such key, or if it is of a wrong kind."""
        kind, contents = self._contents.get(word, ("", []))
        return contents if kind in kinds else []


def of_redis(call: Call, prefix: str) -> Iterator[Entry]:
    """The entries of instances whose names begin like this."""
    instances: defaultdict[str, Keys] = defaultdict(Keys)
    for key, kind, contents in call("EVAL", _LOOK, 0, "{" + prefix + "*}:*"):
        name, _, word = _text(key)[1:].partition("}:")
        instances[name].add(word, _text(kind), contents)
    for name, keys in instances.items():
        for told in (_misplaced, _orphans, _unique_keys, _chords, _ticks, _held):
            for kind, text in told(keys):
                yield Entry(kind, name, text)


Told = Iterator[tuple[str, str]]


def _places(keys: Keys) -> dict[str, list[str]]:
    """Where each job is."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    places = [(word, keys.ids(word)) for word in ("scheduled", "retrying", "parked")]
    places += [(word, keys.ids(word)) for _, word in keys.each("ended")]
    places += [(word, set(keys.map(word))) for _, word in keys.each("held")]
    places += [(word, keys.tickets(word)) for _, word in keys.each("q")]
    for word, ids in places:
        for job in ids:
            found[job].append(word)
    return found


def _unfinished(keys: Keys) -> set[str]:
    ended = {job for _, word in keys.each("ended") for job in keys.ids(word)}
    return set(keys.map("jobs")) - ended


def _misplaced(keys: Keys) -> Told:
    places, jobs = _places(keys), keys.map("jobs")
    for job, words in places.items():
        if job not in jobs:
            yield "place", f"{job} is in {words} and has no record"
        elif len(words) > 1:
            yield "place", f"{job} is in {sorted(words)} at once"
    for job in jobs.keys() - places.keys():
        yield "place", f"{job} has a record and is nowhere"
    for queue, _ in keys.each("q"):
        if queue not in keys.ids("queues"):
            yield "place", f"the queue {queue} is not listed in queues: its jobs are never claimed"


def _orphans(keys: Keys) -> Told:
    jobs, unfinished, workers = set(keys.map("jobs")), _unfinished(keys), set(keys.map("workers"))
    held = {job for _, word in keys.each("held") for job in keys.map(word)}
    belonging = [
        ("marks", set(keys.map("marks")), jobs),
        ("callbacks", set(keys.map("callbacks")), jobs),
        ("attempts", {job for job, _ in keys.each("attempts")}, jobs),
        ("logs", {job for job, _ in keys.each("logs")}, jobs),
        ("expiring", keys.ids("expiring"), unfinished),
        ("interim", keys.ids("interim"), unfinished),
        ("stops", set(keys.map("stops")), unfinished),
        ("running", set(keys.map("running")), held),
        ("once", keys.ids("once"), held),
        ("beats", set(keys.map("beats")), workers),
        ("settled", set(keys.map("settled")), workers),
        ("incarnations", {_text(number) for number in keys.map("incarnations").values()}, workers),
    ]
    for word, those, owners in belonging:
        for orphan in those - owners:
            yield "orphan", f"{orphan} in {word} belongs to nothing"


def _unique_keys(keys: Keys) -> Told:
    by_key = {(key, _text(job)) for key, job in keys.map("unique").items()}
    by_job = {(_text(key), job) for job, key in keys.map("keyof").items()}
    for key, job in by_key ^ by_job:
        yield "unique key", f"unique and keyof do not agree about {key} of {job}"
    for key, job in by_key | by_job:
        if job not in _unfinished(keys):
            yield "unique key", f"{key} is kept by {job}, which is not unfinished"


def _chords(keys: Keys) -> Told:
    wanted, unfinished = {_text(chord) for chord in keys.map("callbacks").values()}, _unfinished(keys)
    for job, record in keys.map("jobs").items():
        head = _head(record)
        wanted |= {head[5]} | ({head[9]} if job in unfinished else set())
    for chord, _ in keys.each("chord"):
        if chord not in wanted:
            yield "chord", f"{chord} has neither a callback nor a member that is still to end"


def _ticks(keys: Keys) -> Told:
    """What is open or waits its turn is what the ledger says; see `lua/lib/ticks.lua`."""
    opened, waiting = set(), set()
    for schedule, word in keys.each("ticks"):
        for due, fate, _, job, _, _, state, _ in (json.loads(tick) for tick in keys.ids(word) if tick[:1] == "["):
            opened |= {(schedule, due, job)} if fate == "enqueued" and not state else set()
            waiting |= {(schedule, due)} if fate == "waiting" else set()
    by_job = {(job, *_text(told).split(" ", 1)) for job, told in keys.map("open").items()}
    listed = {(schedule, job) for schedule, word in keys.each("open") for job in keys.ids(word)}
    turns = {(schedule, due) for schedule, word in keys.each("turns") for due in keys.ids(word)}
    if by_job != {(job, due, schedule) for schedule, due, job in opened}:
        yield "tick", f"open are {opened}, and {by_job} by their jobs"
    if listed != {(schedule, job) for schedule, _, job in opened}:
        yield "tick", f"open are {opened}, and {listed} by their schedules"
    if turns != waiting or keys.ids("turns") != {schedule for schedule, _ in waiting}:
        yield "tick", f"{waiting} wait, and {turns} of {keys.ids('turns')} for their turn"


def _head(record: bytes) -> list[Any]:
    """A record's head, with its nulls; see `lua/lib/job.lua`."""
    with contextlib.suppress(ValueError, IndexError):
        values = json.loads(record.split(b"\n", 2)[1])
        return [*values, *[None] * (12 - len(values))]
    return [None] * 12


def _held(keys: Keys) -> Told:
    for worker, word in keys.each("held"):
        for job in keys.map(word):
            yield "claim", f"{job} is held by worker {worker}"
            if worker not in keys.map("workers") and worker != "0":
                yield "orphan", f"{job} is held by worker {worker}, which there is not"
    for worker in keys.map("workers"):
        yield "worker", f"{worker} is registered"
    for lock in keys.ids("locks"):
        held = keys.map(f"lock:{lock}")
        if held and float(held["expires_at"]) > time.time():
            yield "lock", f"{lock} is held by {_text(held['label'])}"


def _text(value: bytes) -> str:
    return value.decode(errors="replace")
