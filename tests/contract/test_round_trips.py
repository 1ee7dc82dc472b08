"""How often a store is asked for a step of one job, and of a hundred: unlike times, that is the same on any machine."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import redis

from nephew import Nephew
from nephew.backends.records import Claimed, Outcome
from nephew.backends.redis import RedisBackend
from nephew.backends.redis.scripts import script
from nephew.backends.sql import SqlBackend
from nephew.backends.watcher import Doorbell
from nephew.lane import Lane
from tests.contract.jobs import Hand, job, succeeded
from tests.faults import Fault, Link
from tests.proxies import Proxy


class Asked(NamedTuple):
    """What a step has asked.

    :ivar trips: how often it sent something to a server and waited for the answer.
    :ivar statements: how many statements a database was to execute for it, or how many commands Redis did, those of
        its scripts included.
    """

    trips: float
    statements: float


#: By place and step. What grows here is paid for by every job.
EXPECTED = {
    "sqlite": {
        "enqueue 1": Asked(0, 1),
        "claim 1": Asked(0, 3),
        "settle 1": Asked(0, 5),
        "enqueue 100": Asked(0, 5),
        "claim 100": Asked(0, 3),
        "settle 100": Asked(0, 7),
        "claim nothing": Asked(0, 2),
    },
    "postgres": {
        "enqueue 1": Asked(1, 1),
        "claim 1": Asked(1, 1),
        "settle 1": Asked(1, 1),
        "enqueue 100": Asked(4, 4),
        "claim 100": Asked(1, 1),
        "settle 100": Asked(1, 1),
        "claim nothing": Asked(2, 2),
    },
    "redis": {
        "enqueue 1": Asked(1, 10),
        "claim 1": Asked(1, 14),
        "settle 1": Asked(1, 22),
        "enqueue 100": Asked(1, 10),
        "claim 100": Asked(1, 15),
        "settle 100": Asked(1, 21),
        "claim nothing": Asked(1, 6),
    },
}

#: The most that each job of a long drain may add: its share of claims and settles, which are of a hundred and more.
SHARE = {"sqlite": Asked(0, 0.4), "postgres": Asked(0.1, 0.1), "redis": Asked(0.1, 1.5)}
#: How many jobs are worked off before that is counted, and how many then.
FEW, MANY = 300, 1200

#: The scripts of these steps; a server is sent their text once.
SCRIPTS = ("enqueue_one", "enqueue_plain", "claim", "settle_plain")


class Listening(Fault):
    """Nothing befalls the connections; what is asked on them is counted."""

    #: What a client of PostgreSQL sends for a statement: that a prepared one be executed, or a whole one.
    kinds = (b"E", b"Q")

    def __init__(self) -> None:
        super().__init__()
        self.asked = Asked(0, 0)
        self._waits: dict[Link, bool] = {}
        self._rest: dict[Link, bytes] = {}

    async def carry(self, link: Link, target: asyncio.StreamWriter, data: bytes) -> None:
        asks = target is link.server
        if asks:
            trips, statements = self.asked
            self.asked = Asked(trips + (not self._waits.get(link)), statements + self._statements(link, data))
        self._waits[link] = asks
        await super().carry(link, target, data)

    def _statements(self, link: Link, data: bytes) -> int:
        """How many of PostgreSQL's messages in these bytes bring one; what a connection begins with has no kind."""
        rest, count = self._rest.get(link, b"-") + data, 0
        while len(rest) > 4 and len(rest) > (size := int.from_bytes(rest[1:5], "big")):
            count += rest[:1] in self.kinds
            rest = rest[size + 1 :]
        self._rest[link] = rest
        return count


class Asking:
    """An instance, its backend, and what was asked of its store so far."""

    def __init__(self, huey: Nephew, asked: Callable[[], Asked]) -> None:
        self.huey, self.backend, self._asked = huey, huey.backend, asked

    def by(self, act: Callable[[], Any]) -> Asked:
        """What is asked by doing this."""
        before = self._asked()
        act()
        return Asked(*(after - earlier for after, earlier in zip(self._asked(), before, strict=True)))


@contextmanager
def opened(place: str, request: pytest.FixtureRequest, name: str) -> Iterator[Asking]:
    if place == "sqlite":
        huey = Nephew(name, request.getfixturevalue("sqlite_url"))
        assert isinstance(huey.backend, SqlBackend)
        huey.backend.migrate()
        statements: list[str] = []
        huey.backend.database.connection().set_trace_callback(statements.append)
        yield Asking(huey, lambda: Asked(0, len(statements)))
        huey.close()
        return
    with Proxy(request.getfixturevalue(place)) as proxy, proxy.suffering(Listening()) as listening:
        huey = Nephew(name, proxy.url)
        if isinstance(huey.backend, RedisBackend):
            for each in SCRIPTS:
                huey.backend.call("SCRIPT", "LOAD", script(each).source)
            with request.getfixturevalue(place).client() as client:
                yield Asking(huey, lambda: Asked(listening.asked.trips, commands(client)))
        else:
            yield Asking(huey, lambda: listening.asked)
        huey.close()


def commands(client: redis.Redis) -> int:
    """How many commands a server has done, but for those that ask it so."""
    done = client.info("commandstats")
    return sum(told["calls"] for name, told in done.items() if name != "cmdstat_info")


def succeeds(claimed: Claimed) -> Outcome:
    """As most jobs do: whatever there may be against its next run is forgotten."""
    return succeeded(claimed, forget=(f"r:{claimed.id}",))


@pytest.mark.parametrize("place", EXPECTED)
def test_a_step_asks_its_store_no_more_often_than_it_must(place: str, request: pytest.FixtureRequest, name: str):
    with opened(place, request, name) as asking:
        hand = Hand(asking.backend)
        asking.backend.now()

        assert life_of(1, hand, asking) | life_of(100, hand, asking) == EXPECTED[place]


def life_of(size: int, hand: Hand, asking: Asking) -> dict[str, Asked]:
    """What is asked when so many jobs are enqueued, claimed and settled at once, and nothing is left."""
    claimed: list[Claimed] = []
    given = [job() for _ in range(size)]
    return {
        f"enqueue {size}": asking.by(lambda: asking.backend.enqueue(given)),
        f"claim {size}": asking.by(lambda: claimed.extend(hand.claim(size))),
        f"settle {len(claimed)}": asking.by(lambda: hand.settle(*map(succeeds, claimed))),
        "claim nothing": asking.by(lambda: hand.claim(size)),
    }


@pytest.mark.parametrize("place", EXPECTED)
def test_of_many_jobs_each_adds_little_to_what_a_worker_asks(place: str, request: pytest.FixtureRequest, name: str):
    with opened(place, request, name) as asking:
        noop = asking.huey.task(name="noop")(lambda number: None)
        lane = Lane(asking.huey.worker)
        noop.map(range(FEW))
        work_off(FEW, lane)  # the hands have grown
        noop.map(range(MANY))

        asked = asking.by(lambda: work_off(MANY, lane))

        lane.close()
        asking.huey.sign_off()
    share = SHARE[place]
    assert asked.trips <= share.trips * MANY
    assert asked.statements <= share.statements * MANY


def work_off(count: int, lane: Lane) -> None:
    for _ in range(count):
        claimed = lane.next()
        assert claimed is not None
        lane.run(claimed)


def test_an_idle_worker_claims_once_for_each_time_that_it_waits(request: pytest.FixtureRequest, name: str):
    server = request.getfixturevalue("redis")
    huey = Nephew(name, server.url)
    lane, doorbell = Lane(huey.worker), huey.backend.doorbell()
    assert doorbell is not None
    waits_in_vain(lane, doorbell)  # it looks and signs on first
    with server.client() as client:
        before = client.info("commandstats")["cmdstat_evalsha"]["calls"]

        waits_in_vain(lane, doorbell)

        assert client.info("commandstats")["cmdstat_evalsha"]["calls"] - before == 1
    doorbell.close()
    huey.sign_off()
    huey.close()


def waits_in_vain(lane: Lane, doorbell: Doorbell) -> None:
    descriptor = lane.ask(doorbell, 0.02)
    assert select.select([descriptor], [], [], 20)[0]
    assert lane.next() is None
