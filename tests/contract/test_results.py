"""Results of jobs, and data under keys of Huey's and of the user's."""

from __future__ import annotations

from nephew.backends.contract import Backend
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, job, succeeded


def finish(backend: Backend, job_id: str, result: bytes) -> None:
    hand = Hand(backend)
    backend.enqueue([job(job_id)])
    hand.settle(succeeded(hand.claim(ids=[job_id])[0], result=result))


def test_nothing_is_known_of_an_unknown_job(backend: Backend):
    assert backend.outcome("unknown") is None
    assert backend.take_result("unknown") is None
    assert backend.row("unknown") is None
    assert backend.attempts("unknown") == []


def test_a_result_may_be_read_by_many(backend: Backend):
    finish(backend, "1", b"\0value")

    read = [backend.outcome("1") for _ in range(2)]

    assert read == [("succeeded", b"\0value", None)] * 2


def test_a_result_is_taken_by_one(backend: Backend):
    finish(backend, "1", b"value")

    taken = at_once(backend, 5, lambda _: backend.take_result("1"))

    assert sorted(taken, key=bool) == [None] * 4 + [b"value"]
    assert backend.outcome("1") == ("succeeded", None, None), "that it succeeded is still known"


def test_data_is_kept_under_its_key_until_it_is_taken(backend: Backend):
    backend.put("key", b"first")
    backend.put("key", b"\xffsecond")

    assert backend.peek(["key", "other"]) == {"key": b"\xffsecond"}
    assert backend.pop("key") == b"\xffsecond"
    assert backend.pop("key") is None


def test_a_key_is_taken_by_the_first(backend: Backend):
    stored = at_once(backend, 5, lambda index: backend.put_new("key", b"%d" % index))

    winner = stored.index(True)
    assert stored.count(True) == 1
    assert backend.peek(["key"]) == {"key": b"%d" % winner}


def test_data_is_gone_after_its_time(backend: Backend):
    backend.put("gone", b"old", ttl=-1)
    backend.put("there", b"new", ttl=60)

    assert backend.peek(["gone", "there"]) == {"there": b"new"}
    assert backend.items() == {"there": b"new"}
    assert backend.pop("gone") is None
    assert backend.put_new("gone", b"again")
    assert not backend.put_new("there", b"again")


def test_results_are_found_among_the_data(backend: Backend):
    finish(backend, "1", b"value")
    backend.put("key", b"data")

    assert backend.peek(["1", "key"]) == backend.items() == {"1": b"value", "key": b"data"}
    assert backend.pop("1") == b"value"


def test_a_counter_counts_every_change(backend: Backend):
    def count(_: int) -> list[int]:
        return [backend.add("visits", 1) for _ in range(20)]

    seen = at_once(backend, 5, count)

    assert sorted(number for numbers in seen for number in numbers) == list(range(1, 101))
    assert backend.add("visits", -40) == 60
    backend.drop_counter("visits")
    assert backend.add("visits", 2) == 2


def test_what_is_deleted_is_gone_with_its_attempts(backend: Backend):
    finish(backend, "1", b"value")
    finish(backend, "2", b"value")

    assert backend.delete_jobs(["1", "unknown"]) == 1

    assert backend.row("1") is None
    assert backend.row("2") is not None
    assert backend.delete_jobs([]) == 0


def test_a_flush_deletes_one_kind(backend: Backend):
    backend.enqueue([job("queued"), job("scheduled", eta=backend.now() + 60)])
    finish(backend, "done", b"value")
    backend.put("key", b"data")
    backend.add("visits", 1)

    backend.flush("queue")
    assert backend.counts() == {"scheduled": 1, "succeeded": 1}
    backend.flush("schedule")
    assert backend.counts() == {"succeeded": 1}
    backend.flush("results")
    assert backend.items() == {}
    backend.flush("counters")
    assert backend.add("visits", 1) == 1
