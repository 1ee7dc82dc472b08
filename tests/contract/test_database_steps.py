"""Steps inside a database: their repetition, their interruption, their size."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psycopg
import pytest
from huey.exceptions import TaskTimeout

from nephew import Nephew
from nephew.backends.contract import Backend
from nephew.backends.sql import waiting
from nephew.opening import open_backend
from nephew.settings import Settings
from nephew.shield import my_shield
from nephew.stops import by_exception
from tests.contract.jobs import Hand, job, jobs
from tests.eventually import eventually
from tests.places import DATABASES, on

url = on("memory", *DATABASES)


def test_an_enqueue_that_is_repeated_after_a_lost_reply_does_not_revive_what_has_ended(huey: Nephew):

    @huey.task()
    def job(number: int) -> int:
        return number

    result = job(1)
    huey.execute(huey.dequeue())
    from nephew.message import new_job

    again = job.s(1)
    again.id = result.id
    stored = huey.backend.write(lambda run: huey.backend._enqueue_missing(run, [new_job(huey, again)]))

    assert [entry.id for entry in stored] == [result.id]
    assert huey.job(result.id).state == "succeeded"
    assert huey.dequeue() is None


def test_a_timeout_that_strikes_inside_a_step_leaves_no_transaction_open(huey: Nephew):
    seen: list[str] = []
    job = object()
    stop = by_exception()

    def slow_step(run: Callable[..., object]) -> str:
        run("SELECT 1")
        striker = threading.Thread(target=stop, args=(job, TaskTimeout("now")))
        striker.start()
        striker.join()
        seen.append("ended")
        return "written"

    def code(_: object) -> None:
        huey.backend.write(slow_step)
        seen.append("after")

    with pytest.raises(TaskTimeout):
        my_shield().expose(job, code)

    assert seen == ["ended"]
    assert not huey.backend.dialect.is_in_transaction(huey.backend.database.connection())
    assert huey.backend.promote() == 0


def test_so_many_due_jobs_leave_room_for_ticks(backend: Backend, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(waiting, "PROMOTED", 5)
    monkeypatch.setattr(waiting, "STEPS", 3)
    now = backend.now()
    backend.enqueue([job(eta=now + 1) for _ in range(17)])

    assert [backend.promote(now + 2) for _ in range(3)] == [15, 2, 0]


def test_jobs_are_marked_as_running_in_the_order_in_which_a_settle_locks_them(postgres_url: str, name: str):
    backend = open_backend(name, f"{postgres_url}?application_name={name}", None, None, "", Settings())
    hand = Hand(backend)
    backend.enqueue(jobs("a", "b"))
    first, second = hand.claim(2)
    running = [(second.seq, second.claim, 100.0), (first.seq, first.claim, 100.0)]

    def mark() -> None:
        backend.mark_running(hand.number, running)
        backend.close()

    with psycopg.connect(postgres_url) as settling, psycopg.connect(postgres_url, autocommit=True) as watching:
        lock = "SELECT seq FROM nephew_job WHERE seq = %s FOR UPDATE NOWAIT"
        settling.execute(lock, (first.seq,))
        marking = threading.Thread(target=mark)
        marking.start()
        waits = "SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
        eventually(lambda: watching.execute(waits, (name,)).fetchone() is not None)
        settling.execute(lock, (second.seq,))  # else both would wait for each other
        settling.rollback()
        marking.join()

    assert {backend.row(id).state for id in "ab"} == {"running"}
    backend.close()
