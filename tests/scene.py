"""The mixed load of one cell of the kill matrix, and its books: what ran, what ended, what followed, what is left."""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from huey.api import chord

from nephew import Nephew
from nephew.backends.records import Row
from nephew.job import ENDED, Relation, State
from tests import ledger
from tests.consumers import Bench, Run
from tests.eventually import eventually
from tests.matrix import Cell, crashes, loses, repeats

#: What had finished so long (seconds) before the blow is not repeated: what the design promises …
SETTLED_AFTER = 0.010
#: … and what the settle itself may take here, where all cores are busy. `test_kill.py` measures it more narrowly.
MARGIN = 0.250
ALLOWANCE = SETTLED_AFTER + MARGIN

#: The schedule that comes due every second.
CLOCK = "tests.integration.apps.jobs.tick"


class Part(NamedTuple):
    """What has to become of one job; `key` is what it calls itself in the file of runs."""

    key: str
    state: State
    result: str | None


class Scene:
    """Jobs of each kind, enqueued together, and what has to become of each."""

    def __init__(self, bench: Bench, name: str) -> None:
        self._bench, self._name = bench, name
        self._first_event = bench.huey.backend.latest_event()
        self._before = {row.id for row in self._rows()}
        self._expected: dict[str, Part] = {}
        self._lost = False
        self._enqueue()

    def _enqueue(self) -> None:
        tasks, enqueue = self._bench.tasks, self._bench.huey.enqueue
        self._note(tasks.locked(self._key("locked")), "locked")
        self.add("plain")
        self._note(tasks.stumble(self._key("stumble")), "stumble")
        first, second = enqueue(tasks.play.s(self._key("first")).then(tasks.encore, self._key("second")))
        self._note(first, "first")
        self._note(second, "second", value="first second")
        members = [tasks.play.s(self._key(key)) for key in ("alto", "bass")]
        called = enqueue(chord(members, tasks.curtain.s(self._key("curtain"))))
        for member, key in zip(members, ("alto", "bass"), strict=True):
            self._note(member, key)
        self._note(called.callback, "curtain", value="alto bass curtain")
        failing = tasks.flop.s(self._key("flop")).error(tasks.excuse, self._key("excuse"))
        flop, never = enqueue(failing.then(tasks.encore, self._key("never")))
        self._note(flop, "flop", State.FAILED)
        self._note(never, "never", State.CANCELLED)
        self._note(failing.on_error, "excuse")
        self._once = self._note(tasks.premiere(self._key("once")), "once")
        self._note(tasks.solo(self._key("unique")), "unique")
        self._note(tasks.play.schedule((self._key("delayed"),), delay=0.1), "delayed")
        self._note(tasks.call(self._key("caller")), "caller")

    def add(self, key: str) -> None:
        """One plain job more."""
        self._note(self._bench.tasks.play(self._key(key)), key)

    def _note(self, handle: Any, key: str, state: State = State.SUCCEEDED, value: str = "") -> str:
        result = " ".join(map(self._key, (value or key).split())) if state == State.SUCCEEDED else None
        self._expected[handle.id] = Part(self._key(key), state, result)
        return str(handle.id)

    def _key(self, key: str) -> str:
        return f"{self._name}-{key}"

    def await_end(self) -> None:
        """Return when all of it has ended, and what followed from it."""

        def ended() -> list[Row]:
            rows = [row for row in self._rows() if row.id not in self._before]
            missing = self._expected.keys() - {row.id for row in rows}
            assert not missing, f"missing: {[self._expected[job][0] for job in missing]}"
            waiting = [f"{row.task} {row.id} is {row.state}" for row in rows if row.state not in ENDED]
            assert not waiting, f"not ended: {waiting}"
            return rows

        eventually(ended, 30)
        self._ended = eventually(ended, 30)  # a list of what moves may have missed something; nothing moves now

    def check(self, cell: Cell, settled_until: float) -> int:
        """Every promise; how many jobs were run again.

        :param settled_until: since when what finishes in the struck process is not settled.
        """
        self._note_calls()
        self._check_ends()
        self._check_records()
        self._check_crashes(cell)
        self._check_books()
        eventually(self._assert_ticks_once)
        return self._check_repeats(cell, settled_until)

    def _note_calls(self) -> None:
        """What the caller has enqueued, in each of its runs at most once, has to run as well."""
        calls = [row.id for row in self._ended if row.relation == Relation.CALL]
        began = len(self._bench.runs("began", self._key("caller")))
        assert 1 <= len(calls) <= began, f"{began} runs have enqueued {len(calls)} jobs"
        for call in calls:
            job = self._bench.huey.job(call)
            assert job is not None and job.args is not None
            self._expected[call] = Part(job.args[0], State.SUCCEEDED, job.args[0])

    def _assert_ended_once(self) -> None:
        ends = ends_since(self._bench.huey, self._first_event)
        wrong = {row.id: ends[row.id] for row in self._ended if ends[row.id] != 1}
        assert not wrong, f"ended as often: {wrong}"

    def _check_ends(self) -> None:
        """Each has ended once, and nothing is there that was not asked for."""
        eventually(self._assert_ended_once)  # on PostgreSQL events wait for transactions that began before
        others = {row.id for row in self._ended if row.relation != Relation.SCHEDULE}
        assert others == set(self._expected), f"nobody asked for {others - set(self._expected)}"

    def _check_records(self) -> None:
        """Each has run and its result is there; what may begin only once may be lost, and is recorded so."""
        assert len(self._runs("began", "once")) <= 1, "a job that may run at most once ran twice"
        for job_id, (key, state, result) in self._expected.items():
            job = self._bench.huey.job(job_id)
            assert job is not None
            outcomes = [attempt.outcome for attempt in job.attempts]
            if job_id == self._once and job.state == State.FAILED:
                assert outcomes == ["lost"], f"{key}: {job}"
                self._lost = True
            else:
                runs = state != State.CANCELLED
                assert (job.state, job.result, outcomes.count(state)) == (state, result, int(runs)), f"{key}: {job}"
                assert bool(self._bench.runs("ended", key)) == runs, f"{key}: expected {runs}, that it ran to its end"

    def _check_crashes(self, cell: Cell) -> None:
        """Only a kill of who runs a job is charged, unless the job may be begun only once and is lost."""
        charged = sum(row.crashes for row in self._ended)
        least, most = crashes(cell)
        assert least - self._lost <= charged <= most, f"expected {least} to {most} crashes, got {charged}"
        assert not self._lost or repeats(cell), "a job is lost"
        assert self._lost or not loses(cell), "a job that was begun and may be begun only once is not recorded as lost"

    def _check_books(self) -> None:
        """Nothing is claimed or locked, and nothing is left of keys, chords or places; the consumer works on."""
        backend = self._bench.huey.backend
        eventually(lambda: ledger.assert_in_order(ledger.of_backend(backend), ("worker", "file")))

    def _assert_ticks_once(self) -> None:
        """As many jobs as ticks were written."""
        backend = self._bench.huey.backend
        jobs = sum(row.relation == Relation.SCHEDULE for row in self._rows())
        ticks = sum(row.job is not None for row in backend.ticks(CLOCK, 100_000))
        assert jobs == ticks, f"{ticks} ticks have enqueued {jobs} jobs"

    def _check_repeats(self, cell: Cell, settled_until: float) -> int:
        """A blow repeats what was running, and what had finished in the last moment before it."""
        began = Counter(run.key for run in self._runs("began"))
        began -= Counter([self._key("stumble")])
        again = {key for key, count in began.items() if count > 1}
        assert not again or repeats(cell), f"run again: {again}"
        for key in again:
            for run in self._bench.runs("ended", key)[:-1]:
                early = settled_until - run.at
                assert early < ALLOWANCE, f"{key} had finished {early:.3f} s before it and ran again"
        return len(again)

    def _runs(self, word: str, key: str = "") -> list[Run]:
        runs = self._bench.runs(word)
        return [run for run in runs if run.key.startswith(self._key(key))]

    def _rows(self) -> list[Row]:
        return self._bench.huey.backend.rows(limit=None, longest=0)


def ends_since(huey: Nephew, after: str) -> Counter[str]:
    """For each job how often it has ended after this event."""
    ends: Counter[str] = Counter()
    while batches := huey.backend.events(after):
        ends.update(event.job for batch in batches for event in batch.events if event.state in ENDED)
        after = batches[-1].events[-1].id
    return ends
