"""Jobs whose worker died: they run alone in their process, and end when they have killed too many."""

from __future__ import annotations

import json
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from huey.api import chord

from nephew import Nephew, presence
from nephew.backends.records import Claimed, Died, LogLines
from nephew.journal import Line
from nephew.lane import Lane
from nephew.lastwords import LastWords
from nephew.recovery import Reaper
from nephew.worker import Worker
from tests.contract.conftest import Work, end
from tests.contract.jobs import NO_PID, Hand, record
from tests.eventually import eventually
from tests.servers import RedisServer


def dies_running(huey: Nephew, job_id: str) -> None:
    """A worker is killed while it runs this job, and a consumer finds that."""
    victim = Hand(huey.backend)
    (claimed,) = victim.claim(ids=[job_id])
    (found,) = [worker for worker in huey.backend.workers() if worker.number == victim.number]
    Reaper(huey)._bury(found, Died(victim.number, {(claimed.seq, claimed.claim): 1.0}, "killed by a test"))


def dies_leaving(huey: Nephew, *left: tuple[Claimed, bytes], worker: int) -> None:
    """A worker of this host is gone and found so; its file says what it was running, and what these jobs said."""
    (found,) = [each for each in huey.backend.workers() if each.number == worker]
    slots = [struct.pack("<qqd", job.seq, job.claim, 100.0) + words.ljust(presence.ROOM, b"\0") for job, words in left]
    Path(found.path).write_bytes(found.incarnation.encode().ljust(64, b"\0") + b"".join(slots))
    assert Reaper(huey).reap() == 1


def worker_of_this_host(huey: Nephew, folder: Path) -> int:
    here = {"boot": presence.boot_id(), "pid_namespace": presence.pid_namespace(), "pid": NO_PID}
    return huey.backend.register(record(incarnation="gone", path=str(folder / "gone"), **here))


def test_a_job_that_keeps_killing_its_worker_is_failed_with_the_evidence(huey: Nephew, work: Work):
    told: list[str] = []
    handle = huey.task(name="handle")(lambda error: told.append(type(error).__name__))
    killer = huey.task(name="killer", unique=True, max_crashes=2)(lambda: "never")
    following = huey.task(name="following")(lambda value: value)
    call = killer.s().error(handle).then(following)
    huey.enqueue(call)

    for _ in range(2):
        dies_running(huey, call.id)
    work(huey)

    found = huey.job(call.id)
    assert (found.state, found.crashes) == ("failed", 2)
    assert "its worker died 2 times while it was running; the last time: killed by a test" in found.error
    assert [attempt.outcome for attempt in found.attempts] == ["crashed", "crashed"]
    assert {attempt.error for attempt in found.attempts} == {"killed by a test"}
    assert told == ["WorkerCrashed"]
    assert huey.job(call.on_complete.id).state == "cancelled"
    assert not killer().duplicate


def test_a_member_that_kills_its_workers_still_ends_its_chord(huey: Nephew, work: Work):
    number = huey.task(name="number", max_crashes=1)(lambda value: value)
    total = huey.task(name="total")(lambda values: [type(value).__name__ for value in values])
    members = [number.s(1), number.s(2)]
    result = huey.enqueue(chord(members, total.s()))

    dies_running(huey, members[0].id)
    work(huey)

    assert result.callback.state == "succeeded"
    assert result.get()[1] == "int"


def test_a_suspect_that_ends_well_is_no_longer_held_against(huey: Nephew, work: Work):
    result = huey.task()(lambda: "ran")()
    dies_running(huey, result.id)

    work(huey)

    found = huey.job(result.id)
    assert (found.state, found.result, found.crashes) == ("succeeded", "ran", 1)
    assert [attempt.outcome for attempt in found.attempts] == ["crashed", "succeeded"]
    assert [attempt.number for attempt in found.attempts] == [1, 2]


def test_a_suspect_runs_alone_also_beside_a_thread_that_was_there_first(make_huey: Callable[..., Nephew]):
    """The first thread of a restarted consumer has begun a job before the second one takes the suspect."""
    huey = make_huey()
    worker = Worker(huey, slots=2)
    begun, leave = threading.Event(), threading.Event()
    beside: list[bool] = []

    @huey.task(name="innocent")
    def innocent() -> None:
        begun.set()
        leave.wait(10)

    @huey.task(name="suspect")
    def suspect() -> None:
        beside.append(not leave.is_set())

    result = suspect()
    dies_running(huey, result.id)
    innocent()
    first, second = worker.claim(worker.next_claim(), 2)
    jobs = {claimed.task.rpartition(".")[2]: claimed for claimed in (first, second)}

    def run(which: str) -> None:
        lane = Lane(worker)
        lane.run(jobs[which])
        lane.close()
        huey.backend.close()

    with ThreadPoolExecutor(2) as pool:
        running = pool.submit(run, "innocent")
        begun.wait(10)
        alone = pool.submit(run, "suspect")
        eventually(lambda: worker.gate._waiting_alone == 1 or bool(beside))
        leave.set()
        running.result(10)
        alone.result(10)

    worker.retire()
    assert jobs["suspect"].alone
    assert beside == [False]
    assert result.state == "succeeded"


def test_a_dead_worker_of_this_host_is_found_by_its_file(make_huey: Callable[..., Nephew], tmp_path: Path):
    huey = make_huey()
    number = worker_of_this_host(huey, tmp_path)
    result = huey.task()(lambda: None)()
    (claimed,) = huey.backend.claim(number, 1, 1)

    dies_leaving(huey, (claimed, b""), worker=number)

    assert (huey.job(result.id).state, huey.job(result.id).crashes) == ("queued", 1)
    assert not (tmp_path / "gone").exists()
    assert Reaper(huey).reap() == 0


def test_of_several_that_ran_side_by_side_nobody_is_charged_and_each_runs_alone_from_then_on(
    make_huey: Callable[..., Nephew], tmp_path: Path
):
    huey = make_huey()
    number = worker_of_this_host(huey, tmp_path)
    task = huey.task(max_crashes=1)(lambda: None)
    running, beside = [task(), task()], task()
    first, second, _ = huey.backend.claim(number, 1, 3)

    dies_leaving(huey, (first, b""), (second, b""), worker=number)

    again = Hand(huey.backend).claim(3)
    assert [(each.id, each.crashes, each.attempts, each.alone) for each in again] == [
        *((result.id, 0, 0, True) for result in running),
        (beside.id, 0, 0, False),
    ]
    assert all(huey.job(result.id).attempts == () for result in running)


def test_what_a_job_said_in_its_last_moment_is_added_to_the_log_of_its_attempt(
    make_huey: Callable[..., Nephew], tmp_path: Path
):
    huey = make_huey()
    number = worker_of_this_host(huey, tmp_path)
    result, silent = huey.task()(lambda: None)(), huey.task(name="silent")(lambda: None)()
    first, _ = huey.backend.claim(number, 1, 2)
    early, late = Line(1, 100.0, "INFO", "shop", "early"), Line(2, 100.5, "INFO", "shop", "late")
    huey.backend.note_log(number, first.seq, first.claim, LogLines(1, json.dumps([early[1:]]), 0))
    kept: list[bytes] = []
    words = LastWords(kept.append)
    for line in (early, late):
        words.add(first.seq, first.claim, 1, line)

    dies_leaving(huey, (first, kept[-1]), worker=number)

    (log,) = huey.logs(result.id)
    assert (log.attempt, [line.text for line in log.lines], log.dropped) == (1, ["early", "late"], 0)
    (attempt,) = huey.job(result.id).attempts
    assert (attempt.outcome, attempt.number) == ("crashed", 1)
    assert attempt.death is not None and attempt.death.last_seen is not None
    assert huey.logs(silent.id) == []


def test_the_dead_are_buried_though_their_last_words_cannot_be_stored(name: str, redis: RedisServer, tmp_path: Path):
    """Somebody has put something else where a job's log belongs."""
    huey = Nephew(name, redis.url)
    number = worker_of_this_host(huey, tmp_path)
    result = huey.task()(lambda: None)()
    (claimed,) = huey.backend.claim(number, 1, 1)
    huey.backend.call("SET", huey.backend.key("logs", result.id), "not a log")
    kept: list[bytes] = []
    LastWords(kept.append).add(claimed.seq, claimed.claim, 1, Line(1, 100.0, "INFO", "shop", "last"))

    dies_leaving(huey, (claimed, kept[-1]), worker=number)

    assert (result.state, huey.job(result.id).crashes) == ("queued", 1)
    end(huey)


def test_a_silent_worker_of_another_host_is_given_its_lease(make_huey: Callable[..., Nephew]):
    huey = make_huey(lease=30, heartbeat=10)
    backend = huey.backend
    fresh = backend.register(record(host="elsewhere", boot="another"))
    result = huey.task()(lambda: None)()
    backend.claim(fresh, 1, 1)

    reaped = Reaper(huey).reap()

    expected = 0 if backend.heartbeats else 1  # SQLite's workers share a host: another boot is an earlier one
    assert reaped == expected
    if backend.heartbeats:
        hasty = Reaper(make_huey(lease=0.2, heartbeat=0.1))
        eventually(lambda: hasty.reap() == 1)
    assert (huey.job(result.id).state, huey.job(result.id).crashes) == ("queued", 0)
