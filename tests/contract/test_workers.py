"""Who claims jobs, and what becomes of a dead worker's claims."""

from __future__ import annotations

import pytest

from nephew.backends.contract import Backend
from nephew.backends.records import Died
from nephew.errors import UnknownWorker
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, again, failed, given_back, job, jobs, record, succeeded


def ids(claimed: list) -> list[str]:
    return [entry.id for entry in claimed]


def test_a_registered_worker_is_seen(backend: Backend):
    before = backend.now()

    number = backend.register(record(incarnation="mine", host="here", pid=42, path="/run/file", queues="a,b"))

    (found,) = backend.workers()
    assert (found.number, found.incarnation, found.host, found.pid) == (number, "mine", "here", 42)
    assert (found.path, found.queues) == ("/run/file", "a,b")
    assert before <= found.started_at <= backend.now()
    assert found.heartbeat_at == found.started_at


def test_a_running_job_tells_where_it_runs(backend: Backend):
    number = backend.register(record(host="here", pid=42))
    backend.enqueue(jobs("runs", "waits"))
    (claimed,) = backend.claim(number, 1, 1)

    backend.mark_running(number, [(claimed.seq, claimed.claim, 100.0)])

    row = backend.row("runs")
    assert row is not None and row.worker_label == "here:42"
    waits, runs = backend.rows(longest=100)
    assert (waits.worker_label, runs.worker_label) == (None, "here:42")


def test_a_worker_that_registers_again_keeps_its_number(backend: Backend):
    worker = record()

    numbers = {backend.register(worker) for _ in range(3)}

    assert len(numbers) == 1
    assert len(backend.workers()) == 1


def test_a_worker_that_is_not_registered_is_told_so_and_takes_nothing(backend: Backend):
    gone = Hand(backend)
    backend.retire(gone.number)

    for waiting in ([], jobs("waits")):
        backend.enqueue(waiting)
        with pytest.raises(UnknownWorker, match="is not registered"):
            gone.claim()

    assert ids(Hand(backend).claim()) == ["waits"]


def test_a_number_is_never_given_twice(backend: Backend):
    first = backend.register(record())
    backend.retire(first)

    second = backend.register(record())

    assert second > first


def test_workers_that_register_at_once_get_numbers_of_their_own(backend: Backend):
    numbers = at_once(backend, 6, lambda _: backend.register(record()))

    assert len(set(numbers)) == 6


def test_a_heartbeat_says_that_a_worker_lives(backend: Backend):
    first, second = record(), record()
    backend.register(first)
    backend.register(second)

    backend.heartbeat([first.incarnation])

    beaten, silent = backend.workers()
    assert beaten.heartbeat_at != beaten.started_at
    assert silent.heartbeat_at == silent.started_at


def test_a_worker_that_retires_gives_back_in_order_and_uncounted(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1", "2", "3"))
    first, *_ = hand.claim(2)
    backend.mark_running(hand.number, [(first.seq, first.claim, 100.0)])

    backend.retire(hand.number)

    claimed = other.claim(9)
    assert ids(claimed) == ["1", "2", "3"]
    assert {(entry.attempts, entry.crashes, entry.alone) for entry in claimed} == {(0, 0, False)}
    assert [worker.number for worker in backend.workers()] == [other.number]


def test_a_dead_workers_claims_go_back_in_order(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1", "2", "3", "4"))
    hand.claim(3)

    hand.dies(heir=other)

    assert ids(other.claim(9)) == ["1", "2", "3", "4"]
    assert [worker.number for worker in backend.workers()] == [other.number]


def test_only_what_was_running_is_charged_and_runs_alone(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("running", "claimed beside it"))
    running, _ = hand.claim(2)

    hand.dies(running, heir=other)

    suspect, innocent = other.claim(9)
    assert (suspect.id, suspect.crashes, suspect.attempts, suspect.alone) == ("running", 1, 1, True)
    assert (innocent.crashes, innocent.attempts, innocent.alone) == (0, 0, False)
    (attempt,) = backend.attempts("running")
    assert (attempt.outcome, attempt.error, attempt.worker) == ("crashed", "killed by a test", "host:7")
    assert (attempt.number, attempt.started_at) == (1, 100.0)
    assert backend.attempts("claimed beside it") == []


def test_without_evidence_nobody_is_charged_and_all_are_suspects(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1", "2"))
    hand.claim(2)

    hand.is_reaped(Died(hand.number, None, "it is gone"), other)

    claimed = other.claim(9)
    assert {(entry.crashes, entry.attempts, entry.alone) for entry in claimed} == {(0, 0, True)}


def test_a_worker_that_was_ended_on_purpose_charges_nobody(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1"))
    (running,) = hand.claim(1)

    hand.dies(running, heir=other, charged=False)

    (claimed,) = other.claim()
    assert (claimed.crashes, claimed.attempts, claimed.alone) == (0, 0, False)


def test_evidence_of_a_claim_that_was_settled_charges_nobody(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1"))
    (ended,) = hand.claim()
    hand.settle(again(ended))
    hand.claim()

    hand.dies(ended, heir=other)

    (claimed,) = other.claim()
    assert (claimed.crashes, claimed.alone) == (0, False)


def test_a_job_that_reaches_its_cap_is_handed_to_the_heir(backend: Backend):
    heir = Hand(backend)
    backend.enqueue(jobs("killer"))
    doomed = []
    for _ in range(3):
        victim = Hand(backend)
        doomed.append(victim.dies(*victim.claim(), heir=heir, cap=3))

    assert [len(given) for given in doomed] == [0, 0, 1]
    (last,) = doomed[2]
    assert (last.id, last.crashes, last.attempts) == ("killer", 3, 3)
    assert Hand(backend).claim(9) == [], "nobody else may run it"
    assert not heir.settle(failed(last, counted=False)).lost
    assert [attempt.outcome for attempt in backend.attempts("killer")] == ["crashed"] * 3 + ["failed"]


def test_the_cap_is_asked_for_each_task(backend: Backend):
    hand, heir = Hand(backend), Hand(backend)
    backend.enqueue([job("1", task="strict"), job("2", task="lenient")])
    running = hand.claim(2)
    died = Died(hand.number, {(entry.seq, entry.claim): 1.0 for entry in running}, "killed")

    doomed = backend.reap(died, heir.number, 50, {"strict": 1, "lenient": 2}.__getitem__)

    assert ids(doomed) == ["1"]
    assert ids(heir.claim(9)) == ["2"]


def test_a_job_with_crashes_goes_on_running_alone(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1"))
    hand.dies(*hand.claim(), heir=other)

    other.settle(given_back(other.claim()[0]))
    other.settle(again(other.claim()[0]))

    (claimed,) = other.claim()
    assert (claimed.crashes, claimed.alone) == (1, True)


def test_a_retried_job_is_forgiven_its_crashes(backend: Backend):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue(jobs("1"))
    (doomed,) = hand.dies(*hand.claim(), heir=other, cap=1)
    other.settle(failed(doomed))

    backend.requeue("1")

    (claimed,) = other.claim()
    assert (claimed.crashes, claimed.alone) == (0, False)


def test_a_worker_is_reaped_once_by_several_consumers(backend: Backend):
    for _ in range(5):
        hand = Hand(backend)
        backend.enqueue([job() for _ in range(10)])
        running = hand.claim(10)
        heirs = [Hand(backend) for _ in range(4)]

        at_once(backend, 4, lambda index: hand.dies(*running, heir=heirs[index]))  # noqa: B023

        claimed = heirs[0].claim(100)
        assert {entry.crashes for entry in claimed} == {1}
        assert len(claimed) == 10
        heirs[0].settle(*(succeeded(entry) for entry in claimed))


@pytest.mark.parametrize("state", ["scheduled", "parked"])
def test_what_was_claimed_out_of_its_turn_goes_back_to_where_it_was(backend: Backend, state: str):
    hand, other = Hand(backend), Hand(backend)
    backend.enqueue([job("1", eta=backend.now() + 60)])
    if state == "parked":
        (claimed,) = hand.claim(ids=["1"])
        hand.settle(given_back(claimed)._replace(state="parked"))
    hand.claim(ids=["1"])

    hand.dies(heir=other)

    assert backend.counts() == {state: 1}
    assert other.claim(9) == []
