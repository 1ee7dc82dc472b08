"""Where the kill matrix is played: real consumers, one of their processes held at a failpoint, and the blow."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any, NamedTuple

from nephew import presence
from tests.consumers import Bench, Consumer
from tests.eventually import eventually
from tests.failpoints import Failpoints
from tests.integration.apps import acts  # noqa: F401  # whose jobs are every bench's
from tests.leftovers import is_running
from tests.matrix import BURYING, SETTLING, STUCK, VIOLENT, Blow, Cell, Place
from tests.scene import ALLOWANCE, Scene, ends_since

LEASE = 0.6
SHORT: dict[str, Any] = {"lease": LEASE, "heartbeat": 0.2, "reaper": 0.15, "drain": 3}

#: What consumers say of themselves.
STARTED, STALLED = " started: ", "has been stopped for"
SHUTDOWN, INTERRUPTING = "Shutting down", "interrupting workers"


class Held(NamedTuple):
    """A process of a consumer that waits at a failpoint.

    :ivar since: when it came there; of one that buries another, when that had died (epoch seconds).
    :ivar said: how much its consumer had said before.
    """

    consumer: Consumer
    place: Place
    since: float
    pid: int
    said: int

    def news(self) -> str:
        """What the consumer has said since it was led there: it may have shut down and restarted before."""
        return self.consumer.log()[self.said :]

    @property
    def heeds_signals(self) -> bool:
        """Whether it is who a signal to the consumer is meant for; a thread of it waits, or a child."""
        return self.consumer.kind == "process" and self.pid == self.consumer.pid


class Stage:
    """Plays cells one after the other; a consumer that survives one serves the next."""

    def __init__(self, bench: Bench, kind: str) -> None:
        self.bench, self.kind = bench, kind
        self.points = Failpoints(bench.folder / "points")
        self.scene: Scene
        self._first_event = bench.huey.backend.latest_event()
        self._consumer: Consumer | None = None
        self._played = 0

    def play(self, cell: Cell) -> int:
        """How many jobs were run again.

        :raises AssertionError: saying what is wrong after which blow.
        """
        try:
            return self._play(cell)
        except AssertionError as error:
            raise AssertionError(f"{cell}: {error}") from error

    def close(self) -> None:
        """Nothing has ended twice, also of what somebody has brought late."""
        if self._consumer is not None:
            self.dismiss(self._consumer)
        twice = [job for job, count in ends_since(self.bench.huey, self._first_event).items() if count > 1]
        assert not twice, f"ended twice: {twice}"

    def _play(self, cell: Cell) -> int:
        self._played += 1
        held = self._lead_to(cell.place)
        if cell.blow in VIOLENT and held.place not in STUCK:  # by then it has settled what finished before it was held
            eventually(lambda: time.time() > held.since + ALLOWANCE)
        struck_at = time.time()
        DEALT[cell.blow](self, held)
        self.points.let_go(held.place)
        self._await_end(held)
        return self.scene.check(cell, held.since if held.place in STUCK else struck_at)

    def _lead_to(self, place: Place) -> Held:
        """Have a consumer do all kinds of work until one of its processes is held at this failpoint."""
        if place is Place.REGISTERED and self._consumer is not None:
            self.dismiss(self._consumer)
            self._consumer = None
        if place in BURYING or place is Place.BEFORE_RETIRE:  # not who comes there while he starts
            self.present().await_ready()
        self.points.hold(place)
        self.scene = Scene(self.bench, f"{self._played}")
        consumer = self.present()
        said = len(consumer.log())
        if place in BURYING:
            return Held(consumer, place, self._bury_somebody(consumer), self.points.await_held(place), said)
        if place is Place.BEFORE_RETIRE:
            consumer.send(signal.SIGTERM)
        pid = self.points.await_held(place)
        return Held(consumer, place, self.points.held_since(place), pid, said)

    def present(self) -> Consumer:
        """The consumer of these jobs; a new one where there is none."""
        if self._consumer is None:
            self._consumer = self.another()
        return self._consumer

    def _bury_somebody(self, consumer: Consumer) -> float:
        """Give the reaper something to do; when that died. Threads die with a consumer of their own."""
        if self.kind == "process":
            os.kill(consumer.worker_pids()[0], signal.SIGKILL)
        else:
            victim = self.another()
            victim.await_ready()
            victim.kill()
        return time.time()

    def _await_end(self, held: Held) -> None:
        """Everything has ended, in a new consumer if the old one is gone, with all its processes."""
        if held.place is Place.BEFORE_RETIRE:
            held.consumer.wait()
        if not held.consumer.is_running():
            self._consumer = self.another()
            eventually(lambda: not held.consumer.group(), 10)
        self.scene.await_end()
        if not is_running(held.pid):
            self._discard_files()

    def _discard_files(self) -> None:
        """A process that dies before it has registered leaves a file, and so does a reaper that dies in its work.

        Consumers that start sweep them away after a day.
        """
        known = [row.incarnation for row in self.bench.huey.backend.workers()]
        for path in self.bench.run_dir.iterdir():
            if path.name not in known and presence.look(str(path), path.name).alive is False:
                path.unlink()

    def stalls(self) -> int:
        """How often consumers have said that a process was stopped for longer than its lease."""
        return sum(consumer.log().count(STALLED) for consumer in self.bench.consumers)

    def another(self) -> Consumer:
        """A consumer more."""
        environment = self.points.variables | {"TEST_CLOCK": "1"}
        return self.bench.consumer(self.kind, 2, ready=False, environment=environment, **SHORT)

    def dismiss(self, consumer: Consumer) -> None:
        """End it in peace."""
        consumer.await_ready()
        assert consumer.stop() == 0, f"{consumer.log_path.name}: exit code"


def _kill_worker(stage: Stage, held: Held) -> None:
    held_worker = held.pid != held.consumer.pid
    os.kill(held.pid if held_worker else eventually(lambda: _registered_worker(stage, held)), signal.SIGKILL)


def _registered_worker(stage: Stage, held: Held) -> int:
    """One whose death somebody will see to: who dies before he has registered leaves a file."""
    known = {row.pid for row in stage.bench.huey.backend.workers()}
    registered = known.intersection(held.consumer.worker_pids())
    assert registered
    return max(registered)


def _kill_consumer(stage: Stage, held: Held) -> None:
    held.consumer.send(signal.SIGKILL)
    held.consumer.wait()


def _end(signum: int, group: bool = False) -> Callable[[Stage, Held], None]:
    def end(stage: Stage, held: Held) -> None:
        (held.consumer.send_group if group else held.consumer.send)(signum)
        _await_shutdown(held)
        stage.points.let_go(held.place)
        assert held.consumer.wait() == 0, "exit code"

    return end


def _end_twice(stage: Stage, held: Held) -> None:
    held.consumer.send(signal.SIGINT)
    _await_shutdown(held)
    held.consumer.send(signal.SIGINT)
    if not held.heeds_signals:
        eventually(lambda: INTERRUPTING in held.news())
    if held.heeds_signals or held.place in SETTLING:  # at once means: when the step of the store is over
        stage.points.let_go(held.place)
    assert held.consumer.wait() == 0, "exit code"


def _restart(stage: Stage, held: Held) -> None:
    held.consumer.send(signal.SIGHUP)
    _await_shutdown(held)
    stage.points.let_go(held.place)
    if held.place is not Place.BEFORE_RETIRE:  # who was told to end does not start anew
        eventually(lambda: STARTED in held.news().partition(SHUTDOWN)[2], 20)


def _await_shutdown(held: Held) -> None:
    if not held.heeds_signals:
        eventually(lambda: SHUTDOWN in held.news())


def _stall(stage: Stage, held: Held) -> None:
    stalls = stage.stalls()
    claims = held.pid in [row.pid for row in stage.bench.huey.backend.workers()]
    eventually(lambda: _stop(held.pid, stage.bench))
    over = time.monotonic() + 1.5 * LEASE
    alone = held.pid == held.consumer.pid or held.place is Place.BEFORE_RETIRE
    helper = stage.another() if alone else None
    if claims:
        eventually(lambda: stage.stalls() > stalls, 20)
    eventually(lambda: time.monotonic() > over)
    with suppress(ProcessLookupError):
        os.kill(held.pid, signal.SIGCONT)
    stage.points.let_go(held.place)
    if helper is not None:
        stage.dismiss(helper)


def _stop(pid: int, bench: Bench) -> None:
    """Stop a process, but not in the middle of a transaction, for whose locks everybody would wait."""
    os.kill(pid, signal.SIGSTOP)
    try:
        _assert_no_transaction(bench)
    except AssertionError:
        os.kill(pid, signal.SIGCONT)
        raise


def _assert_no_transaction(bench: Bench) -> None:
    if bench.url.startswith("sqlite"):
        try:
            with closing(sqlite3.connect(bench.url.removeprefix("sqlite:///"), timeout=0.1)) as connection:
                connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError as error:
            raise AssertionError(str(error)) from error
    elif bench.url.startswith("postgres"):
        open_ones = "SELECT pid FROM pg_stat_activity WHERE state <> 'idle' AND pid <> pg_backend_pid()"
        assert not bench.huey.backend.read(open_ones, ()), "a transaction is open"


def _lose(step: Place) -> Callable[[Stage, Held], None]:
    def lose(stage: Stage, held: Held) -> None:
        stage.points.lose(step)
        stage.points.let_go(held.place)
        stage.scene.add("extra")
        stage.points.await_lost(step)

    return lose


DEALT: dict[Blow, Callable[[Stage, Held], None]] = {
    Blow.WORKER_KILLED: _kill_worker,
    Blow.CONSUMER_KILLED: _kill_consumer,
    Blow.TERM: _end(signal.SIGTERM),
    Blow.INT: _end(signal.SIGINT),
    Blow.TWICE_INT: _end_twice,
    Blow.GROUP_TERM: _end(signal.SIGTERM, group=True),
    Blow.HUP: _restart,
    Blow.STALLED: _stall,
    Blow.CLAIM_LOST: _lose(Place.CLAIMED),
    Blow.SETTLE_LOST: _lose(Place.SETTLED),
}
