"""Networks that fail amid work: what passes between consumers, producers and their server is lost, late or cut off."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from huey.api import chord

from nephew import BackendError, Nephew
from nephew.deadline import LAST_CALL, LAST_WORD
from nephew.job import ENDED
from nephew.recovery import Reaper
from tests import visits
from tests.consumers import KINDS, Bench
from tests.eventually import eventually
from tests.faults import Cut, Delay, Drop, Fault, HalfClose, Refuse
from tests.integration.apps import jobs
from tests.integration.conftest import open_bench
from tests.proxies import Proxy
from tests.servers import PostgresServer, Server

#: How soon a server counts as silent here: the defaults take five seconds.
SOON = {"postgres": "&tcp_user_timeout=1000&connect_timeout=2", "redis": "?socket_timeout=1"}

#: One after the other: in the middle of a login, of a reply, and of a later one.
FAULTS: dict[str, Callable[[int], Fault]] = {
    "drop": lambda turn: Drop(),
    "delay": lambda turn: Delay(0.05),
    "cut": lambda turn: Cut((30, 700, 4000)[turn % 3]),
    "half-close": lambda turn: HalfClose(("client", "server")[turn % 2]),
    "refuse": lambda turn: Refuse(),
}
#: Seconds that it lasts; a drop for longer than it takes to be noticed.
LASTS = {"drop": 1.5}


Call = Callable[[], object]
#: What a job writes into the file of runs, and how often.
Lines = Counter[tuple[str, str]]


class Producer:
    """Enqueues all the time, as an application does: it notes what was stored, and goes on after an error of ours.

    :ivar accepted: by key, the lines to come from a call that was stored.
    :ivar in_doubt: the same of those that ended with an error of ours: the answer may have been lost.
    """

    def __init__(self, name: str, url: str) -> None:
        self._huey = Nephew(name, url)
        self._tasks = jobs.install(self._huey)
        self._ways = (self._plain, self._failing, self._pipeline, self._chord, self._delayed)
        self.accepted: dict[str, Lines] = {}
        self.in_doubt: dict[str, Lines] = {}
        self._enough = threading.Event()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        with ThreadPoolExecutor(1) as pool:
            produced = pool.submit(self._produce)
            try:
                yield
            finally:
                self._enough.set()
            produced.result()

    def _produce(self) -> None:
        for number, way in enumerate(itertools.cycle(self._ways)):
            if self._enough.wait(0.004):
                self._huey.close()
                return
            call, lines = way(f"{number}")
            try:
                call()
                self.accepted[f"{number}"] = Counter(lines)
            except BackendError:
                self.in_doubt[f"{number}"] = Counter(lines)

    def _plain(self, key: str) -> tuple[Call, list[tuple[str, str]]]:
        return lambda: self._tasks.note(key), [("ran", key)]

    def _failing(self, key: str) -> tuple[Call, list[tuple[str, str]]]:
        return lambda: self._tasks.fail_first(key, 1), [("ran", key)] * 2

    def _pipeline(self, key: str) -> tuple[Call, list[tuple[str, str]]]:
        steps = self._tasks.spell.s(key, 0).then(self._tasks.follow, key)
        return lambda: self._huey.enqueue(steps), [("began", key), ("ended", key), ("followed", key)]

    def _chord(self, key: str) -> tuple[Call, list[tuple[str, str]]]:
        members = [self._tasks.spell.s(f"{key}-{number}", 0) for number in range(2)]
        whole = chord(members, self._tasks.follow.s(key))
        lines = [(word, f"{key}-{number}") for word in ("began", "ended") for number in range(2)]
        return lambda: self._huey.enqueue(whole), [*lines, ("followed", key)]

    def _delayed(self, key: str) -> tuple[Call, list[tuple[str, str]]]:
        return lambda: self._tasks.note.schedule((key,), delay=0.2), [("ran", key)]


class Scene(NamedTuple):
    """Where a fault is tried.

    :ivar bench: looks at the server itself, past the proxy.
    """

    place: str
    server: Server
    bench: Bench
    kind: str


@pytest.fixture
def scene(request: pytest.FixtureRequest, name: str, tmp_path: Path) -> Iterator[Scene]:
    place, kind = request.param
    server = request.getfixturevalue(place)
    with open_bench(request, server.url, name, tmp_path) as bench:
        yield Scene(place, server, bench, kind)


def scenes(first: int, only: str = "") -> list[Any]:
    """Both servers (or `only` one), each with another kind of workers, and at full size both with all of them."""
    kinds = list(KINDS)
    return [
        pytest.param(
            (place, kind), id=f"{place}-{kind}", marks=[] if turn == 0 and only in ("", place) else [pytest.mark.long]
        )
        for shift, place in enumerate(SOON)
        for turn, kind in enumerate(kinds[(first + shift) % 3 :] + kinds[: (first + shift) % 3])
    ]


@pytest.mark.parametrize(
    ("scene", "fault"),
    [
        pytest.param(*scene.values, fault, id=f"{fault}-{scene.id}", marks=scene.marks)
        for number, fault in enumerate(FAULTS)
        for scene in scenes(number)
    ],
    indirect=["scene"],
)
def test_a_fault_that_comes_and_goes_loses_and_repeats_nothing(scene: Scene, fault: str, long: bool) -> None:
    bench, began = scene.bench, time.time()
    with Proxy(scene.server) as proxy:
        url = proxy.url + SOON[scene.place]
        consumer = bench.consumer(scene.kind, 2, environment={"NEPHEW_URL": url, "TEST_CLOCK": "1"})
        producer = Producer(bench.huey.name, url)
        with producer.at_work():
            for turn in range(12 if long else 1 if fault == "drop" else 3):
                await_progress(bench, producer)
                with proxy.suffering(FAULTS[fault](turn)) as suffered:
                    since = time.monotonic()
                    eventually(lambda since=since: time.monotonic() - since > LASTS.get(fault, 0.3))
                    eventually(lambda suffered=suffered: suffered.hits > 0)
            await_progress(bench, producer)
        await_all_ended(bench)
        assert consumer.stop() == 0

    assert_each_ran_once(bench, producer, began)
    assert_each_was_settled_once(bench)
    is_said = "trying again" in consumer.log() or "connecting again" in consumer.log()
    assert is_said == (fault != "delay"), consumer.log()


def await_progress(bench: Bench, producer: Producer) -> None:
    """The consumer and the producer go on, by themselves."""
    ran, stored = len(bench.runs()), len(producer.accepted)
    eventually(lambda: len(bench.runs()) > ran + 20 and len(producer.accepted) > stored + 20, 30)


def await_all_ended(bench: Bench) -> None:
    def ended() -> None:
        waiting = {state: count for state, count in bench.huey.backend.counts().items() if state not in ENDED and count}
        assert not waiting, f"{waiting}\n{bench.logs()}"

    eventually(ended, 30)


def assert_each_ran_once(bench: Bench, producer: Producer, began: float) -> None:
    """No fault was longer than a lease, nor did it end a process: nothing may be repeated, and nothing half done."""
    ran = Counter((run.word, run.key) for run in bench.runs() if run.word != "tick")
    assert sum(producer.accepted.values(), Counter()) <= ran, "lost"
    done = {key: lines for key, lines in producer.in_doubt.items() if lines.keys() & ran.keys()}
    assert sum((producer.accepted | done).values(), Counter()) == ran
    ticks = bench.runs("tick")
    assert 1 <= len(ticks) <= ticks[-1].at - began + 1


def assert_each_was_settled_once(bench: Bench) -> None:
    ends = Counter(event.job for event in bench.huey.events("0", block=0) if event.state in ENDED)
    assert set(ends.values()) == {1}
    counts = bench.huey.backend.counts()  # a last tick may still be waiting
    assert sum(counts.get(state, 0) for state in ENDED) == len(ends)


def test_a_postgres_that_is_restarted_amid_work_loses_and_repeats_nothing(
    postgres_bench: Bench, postgres: PostgresServer, long: bool
) -> None:
    """In turn as by an operator, and by a crash."""
    bench, began = postgres_bench, time.time()
    consumer = bench.consumer("process", 2, environment={"TEST_CLOCK": "1"})
    producer = Producer(bench.huey.name, bench.url)
    with producer.at_work():
        for stop in [postgres.stop, postgres.crash] * (5 if long else 1):
            await_progress(bench, producer)
            stop()
            postgres.start()
        await_progress(bench, producer)
    await_all_ended(bench)
    assert consumer.stop() == 0

    assert_each_ran_once(bench, producer, began)
    assert_each_was_settled_once(bench)
    assert "trying again" in consumer.log()


# -- frozen ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", scenes(1, "redis"), indirect=True)
def test_sigterm_ends_a_consumer_in_time_whose_server_is_frozen(scene: Scene) -> None:
    bench, drain = scene.bench, 1
    consumer = bench.consumer(scene.kind, 2, "-t", str(drain))
    results = [bench.tasks.spin(f"held-{number}", 2) for number in range(2)]
    for number in range(2):
        bench.await_run("began", f"held-{number}")

    with scene.server.frozen():
        asked = time.monotonic()
        consumer.send(signal.SIGTERM)
        consumer.wait(drain + LAST_WORD + 10)
        took = time.monotonic() - asked
        eventually(lambda: not consumer.group())

    assert took < drain + LAST_WORD + LAST_CALL + 3, consumer.log()
    consumer.start()
    for result in results:
        job = bench.await_state(result, "succeeded")
        assert len(bench.runs("ended", result.get())) <= 2  # the server could not be told of a first end
        assert job.crashes == 0


@pytest.mark.parametrize("scene", scenes(1, "postgres"), indirect=True)
def test_a_second_sigterm_ends_it_without_the_drain_and_charges_no_job_that_does_not_listen(scene: Scene) -> None:
    bench = scene.bench
    consumer = bench.consumer(scene.kind, 2, "-t", "300")
    deaf = bench.tasks.swallow("deaf", 1000)
    bench.await_run("began", "deaf")

    with scene.server.frozen():
        consumer.send(signal.SIGTERM)
        eventually(lambda: "Received SIGTERM" in consumer.log())
        asked = time.monotonic()
        consumer.send(signal.SIGTERM)
        consumer.wait()
        took = time.monotonic() - asked
        eventually(lambda: not consumer.group())

    assert took < LAST_WORD + LAST_CALL + 3, consumer.log()
    Reaper(bench.huey).reap()
    job = bench.job(deaf)
    assert (job.state, job.crashes, job.attempts) == ("queued", 0, ())


@pytest.mark.long
@pytest.mark.parametrize("kind", ["process", "thread"])
def test_a_server_that_is_slow_at_each_step_has_its_time_at_each(
    kind: str, postgres_bench: Bench, postgres: PostgresServer
) -> None:
    """Together they take longer than one of them may."""
    bench = postgres_bench
    with Proxy(postgres) as proxy:
        consumer = bench.consumer(kind, 4, "-t", "0.5", environment={"NEPHEW_URL": proxy.url})
        deaf = [bench.tasks.swallow(f"deaf-{number}", 1000) for number in range(4)]
        for number in range(4):
            bench.await_run("began", f"deaf-{number}")
        with proxy.suffering(Delay(0.12)):
            assert consumer.stop() == 0

    assert bench.huey.backend.workers() == []
    assert {(job.state, job.crashes) for job in map(bench.job, deaf)} == {("queued", 0)}


def test_a_caller_waits_for_a_frozen_server_for_a_limited_time(scene_of_callers: tuple[Server, str], name: str) -> None:
    server, url = scene_of_callers
    huey = Nephew(name, url)
    tasks = jobs.install(huey)
    tasks.note("before")

    with server.frozen():
        asked = time.monotonic()
        with pytest.raises(BackendError):
            tasks.note("meanwhile")
        took = time.monotonic() - asked

    assert 1 < took < 8  # silence, a second connection in vain, and a third one to repeat it on
    tasks.note("afterwards")
    assert huey.backend.counts()["queued"] in (2, 3)  # a server that goes on may still do what it was asked
    huey.close()


@pytest.fixture(params=SOON)
def scene_of_callers(request: pytest.FixtureRequest) -> tuple[Server, str]:
    server = request.getfixturevalue(request.param)
    visits.opened(server.url)
    return server, server.url + SOON[request.param].replace("&", "?", 1)


def test_a_postgres_that_takes_its_time_is_not_taken_for_frozen(postgres: PostgresServer, name: str) -> None:
    huey = Nephew(name, postgres.url + SOON["postgres"].replace("&", "?", 1))
    asked = time.monotonic()

    assert huey.backend.read("SELECT 1 FROM pg_sleep(2.5)") == [(1,)]

    assert time.monotonic() - asked > 2.5
    huey.close()
