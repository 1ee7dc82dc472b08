"""Redis on every way that a URL can name: sockets, TLS, users, Sentinels, a cluster; and ways that get lost."""

from __future__ import annotations

import gc
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis._parsers import BaseParser
from redis.crc import key_slot

from nephew.backends.redis import RedisBackend, open_redis
from nephew.backends.redis.connection import LATEST
from nephew.errors import BackendError, ConfigError, Refused, SchemaError
from nephew.settings import Settings
from tests.consumers import ROOT
from tests.contract.jobs import Hand, job, succeeded
from tests.eventually import eventually
from tests.integration.conftest import open_bench
from tests.servers import RedisServer, Server
from tests.topologies import ClusterNode, SentinelServer, TlsRedisServer, find_tls_redis

#: What docs/redis.md tells to give to a user.
RIGHTS = ("+@read", "+@write", "+@stream", "+@pubsub", "+@scripting", "+@connection", "-@dangerous",
          "+select", "+time", "+info", "+config|get")  # fmt: skip

#: How many slots a cluster has.
SLOTS = 16384


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.remove)
        for server in servers:
            server.start()
        yield


@contextmanager
def opened(url: str, name: str, **settings: Any) -> Iterator[RedisBackend]:
    backend = open_redis(name, url, Settings(**settings))
    try:
        yield backend
    finally:
        backend.close()


@pytest.fixture
def backend(redis_url: str, name: str) -> Iterator[RedisBackend]:
    with opened(redis_url, name) as backend:
        yield backend


@pytest.fixture
def own() -> Iterator[RedisServer]:
    """A server that the test may stop, fill and reconfigure."""
    server = RedisServer()
    with running(server):
        yield server


def work(backend: RedisBackend, count: int, halfway: Callable[[], object] = int) -> int:
    """Take jobs through their life one by one, patiently, and meet something halfway; how many succeeded.

    (What B023 warns of is no matter: each function is called before its loop goes on.)
    """
    hand = patiently(lambda: Hand(backend))
    for number in range(count):
        if number == count // 2:
            halfway()
        patiently(lambda: backend.enqueue([job(f"job-{number}")]))  # noqa: B023
        (claimed,) = patiently(lambda: backend.claim(hand.number, number + 1, 1))  # noqa: B023
        patiently(lambda: backend.settle(hand.number, number + 1, [succeeded(claimed)]))  # noqa: B023
    patiently(lambda: backend.retire(hand.number))
    return patiently(backend.counts)["succeeded"]


def patiently(step: Callable[[], Any]) -> Any:
    """As a consumer does, which tries until the server is back."""

    def tried() -> Any:
        try:
            return [step()]
        except BackendError as error:
            raise AssertionError(str(error)) from error

    return eventually(tried, 20)[0]


# -- ways --------------------------------------------------------------------------------------------
def test_a_unix_socket_works(redis: RedisServer, name: str) -> None:
    with opened(f"unix://{redis.socket}?db=1", name) as backend:
        assert work(backend, 3) == 3
        assert b" db=1 " in backend.call("CLIENT", "LIST", "ID", backend.call("CLIENT", "ID"))


def test_over_tls_a_user_with_few_rights_can_do_all_work(
    request: pytest.FixtureRequest, name: str, tmp_path: Path
) -> None:
    server = TlsRedisServer()
    with running(server), server.client() as client:
        keys, channels = f"~{{{name}}}*", f"&{{{name}}}:*"
        client.execute_command("ACL", "SETUSER", "worker", "on", ">p/ss", "resetchannels", keys, channels, *RIGHTS)
        place = f"worker:p%2Fss@127.0.0.1:{server.tls_port}/1"
        with open_bench(request, f"rediss://{place}?ssl_ca_certs={server.certificate}", name, tmp_path) as bench:
            consumer = bench.consumer("thread", 2)
            results = [bench.tasks.note(f"note-{number}") for number in range(20)]
            assert [result.get(blocking=True, timeout=20) for result in results] == [
                f"note-{number}" for number in range(20)
            ]
            assert consumer.stop() == 0
            assert "p/ss" not in consumer.log() and "p%2Fss" not in consumer.log()
        refused = client.execute_command("ACL", "LOG")
        with opened(f"rediss://{place}", name) as distrusting, pytest.raises(ConfigError, match="ssl_ca_certs"):
            distrusting.enqueue([job()])

    assert refused == []


def test_a_wrong_password_is_told_at_once_and_not_shown(own: RedisServer, name: str) -> None:
    own.settings["requirepass"] = "right"
    own.restart()

    wrong = own.url.replace("right", "wrong")
    with opened(wrong, name) as backend, pytest.raises(ConfigError, match="user of the URL") as told:
        backend.enqueue([job()])

    assert ":wrong" not in str(told.value)


def test_sentinels_lead_to_the_new_master_in_the_middle_of_work(name: str) -> None:
    program = find_tls_redis()
    master = RedisServer(program, {"repl-diskless-sync-delay": "0"})
    with running(master):
        replica = RedisServer(program, {"replicaof": f"127.0.0.1 {master.port}"})
        sentinels = [SentinelServer(program, master.port, 2) for _ in range(3)]
        with running(replica, *sentinels):
            hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels)
            for sentinel in sentinels:
                sentinel.hurry()
            eventually(lambda: all(sentinel.knows(others=2, replicas=1) for sentinel in sentinels))

            def fail_over() -> None:
                with master.client() as client:
                    client.incr("written")  # what is waited for is a copy of all that was written before
                    assert client.wait(1, 5000) == 1  # Redis gives a copy away later than its reply
                master.stop(signal.SIGKILL)

            with opened(f"redis+sentinel://{hosts}/{SentinelServer.service}/0", name) as backend:
                done = work(backend, 20, halfway=fail_over)

    assert done == 20


def test_in_a_cluster_jobs_follow_their_slot_while_it_is_moved(name: str) -> None:
    nodes = [ClusterNode() for _ in range(3)]
    with running(*nodes):
        join(nodes)
        slot = key_slot(f"{{{name}}}".encode())
        source, target = nodes[slot * 3 // SLOTS], nodes[slot * 3 // SLOTS - 1]
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in nodes)

        with opened(f"redis+cluster://{hosts}", name) as backend, ThreadPoolExecutor(1) as others:
            moves = []
            done = work(backend, 40, halfway=lambda: moves.append(others.submit(move, slot, source, target)))
            moves[0].result()

        with target.client() as client:
            assert client.cluster("COUNTKEYSINSLOT", slot) > 3
        plain = f"redis://127.0.0.1:{source.port}"
        with opened(plain, name) as backend, pytest.raises(ConfigError, match=r"redis\+cluster://"):
            backend.counts()

    assert done == 40


def join(nodes: list[ClusterNode]) -> None:
    """Make a cluster of nodes, each with its share of the slots."""
    bounds = [-(-SLOTS * number // len(nodes)) for number in range(len(nodes) + 1)]
    for number, node in enumerate(nodes):
        with node.client() as client:
            client.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            client.execute_command("CLUSTER", "ADDSLOTS", *range(*bounds[number : number + 2]))
            client.execute_command("CLUSTER", "MEET", "127.0.0.1", nodes[0].port)
    eventually(lambda: all(node.is_joined(len(nodes)) for node in nodes))


def move(slot: int, source: ClusterNode, target: ClusterNode) -> None:
    """Move a slot with all of its keys."""
    with source.client() as old, target.client() as new:
        ids = old.cluster("MYID").decode(), new.cluster("MYID").decode()
        new.execute_command("CLUSTER", "SETSLOT", slot, "IMPORTING", ids[0])
        old.execute_command("CLUSTER", "SETSLOT", slot, "MIGRATING", ids[1])
        while keys := old.execute_command("CLUSTER", "GETKEYSINSLOT", slot, 2):
            old.execute_command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        for client in (new, old):
            client.execute_command("CLUSTER", "SETSLOT", slot, "NODE", ids[1])


# -- processes and threads ---------------------------------------------------------------------------
def test_a_forks_child_has_connections_of_its_own(backend: RedisBackend) -> None:
    mine = backend.call("CLIENT", "ID")
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, json.dumps([backend.call("CLIENT", "ID"), work(backend, 3)]).encode())
        os._exit(0)
    os.waitpid(child, 0)
    others, done = json.loads(os.read(reading, 1000))
    os.close(reading), os.close(writing)

    assert backend.call("CLIENT", "ID") == mine != others
    assert done == 3


def test_forty_threads_get_each_its_own_replies(backend: RedisBackend) -> None:
    with ThreadPoolExecutor(40) as threads:
        words = [str(number) for number in range(2000)]
        replies = list(threads.map(lambda word: backend.call("ECHO", word), words))

    assert replies == [word.encode() for word in words]


def test_a_reply_that_nobody_read_is_not_taken_for_the_next_ones(backend: RedisBackend) -> None:
    class Struck(BaseException):
        pass

    def strike(*_: object) -> None:
        raise Struck

    before = signal.signal(signal.SIGALRM, strike)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(Struck):
            backend.call("BLPOP", backend.key("nothing"), "0.3")
    finally:
        signal.signal(signal.SIGALRM, before)

    assert backend.call("ECHO", "mine") == b"mine"


# -- ways that get lost ------------------------------------------------------------------------------
def test_a_lost_connection_is_made_again_and_the_step_told_so(backend: RedisBackend, redis: RedisServer) -> None:
    for number in range(3):
        backend.enqueue([job(str(number))])
        cut(backend, redis)
    assert backend.call("INCR", backend.key("sum"), repeat=False) == 1  # it looked first

    with pytest.raises(BackendError, match=r"not known whether BLPOP .*was done"):
        during(lambda: backend.call("BLPOP", backend.key("nothing"), "5", repeat=False), lambda: cut(backend, redis))

    assert backend.waiting_count() == 3


def test_a_lost_connection_leaves_nothing_for_the_collector_of_garbage(
    backend: RedisBackend, redis: RedisServer
) -> None:
    def parsers() -> int:
        return sum(issubclass(type(each), BaseParser) for each in gc.get_objects())  # no object is asked for its class

    with redis.client() as admin:
        admin.ping()
        backend.waiting_count()
        gc.collect()
        before = parsers()
        gc.disable()
        try:
            for _ in range(3):
                admin.client_kill_filter(_type="normal", skipme=True)
                backend.waiting_count()
            after = parsers()
        finally:
            gc.enable()

    assert after <= before


def during(step: Callable[[], Any], other: Callable[[], Any]) -> Any:
    """Do one thing while another is going on."""
    timer = threading.Timer(0.2, other)
    timer.start()
    try:
        return step()
    finally:
        timer.join()


def cut(backend: RedisBackend, server: RedisServer) -> None:
    """Have the server end all other connections of the test's database user."""
    with server.client() as client:
        client.client_kill_filter(_type="normal", skipme=True)


def test_an_outage_is_told_once_and_so_is_its_end(
    own: RedisServer, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(own.url, name) as backend, caplog.at_level(logging.INFO, "huey.nephew.redis"):
        backend.enqueue([job()])
        own.stop()
        with pytest.raises(BackendError, match=r"cannot be reached .* may be repeated once it is back"):
            backend.enqueue([job()])
        own.start()
        backend.enqueue([job()])

    told = [record.getMessage() for record in caplog.records]
    assert len([text for text in told if "cannot be reached" in text]) == 1
    assert len([text for text in told if " is back after " in text]) == 1


def test_what_is_dangerous_about_the_server_is_told(own: RedisServer, name: str) -> None:
    with own.client() as client, opened(own.url, name) as backend:
        assert len(backend.warnings()) == 1, "it keeps nothing on disk"
        client.config_set("appendonly", "yes")
        assert backend.warnings() == []

        client.config_set("maxmemory-policy", "allkeys-lru")
        client.replicaof("127.0.0.1", "1")
        replica, eviction = backend.warnings()
        assert "maxmemory-policy noeviction" in eviction
        assert "replica" in replica

        during(lambda: backend.enqueue([job()]), lambda: client.replicaof("NO", "ONE"))
        assert backend.waiting_count() == 1


def test_an_error_of_the_servers_says_what_to_do(own: RedisServer, name: str) -> None:
    with own.client() as client, opened(own.url, name) as backend:
        client.set(backend.key("jobs"), "text")
        with pytest.raises(
            BackendError, match=rf"script enqueue .* {{{name}}}:jobs is of the wrong type; delete or rename"
        ):
            backend.enqueue([job()])
        client.delete(backend.key("jobs"))
        with pytest.raises(Refused, match="cannot store"):
            backend.call("SET", backend.key("data"), "\ud800")
        client.config_set("maxmemory", "1")
        with pytest.raises(BackendError, match="raise maxmemory"):
            backend.enqueue([job()])


def test_keys_of_a_newer_nephew_are_left_alone(backend: RedisBackend, redis: RedisServer) -> None:
    assert backend.schema().found == 0
    assert backend.migrate() == (0, LATEST)
    backend.call("SET", backend.key("version"), LATEST + 1)

    with opened(redis.url, backend.name) as older, pytest.raises(SchemaError, match=f"got version {LATEST + 1}"):
        older.enqueue([job()])
    new = f"{backend.name}-new"
    with opened(redis.url, new, auto_migrate=False) as careful, pytest.raises(SchemaError, match="nephew migrate"):
        careful.enqueue([job()])


def test_redis_py_serves_without_hiredis_as_well(redis_url: str, name: str) -> None:
    code = f"""
import sys
sys.modules["hiredis"] = None
from tests.integration.test_redis_connections import opened, work
with opened({redis_url!r}, {name!r}) as backend:
    print(work(backend, 3), type(backend._pool.take()._parser).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)

    assert done.stdout == "3 _RESP2Parser\n", done.stderr


# -- URLs --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://h:x", "host:port"),
        ("redis://a..b", "host:port"),
        ("redis://h/x", "number of a database"),
        ("redis://a,b/0", r"one host.*redis\+sentinel://"),
        ("redis://:se/cret@h", "%2F"),
        ("redis://h?protocol=3", "got protocol"),
        ("redis://h?socket_timeout=x", "socket_timeout"),
        ("rediss://h?ssl_cert_reqs=x", "Requirements Flag"),
        ("rediss://h?ssl_nonsense=x", "ssl_nonsense"),
        ("unix://", "a path in"),
        ("redis+sentinel://h", "service's name"),
        ("redis+cluster://h/2", "database but 0"),
        ("redis+nonsense://h", r"redis\+cluster://"),
    ],
)
def test_a_wrong_url_says_what_was_expected(url: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as told:
        open_redis("shop", url, Settings())

    assert "cret" not in str(told.value)


def test_valkey_may_stand_for_redis() -> None:
    described = open_redis("shop", "valkeys+cluster://:secret@h,[::1]:7000?ssl_cert_reqs=none", Settings()).description

    assert described == "rediss+cluster://h,[::1]:7000"
