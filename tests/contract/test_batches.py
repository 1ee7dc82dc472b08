"""Many jobs at once come to what each of them would come to by itself."""

from __future__ import annotations

from nephew.backends.contract import Backend
from tests.contract.jobs import Hand, job, succeeded

#: Texts that mean something where texts are quoted, and those that are as good as nothing.
ODD = ("{a,b}", 'say "no"', "back\\slash", "NULL", "null", "", " ", "ümlaut ✓", "line\nline\ttab", "'", "?", "%s")


def test_whatever_many_jobs_bring_is_kept_to_the_letter(backend: Backend):
    given = [
        job(
            f"id {text}",
            task=f"task {text}",
            payload=text.encode() * number,
            priority=float(number % 3) / 2,
            tags=f",{text}," if number % 2 else None,
            expires_at=float("inf") if number % 4 == 1 else None,
        )
        for number, text in enumerate(ODD)
    ]

    backend.enqueue(given)

    for each in given:
        row = backend.row(each.id)
        assert row is not None
        kept = (row.id, row.task, row.payload, row.priority, row.tags, row.expires_at, row.eta, row.state)
        assert kept == (each.id, each.task, each.payload, each.priority, each.tags, each.expires_at, None, "queued")


def test_the_places_of_many_jobs_are_in_the_order_in_which_they_were_given(backend: Backend):
    hand = Hand(backend)
    given = [job(priority=float(number % 2)) for number in range(70)]

    backend.enqueue(given)

    urgent, others = given[1::2], given[::2]
    assert [claimed.id for claimed in hand.claim(100)] == [each.id for each in (*urgent, *others)]


def test_each_result_of_a_batch_goes_to_its_own_job(backend: Backend):
    hand = Hand(backend)
    results = [None, b"", b"a", b"\x00\xff" * 40, b"r" * 20_000, b"last", *(b"%d" % number for number in range(60))]
    backend.enqueue([job(str(number)) for number in range(len(results))])

    settled = hand.settle(*(succeeded(one, result=results[int(one.id)]) for one in hand.claim(100)))

    assert settled.lost == {}
    assert [backend.outcome(str(number)) for number in range(len(results))] == [
        ("succeeded", result, None) for result in results
    ]
