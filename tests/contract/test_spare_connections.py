"""Claims and settles that PostgreSQL works on while jobs run: over spare connections, which may be lost or missing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import psycopg
import pytest
from peewee import PostgresqlDatabase

from nephew import Nephew
from nephew.backends.records import Claimed, Holder, Settled
from nephew.backends.sql import SqlBackend
from nephew.backends.sql.ahead import SPARE
from nephew.opening import open_backend
from nephew.settings import Settings
from tests.contract.crowd import at_once
from tests.contract.jobs import Hand, given_back, jobs, succeeded
from tests.eventually import eventually
from tests.faults import Drop
from tests.proxies import Proxy
from tests.servers import PostgresServer

ALL_WELL = Settled({}, ())

#: Ends the spare connections, of which there is at least one.
Cut = Callable[[], None]


def opened(name: str, url: str) -> SqlBackend:
    backend = open_backend(name, url, None, None, "", Settings())
    assert isinstance(backend, SqlBackend)
    return backend


@pytest.fixture
def backend(postgres_url: str, name: str) -> Iterator[SqlBackend]:
    with closing(opened(name, f"{postgres_url}?application_name={name}")) as backend:
        yield backend


@pytest.fixture
def hand(backend: SqlBackend) -> Hand:
    backend.migrate()
    return Hand(backend)


@pytest.fixture
def cut(backend: SqlBackend, postgres_url: str, name: str) -> Cut:
    def end() -> None:
        ((own,),) = backend.read("SELECT pg_backend_pid()")
        with psycopg.connect(postgres_url, autocommit=True) as other:
            ended = other.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE application_name = %s AND pid <> %s",
                (name, own),
            ).fetchall()
        assert set(ended) == {(True,)}

    return end


def held(hand: Hand) -> list[str]:
    return sorted(id for _, id, _ in hand.backend.held(hand.number))


def test_what_was_sent_is_done_while_the_thread_goes_on(backend: SqlBackend, hand: Hand):
    backend.enqueue(jobs("a", "b", "c"))

    claim = backend.claim_ahead(hand.number, 1, 2)
    backend.enqueue(jobs("d"))
    eventually(lambda: held(hand) == ["a", "b"])
    assert claim is not None
    claimed = claim()
    settle = backend.settle_ahead(hand.number, 1, [succeeded(each) for each in claimed])
    backend.enqueue(jobs("e"))
    eventually(lambda: backend.counts() == {"succeeded": 2, "queued": 3})

    assert [each.id for each in claimed] == ["a", "b"]
    assert settle is not None and settle() == ALL_WELL
    assert backend.settle(hand.number, 1, [succeeded(each) for each in claimed]) == ALL_WELL


def test_a_claim_whose_answer_was_lost_gives_the_jobs_that_it_took(backend: SqlBackend, hand: Hand, cut: Cut):
    backend.enqueue(jobs("a", "b", "c"))
    claim = backend.claim_ahead(hand.number, 1, 2)
    eventually(lambda: held(hand) == ["a", "b"])
    cut()

    assert claim is not None and [each.id for each in claim()] == ["a", "b"]
    assert held(hand) == ["a", "b"]


def test_a_settle_whose_answer_was_lost_is_done_once(backend: SqlBackend, hand: Hand, cut: Cut):
    backend.enqueue(jobs("a", "b"))
    settle = backend.settle_ahead(hand.number, 1, [succeeded(each) for each in hand.claim(2)])
    eventually(lambda: backend.counts() == {"succeeded": 2})
    cut()

    assert settle is not None and settle() == ALL_WELL
    assert [each.job for batch in backend.events("0") for each in batch.events] == ["a", "b"]
    assert backend.row("a").attempts == 1


def test_what_is_sent_on_a_connection_that_is_lost_already_is_done_all_the_same(
    backend: SqlBackend, hand: Hand, cut: Cut
):
    backend.enqueue(jobs("a", "b", "c", "d"))
    warm_up = backend.claim_ahead(hand.number, 1, 2)
    assert warm_up is not None
    claimed = warm_up()
    cut()

    settle = backend.settle_ahead(hand.number, 1, [succeeded(each) for each in claimed])
    reply = backend.settle(hand.number, 1, [succeeded(each) for each in claimed]) if settle is None else settle()
    claim = backend.claim_ahead(hand.number, 2, 2)

    assert reply == ALL_WELL
    assert claim is not None and [each.id for each in claim()] == ["c", "d"]


def test_what_the_network_has_swallowed_is_done_again(postgres: PostgresServer, name: str):
    with Proxy(postgres) as proxy, closing(opened(name, f"{proxy.url}&tcp_user_timeout=200")) as backend:
        backend.migrate()
        hand = Hand(backend)
        backend.enqueue(jobs("a", "b"))
        warm_up = backend.claim_ahead(hand.number, 1, 0)
        assert warm_up is not None and warm_up() == []

        with proxy.suffering(Drop()) as drop:
            claim = backend.claim_ahead(hand.number, 2, 2)
            eventually(lambda: drop.hits > 0)

        assert claim is not None and [each.id for each in claim()] == ["a", "b"]


def test_of_ends_that_were_sent_and_of_which_one_was_lost_the_others_stand(backend: SqlBackend, hand: Hand):
    heir = Hand(backend)
    backend.enqueue(jobs("a", "b"))
    mine, lost = hand.claim(2)
    hand.settle(given_back(lost))
    (theirs,) = heir.claim()

    settle = backend.settle_ahead(hand.number, 2, [succeeded(mine), succeeded(lost)])

    assert settle is not None
    assert settle().lost == {(lost.seq, lost.claim): Holder(heir.number, theirs.claim)}
    assert (backend.outcome("a")[0], backend.outcome("b")[0]) == ("succeeded", "queued")


def test_a_process_opens_no_more_of_them_than_it_may(backend: SqlBackend, hand: Hand):
    backend.enqueue(jobs("a", "b", "c"))

    claims = [backend.claim_ahead(hand.number, number, 1) for number in range(1, SPARE + 2)]

    assert claims[SPARE] is None
    assert sorted(each.id for claim in claims if claim is not None for each in claim()) == ["a", "b"]
    assert backend.claim_ahead(hand.number, SPARE + 1, 1)()[0].id == "c"


def test_many_threads_that_claim_at_once_open_no_more_of_them_either(backend: SqlBackend, hand: Hand):
    backend.enqueue(jobs(*(f"job-{number}" for number in range(40))))

    def answer_of(number: int) -> Callable[[], list[Claimed]] | None:
        try:
            return backend.claim_ahead(hand.number, number + 1, 2)
        finally:
            backend.leave()

    answers = at_once(backend, 12, answer_of)
    sent = [answer for answer in answers if answer is not None]

    assert len(sent) == SPARE
    assert [len(answer()) for answer in sent] == [2] * SPARE


def test_where_no_connection_is_to_be_had_work_goes_on_without(postgres_url: str, name: str):
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(f'CREATE ROLE "{name}" LOGIN CONNECTION LIMIT 1')
        other.execute(f'GRANT nephew TO "{name}"')
    with closing(opened(name, postgres_url.replace("nephew@", f"{name}@"))) as backend:
        hand = Hand(backend)
        backend.enqueue(jobs("a", "b"))

        assert backend.claim_ahead(hand.number, 1, 2) is None
        claimed = backend.claim(hand.number, 1, 2)
        assert backend.settle_ahead(hand.number, 1, [succeeded(each) for each in claimed]) is None
        assert hand.settle(*map(succeeded, claimed)) == ALL_WELL
    with psycopg.connect(postgres_url, autocommit=True) as other:
        other.execute(f'DROP OWNED BY "{name}"')
        other.execute(f'DROP ROLE "{name}"')


def test_nothing_is_sent_from_within_a_transaction_or_on_a_database_of_the_application(
    backend: SqlBackend, hand: Hand, postgres_url: str, name: str
):
    with backend.database.atomic():
        assert backend.claim_ahead(hand.number, 1, 2) is None
    own = Nephew(name, database=PostgresqlDatabase(postgres_url, prefer_psycopg3=True, autoconnect=False))
    assert own.backend.claim_ahead(hand.number, 1, 2) is None
    own.backend.close()
