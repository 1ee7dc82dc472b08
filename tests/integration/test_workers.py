"""Real consumers of every kind run jobs: what they serve, and when a worker is replaced on purpose."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.consumers import Bench
from tests.eventually import eventually


def test_a_job_goes_from_a_call_to_a_stored_result(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    bench.consumer(kind)

    result = bench.tasks.note("a")

    assert result.get(blocking=True, timeout=20) == "a"
    assert len(bench.runs("ran", "a")) == 1


def test_each_job_runs_once_on_many_workers(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    bench.consumer(kind, 4)
    bench.consumer(kind, 4)
    for start in range(0, 2000, 200):
        bench.huey.enqueue_many([bench.tasks.note.s(f"job-{n}") for n in range(start, start + 200)])

    bench.await_all("succeeded", 2000)

    runs = bench.runs("ran")
    assert len(runs) == len({run.key for run in runs}) == 2000


def test_one_worker_runs_jobs_in_the_order_of_their_enqueueing(bench: Bench) -> None:
    bench.huey.enqueue_many([bench.tasks.note.s(f"job-{n}") for n in range(300)])

    consumer = bench.consumer("process", 1)
    bench.await_all("succeeded", 300)

    assert [run.key for run in bench.runs("ran")] == [f"job-{n}" for n in range(300)]
    # Of the tests' Redis it is told at the start, once for all processes, what is dangerous about it.
    assert consumer.log().count("Redis keeps nothing on disk") == bench.url.startswith("redis:")


def test_a_unique_job_is_enqueued_once_by_many_callers(bench: Bench) -> None:
    bench.consumer("process", 2)

    def call(_: int) -> str:
        handle = bench.tasks.only_one("same")
        bench.huey.backend.close()
        return str(handle.id)

    with ThreadPoolExecutor(4) as pool:
        ids = set(pool.map(call, range(20)))

    assert len(ids) == 1
    bench.await_all("succeeded", 1)
    assert len(bench.runs("began")) == 1


def test_a_process_worker_is_replaced_after_its_number_of_jobs(bench: Bench) -> None:
    consumer = bench.consumer("process", 2, "-M", "5")
    results = [bench.tasks.note(f"job-{number}") for number in range(60)]

    for result in results:
        bench.await_state(result, "succeeded")

    runs = bench.runs("ran")
    per_process = {pid: sum(run.pid == pid for run in runs) for pid in {run.pid for run in runs}}
    assert len(runs) == 60
    assert max(per_process.values()) == 5
    assert {bench.job(result).crashes for result in results} == {0}
    eventually(lambda: len(consumer.worker_pids()) == 2)


def test_a_thread_worker_is_replaced_after_its_number_of_jobs(bench: Bench) -> None:
    consumer = bench.consumer("thread", 1, "-M", "5", "-c", "0.1")
    results = [bench.tasks.note(f"job-{number}") for number in range(20)]

    for result in results:
        bench.await_state(result, "succeeded")

    assert len(bench.runs("ran")) == 20
    assert consumer.log().count("reached max tasks") >= 3


def test_recycled_threads_are_replaced_at_once(bench: Bench) -> None:
    bench.consumer("thread", 2, "-M", "5")
    results = [bench.tasks.note(f"job-{number}") for number in range(100)]

    for result in results:
        bench.await_state(result, "succeeded")

    runs = bench.runs("ran")
    assert runs[-1].at - runs[0].at < 5  # at the pace of Huey's health checks it took 90 s


def test_a_consumer_serves_only_its_queues(cell: tuple[Bench, str]) -> None:
    bench, kind = cell
    posts = [bench.tasks.post(f"post-{number}") for number in range(10)]
    notes = [bench.tasks.note(f"note-{number}") for number in range(10)]

    mail = bench.consumer(kind, 2, queues="mail")
    for result in posts:
        bench.await_state(result, "succeeded")

    assert {bench.job(result).state for result in notes} == {"queued"}
    assert "queue mail" in mail.log()
    bench.consumer(kind, 1)
    for result in notes:
        bench.await_state(result, "succeeded")
    assert len(bench.runs("ran")) == 20
