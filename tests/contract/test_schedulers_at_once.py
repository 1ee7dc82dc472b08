"""Several schedulers on one ledger that are killed, and replies that are lost: each tick once, and none left out."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from nephew.backends.contract import Backend
from nephew.job import State
from nephew.opening import open_backend
from nephew.settings import Settings
from tests.contract.deciding import NOON, begun, decide, decision, ends, fates, stored, tick
from tests.contract.jobs import job
from tests.proxies import Cutter, Detour

#: Each schedule is called after its overlap.
SCHEDULES = ("allow", "queue", "skip")


def opened(name: str, url: str) -> Backend:
    return open_backend(name, url, None, None, "", Settings())


class Schedulers:
    """Processes that decide the same schedules, once a second of theirs."""

    def __init__(self, name: str, url: str, until: float) -> None:
        self._name, self._url, self._until = name, url, until
        self._pids: list[int] = []

    def start(self) -> None:
        pid = os.fork()
        if pid:
            self._pids.append(pid)
            return
        try:
            self._decide_all(opened(self._name, self._url))
            os._exit(0)
        finally:
            os._exit(1)

    def _decide_all(self, backend: Backend) -> None:
        seen = dict.fromkeys(SCHEDULES, NOON)
        while behind := [name for name in SCHEDULES if seen[name] < self._until]:
            given = [decision(tick(seen[name] + 1), schedule=name, seen=seen[name], overlap=name) for name in behind]
            for name, decided in zip(behind, decide(backend, *given), strict=True):
                seen[name] = decided.seen

    def kill_one(self, chance: random.Random) -> None:
        pid = chance.choice(self._pids)
        self._pids.remove(pid)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

    def join(self) -> list[int]:
        return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in self._pids]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.long), pytest.param(2, marks=pytest.mark.long), 5])
def test_schedulers_that_are_killed_leave_each_tick_once_and_none_out(
    backend_url: str, name: str, count: int, long: bool
):
    kills, seconds = (100, 3_000) if long else (5, 100)
    chance = random.Random(count)
    backend = begun(opened(name, backend_url), *SCHEDULES)
    backend.close()
    schedulers = Schedulers(name, backend_url, NOON + seconds)
    for _ in range(count):
        schedulers.start()

    for kill in range(kills):
        while min(row.seen for row in backend.schedules()[1]) < NOON + seconds * kill / kills:
            pass  # it is read, so this is no rush
        backend.close()
        schedulers.kill_one(chance)
        schedulers.start()

    assert schedulers.join() == [0] * count
    found = {each: fates(backend, each) for each in SCHEDULES}
    for each in SCHEDULES:
        assert [round(minute * 60) for minute, *_ in found[each]] == list(range(1, seconds + 1))
    assert {fate for _, fate, _ in found["allow"]} == {"enqueued"}
    assert [fate for _, fate, _ in found["queue"]] == ["enqueued"] + ["waiting"] * min(1000, seconds - 1) + [
        "skipped"
    ] * (seconds - 1001)
    assert [fate for _, fate, _ in found["skip"]] == ["enqueued"] + ["skipped"] * (seconds - 1)
    ids = {row.job for each in SCHEDULES for row in backend.ticks(each, seconds) if row.job}
    assert {row.id for row in backend.rows(limit=None)} == ids and len(ids) == seconds + 2
    backend.close()


# -- lost replies ---------------------------------------------------------------------------------------
#: The steps that write, and the scripts that do so on Redis.
SCRIPTS = ("decide", "release_tick", "run_tick", "close_ticks", "mark_lapse", "pause_schedule", "define_schedule")

#: Does a step whose reply is lost, and with it the connection.
Lose = Callable[[Callable[[], Any]], Any]


@contextmanager
def losing_on_postgres(server: Any, name: str) -> Iterator[tuple[Backend, Lose]]:
    with Cutter(server, swallow=True) as cutter:
        backend = opened(name, cutter.url)
        backend.now()

        def lose(act: Callable[[], Any]) -> Any:
            cuts = cutter.cuts
            cutter.cut_next()
            answer = act()
            assert cutter.cuts == cuts + 1
            return answer

        yield backend, lose
        backend.close()


@contextmanager
def losing_on_redis(server: Any, name: str) -> Iterator[tuple[Backend, Lose]]:
    with Detour(server, losing=SCRIPTS) as detour:
        backend = opened(name, detour.url)

        def lose(act: Callable[[], Any]) -> Any:
            lost = detour.lost.total()
            answer = act()
            assert detour.lost.total() == lost + 1
            return answer

        yield backend, lose
        backend.close()


@pytest.fixture(params=["postgres", "redis"])
def losing(request: pytest.FixtureRequest, name: str) -> Iterator[tuple[Backend, Lose]]:
    """A backend, and what has the reply to a step be lost."""
    way = losing_on_postgres if request.param == "postgres" else losing_on_redis
    with way(request.getfixturevalue(request.param), name) as both:
        yield both


def test_a_decision_whose_reply_is_lost_is_written_once_and_is_known_as_ones_own(losing: tuple[Backend, Lose]):
    backend, lose = losing
    begun(backend, "hourly", "other")
    given = decision(tick(NOON + 60, job("a")), tick(NOON + 120), overlap="skip")
    others = decision(tick(NOON + 60), schedule="other", seen=NOON - 60)

    mine, not_mine = lose(lambda: decide(backend, given, others))

    assert (mine.taken, mine.seen) == (True, NOON + 120)
    assert [fate[1:] for fate in mine.fates] == [("enqueued", ""), ("skipped", "job a is queued")]
    assert (not_mine.taken, not_mine.seen) == (False, NOON)
    assert (len(backend.ticks("hourly")), backend.waiting_count()) == (2, 1)


def test_single_steps_whose_replies_are_lost_are_done_once(losing: tuple[Backend, Lose]):
    backend, lose = losing
    begun(backend)
    assert lose(lambda: backend.run_tick("hourly", NOON + 30, job("a"))) == "enqueued"
    decide(backend, decision(tick(NOON + 60), overlap="queue"))
    ends(backend, "a")

    lose(lambda: backend.close_ticks())
    assert lose(lambda: backend.release("hourly", NOON + 60, job("b")))
    assert lose(lambda: backend.mark_lapse("hourly", None, "telling 1"))
    lose(lambda: backend.define_schedule("hourly", "{}", None, False, NOON + 60))
    lose(lambda: backend.pause_schedule("hourly", NOON))

    assert fates(backend) == [(0.5, "enqueued", "by hand"), (1, "enqueued", "")]
    assert [row.state for row in backend.ticks("hourly")] == [State.QUEUED, State.SUCCEEDED]
    row = stored(backend)
    assert (row.definition, row.lapse, row.paused_at) == ("{}", "telling 1", NOON)
    assert row.succeeded_at == backend.ticks("hourly")[1].ended_at
