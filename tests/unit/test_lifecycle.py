"""The life cycle as it is documented, as the code states it, and as real jobs live it: all three are the same."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from huey.api import Task
from huey.exceptions import CancelExecution

from nephew import Nephew, lane
from nephew.current import Running
from nephew.expiry import Expiry
from nephew.job import ENDED, TRANSITIONS, WAITING, State
from nephew.keeper import Keeper
from nephew.lane import Lane
from nephew.middleware import Run
from nephew.recovery import Reaper
from tests.eventually import eventually

PAGE = Path(__file__).resolve().parents[2] / "docs" / "lifecycle.md"

Pairs = set[tuple[str, str]]

#: Long after anything in these tests is due.
LATER = dt.datetime.now(dt.UTC).replace(tzinfo=None) + dt.timedelta(days=2)
HOUR = 3600

#: Every change of a state is written down by the database itself.
WATCH = (
    "CREATE TABLE walked (before TEXT, after TEXT)",
    "CREATE TRIGGER walk AFTER UPDATE OF state ON nephew_job WHEN old.state <> new.state"
    " BEGIN INSERT INTO walked VALUES (old.state, new.state); END",
    "CREATE TRIGGER born AFTER INSERT ON nephew_job BEGIN INSERT INTO walked VALUES ('', new.state); END",
)


# -- the page and the code ---------------------------------------------------------------------------


def test_the_page_lists_the_transitions_of_the_code() -> None:
    listed = pairs_in(fenced("transitions"), "->")

    assert listed == {(before, after) for before, following in TRANSITIONS.items() for after in following}


def test_the_diagram_shows_only_transitions_that_exist() -> None:
    drawn = pairs_in(fenced("mermaid"), "-->")

    assert drawn <= pairs_in(fenced("transitions"), "->")
    assert {before for before, _ in drawn} | {after for _, after in drawn} == set(State)


def test_the_page_explains_every_state() -> None:
    explained = re.findall(r"^\| `(\w+)` \| (.{20,}?) \|", PAGE.read_text(), re.MULTILINE)

    assert [state for state, _ in explained] == list(State)


def test_every_state_waits_runs_has_ended_or_is_parked() -> None:
    assert set(TRANSITIONS) == set(State)
    assert WAITING | ENDED | {State.RUNNING, State.PARKED} == set(State)
    assert all(state not in following for state, following in TRANSITIONS.items())


def fenced(kind: str) -> str:
    found = re.findall(rf"^```{kind}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(found) == 1, f"expected one ```{kind} block in {PAGE}, found {len(found)}"
    return str(found[0])


def pairs_in(text: str, arrow: str) -> Pairs:
    return set(re.findall(rf"^\s*([a-z]+) {arrow} ([a-z]+)\b", text, re.MULTILINE))


# -- the code and real jobs --------------------------------------------------------------------------


class Walk:
    """One instance whose jobs do as they are told, a worker for it, and what the database saw."""

    def __init__(self, url: str, name: str) -> None:
        self.huey, self.blind = Nephew(name, url, middleware=[self._before]), Nephew(name, url)
        self.huey.backend.migrate()
        for statement in WATCH:
            self.huey.backend.database.execute_sql(statement)
        self.orders: list[Callable[[], None]] = []
        self.work = self.huey.task(name="work")(self._work)
        self.lane = Lane(self.huey.worker)
        self.keeper, self.late = Keeper(self.huey.worker), 0

    def _before(self, job: Running, call_next: Run) -> None:
        if job.args:  # the function takes none
            self.show()
        call_next(job)

    def _work(self) -> None:
        while self.orders:
            self.orders.pop(0)()

    # -- what a job can be told ---------------------------------------------------------------------
    def show(self) -> None:
        """Run for so long that the job is shown as running, some time after the last one was."""
        self.late += 1
        self.keeper.keep(time.monotonic() + self.late)

    def fail(self) -> None:
        self.orders.clear()
        raise ValueError("as told")

    def cancel(self) -> None:
        self.orders.clear()
        raise CancelExecution(retry=False)

    # -- what can be done with a job ----------------------------------------------------------------
    def call(self, **options: Any) -> Task:
        """Enqueue a job."""
        task = self.work.s()
        vars(task).update(options)
        self.huey.enqueue(task)
        return task

    def step(self, *orders: Callable[[], None]) -> None:
        """Have the worker take and run one job, as a consumer's does."""
        self.orders[:] = orders
        claimed = self.lane.next()
        assert claimed is not None, "no job waits for a worker"
        self.lane.run(claimed)
        self.huey.worker.ledger.flush()

    def by_hand(self, task: Task, *orders: Callable[[], None], at: dt.datetime | None = LATER) -> None:
        self.orders[:] = orders
        self.huey.execute(task, at)

    def park(self, task: Task) -> None:
        """Let a consumer take it that does not know its task."""
        self.blind.dequeue()
        assert self.huey.job(task.id).state == "parked"  # type: ignore[union-attr]

    def seen(self) -> Pairs:
        return set(self.huey.backend.read("SELECT before, after FROM walked"))

    def close(self) -> None:
        for huey in (self.huey, self.blind):
            huey.sign_off()
            huey.backend.close()


@pytest.fixture
def walk(sqlite_url: str, name: str) -> Iterator[Walk]:
    opened = Walk(sqlite_url, name)
    try:
        yield opened
    finally:
        opened.close()


def test_real_jobs_take_every_transition_and_no_other(walk: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lane, "PATIENCE", 0.01)

    run_by_a_worker(walk)
    parked(walk)
    steered(walk)
    expired_while_waiting(walk)
    killed(walk)
    run_by_hand(walk)

    firsts = {after for before, after in walk.seen() if not before}
    changes = {pair for pair in walk.seen() if pair[0]}
    assert firsts == {"queued", "scheduled", "cancelled"}
    assert changes == {(before, after) for before, following in TRANSITIONS.items() for after in following}


def run_by_a_worker(walk: Walk) -> None:
    for shown in ([], [walk.show]):  # a short job, and one that is shown as running
        walk.call()
        walk.step(*shown)
        walk.call()
        walk.step(*shown, walk.fail)
        walk.call()
        walk.step(*shown, walk.cancel)
        walk.call(retries=1)  # again, at once
        walk.step(*shown, walk.fail)
        walk.step(*shown)
        walk.call(retries=1, retry_delay=HOUR)
        walk.step(*shown, walk.fail)
    walk.call(expires=dt.datetime(2020, 1, 1))
    walk.step()
    revoked = walk.call()
    walk.huey.revoke(revoked)
    walk.step()
    waits = walk.call(eta=LATER)
    assert walk.huey.job(waits.id).state == "scheduled"  # type: ignore[union-attr]
    walk.huey.backend.promote(time.time() + 3 * 24 * HOUR)  # also the retries that wait
    for _ in range(3):
        walk.step()
    first, second = walk.work.s(), walk.work.s()
    walk.huey.enqueue(first.then(second))
    walk.step(walk.fail)  # the second never runs
    assert walk.huey.job(second.id).state == "cancelled"  # type: ignore[union-attr]


def parked(walk: Walk) -> None:
    released, cancelled = walk.call(), walk.call()
    walk.park(released)
    assert walk.huey.job(cancelled.id).state == "parked"  # type: ignore[union-attr]  # dequeue() goes on
    walk.huey.retry(released.id)
    walk.step()
    walk.huey.cancel(cancelled.id)
    unfit = walk.call(args=(1,))
    walk.step()
    assert walk.huey.job(unfit.id).state == "parked"  # type: ignore[union-attr]


def steered(walk: Walk) -> None:
    """Cancelled, retried and enqueued again, by whoever calls."""
    walk.huey.cancel(walk.call().id)
    walk.huey.cancel(walk.call(eta=LATER).id)
    retrying = walk.call(retries=1, retry_delay=HOUR)
    walk.step(walk.fail)
    walk.huey.cancel(retrying.id)
    for end in (succeeded, failed, cancelled, expired):
        assert walk.huey.retry(end(walk).id)
        walk.step()
        task = end(walk)
        task.eta = LATER
        walk.huey.enqueue(task)
        walk.huey.cancel(task.id)


def expired_while_waiting(walk: Walk) -> None:
    """Found by the scheduler of a consumer that knows their task, and of one that does not."""
    for huey, expected in ((walk.huey, "expired"), (walk.blind, "parked")):
        retrying = walk.call(retries=1, retry_delay=HOUR)
        walk.step(walk.fail)
        queued, scheduled = walk.call(), walk.call()
        for task in (queued, scheduled):
            assert walk.huey.change(task.id, delay=HOUR)
        assert walk.huey.run_now(queued.id)
        for task in (queued, scheduled, retrying):
            assert walk.huey.change(task.id, expires=0)
        eventually(lambda: len(walk.huey.backend.expired()) == 3)
        Expiry(huey).step()
        found = {walk.huey.job(task.id).state for task in (queued, scheduled, retrying)}  # type: ignore[union-attr]
        assert found == {expected}


def succeeded(walk: Walk) -> Task:
    task = walk.call()
    walk.step()
    return task


def failed(walk: Walk) -> Task:
    task = walk.call()
    walk.step(walk.fail)
    return task


def cancelled(walk: Walk) -> Task:
    task = walk.call()
    walk.huey.cancel(task.id)
    return task


def expired(walk: Walk) -> Task:
    task = walk.call(expires=dt.datetime(2020, 1, 1))
    walk.step()
    task.expires = task.expires_resolved = None
    return task


def killed(walk: Walk) -> None:
    """A worker dies; its job is a suspect and has to wait until it can run alone."""

    def die() -> None:
        walk.show()
        registered = {worker.number: worker for worker in walk.huey.backend.workers()}
        Reaper(walk.blind).bury(registered[walk.huey.worker.number], "killed by a test")

    suspect = walk.call()
    walk.step(die)  # what it still does is not settled any more
    assert walk.huey.job(suspect.id).state == "queued"  # type: ignore[union-attr]
    with walk.huey.worker.gate.together():  # something else is running in the process
        walk.step()
    walk.huey.cancel(suspect.id)


def run_by_hand(walk: Walk) -> None:
    """`huey.execute(task)` takes a job in whatever waiting state it is."""
    for wait in (wait_scheduled, wait_retrying, wait_parked):
        walk.by_hand(wait(walk))
        walk.by_hand(wait(walk), walk.fail)
        walk.by_hand(wait(walk, retries=2, retry_delay=HOUR), walk.fail)
        walk.by_hand(wait(walk, expires=LATER - dt.timedelta(hours=1)))
        walk.by_hand(wait(walk), at=None)  # before its time


def wait_scheduled(walk: Walk, **options: Any) -> Task:
    return walk.call(eta=LATER - dt.timedelta(hours=2), **options)


def wait_retrying(walk: Walk, **options: Any) -> Task:
    task = walk.call(**({"retries": 1, "retry_delay": HOUR} | options))
    walk.by_hand(task, walk.fail, at=None)
    return task


def wait_parked(walk: Walk, **options: Any) -> Task:
    task = walk.call(eta=LATER - dt.timedelta(hours=2), **options)
    walk.huey.backend.promote(time.time() + 3 * 24 * HOUR)
    walk.park(task)
    return task
