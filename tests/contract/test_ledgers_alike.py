"""Whatever schedulers do, in whatever order: the ledger of each backend says the same, and that is complete."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from typing import Any

import pytest

from nephew.backends.contract import Backend
from nephew.backends.records import NewJob
from nephew.backends.schedules import Decision, Fate, NewTick
from nephew.job import ENDED
from nephew.opening import open_backend
from nephew.settings import Settings
from tests.contract.deciding import NOON
from tests.contract.jobs import Hand, failed, job, succeeded
from tests.places import on

SCHEDULES = ("allow", "queue", "skip")

other_url = on("postgres", "redis")


class Pair:
    """Two backends that all is done to, by chance; what they answer is the same."""

    def __init__(self, backends: list[Backend], seed: int) -> None:
        self._backends, self._chance = backends, random.Random(seed)
        self._ids = (f"job-{number}" for number in range(10_000))
        self._moments = itertools.count(NOON)
        self._seen = dict.fromkeys(SCHEDULES, NOON)
        self._due: dict[str, set[float]] = {name: set() for name in SCHEDULES}
        self.did: Counter[str] = Counter()
        self._hands = [Hand(backend) for backend in backends]
        self._do("begin_schedules", SCHEDULES, NOON)

    def _do(self, verb: str, *args: Any) -> Any:
        """Do it to both; what both answer."""
        one, other = (_shown(getattr(backend, verb)(*args)) for backend in self._backends)
        assert one == other, f"{verb}{args} was answered with\n{one}, and with\n{other}"
        self.did[verb] += bool(one)
        return one

    def step(self) -> None:
        steps = [
            self.decide,
            self.decide,
            self.decide,
            self.run,
            self.end,
            self.end,
            self.release,
            self.others,
            self.others,
        ]
        self._chance.choice(steps)()

    def compare(self) -> None:
        for name in SCHEDULES:
            rows = self._do("ticks", name, 10_000)
            assert self._due[name] <= {row[1] for row in rows}
        assert [row[:2] for row in self._do("schedules")[1]] == sorted(self._seen.items())

    # -- steps --------------------------------------------------------------------------------------
    def _job(self) -> NewJob:
        key = self._chance.choice((None, None, "one", "two"))
        return job(next(self._ids), unique_key=key)

    def decide(self) -> None:
        decisions = [self._decision(name) for name in self._chance.sample(SCHEDULES, self._chance.randint(1, 3))]
        for decision, (taken, seen, _) in zip(decisions, self._do("decide", decisions), strict=True):
            assert taken == (decision.seen == self._seen[decision.schedule])
            self._seen[decision.schedule] = seen
            self._due[decision.schedule] |= {tick.due for tick in decision.ticks} if taken else set()

    def _decision(self, name: str) -> Decision:
        seen = self._seen[name] - self._chance.choice((0, 0, 0, 1))
        dues = [seen + number for number in range(1, self._chance.randint(1, 4) + 1)]
        ticks = [NewTick(due, self._job(), Fate.ENQUEUED) for due in dues[1:]]
        return Decision(name, seen, dues[-1], name, (NewTick(dues[0], None, Fate.MISSED, "down"), *ticks))

    def run(self) -> None:
        name = self._chance.choice(SCHEDULES)
        self._do("run_tick", name, self._seen[name] - 0.5, self._job())

    def end(self) -> None:
        how, limit = self._chance.choice((succeeded, succeeded, failed)), self._chance.randint(1, 3)
        ended_at = next(self._moments)
        for hand in self._hands:
            if claimed := hand.claim(limit):
                hand.settle(*(how(each, finished_at=ended_at) for each in claimed))

    def release(self) -> None:
        ready = self._do("release_ticks")
        for schedule, due in ready:
            self._do(
                *self._chance.choice((("release", schedule, due, self._job()), ("skip_tick", schedule, due, "no")))
            )
        self._do("release", "queue", self._seen["queue"], self._job())

    def others(self) -> None:
        name, moment = self._chance.choice(SCHEDULES), self._chance.choice((NOON, None, None))
        states = sorted(ENDED)
        ended = [row.id for row in self._backends[0].rows(limit=None) if row.state in states]
        verbs: list[tuple[Any, ...]] = [
            ("close_ticks",),
            ("close_ticks",),
            ("pause_schedule", name, moment),
            ("delete_jobs", self._chance.sample(ended, min(2, len(ended)))),
            ("schedules_version",),
            ("mark_lapse", name, self._chance.choice((None, "told")), self._chance.choice((None, "told"))),
            ("ticks", name, 3, self._seen[name] - 2),
        ]
        self._do(*self._chance.choice(verbs))


def _shown(answer: Any) -> Any:
    """Without the times of what was written when, and which of equals came first."""
    if isinstance(answer, list | tuple):
        fields = getattr(answer, "_fields", ())
        times = [fields.index(field) for field in ("written_at",) if field in fields]
        if "ended_at" in fields and answer.state == "forgotten":
            times.append(fields.index("ended_at"))
        return tuple(None if index in times else _shown(value) for index, value in enumerate(answer))
    return answer


@pytest.mark.parametrize("seed", range(3))
def test_every_sequence_of_steps_leaves_the_same_ledger_on_each_backend(
    other_url: str, name: str, seed: int, long: bool
):
    backends = [open_backend(name, url, None, None, "", Settings()) for url in ("memory://", other_url)]
    pair = Pair(backends, seed)

    for number in range(2_000 if long else 250):
        pair.step()
        if number % 10 == 0:
            pair.compare()
    pair.compare()

    expected = {"decide", "run_tick", "release", "skip_tick", "close_ticks", "pause_schedule", "mark_lapse"}
    assert not expected - {verb for verb, count in pair.did.items() if count}
    for backend in backends:
        backend.close()
