"""A connection that is lost on PostgreSQL: the step is repeated on a new one, and happens once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import peewee
import psycopg
import pytest

from nephew.backends.contract import Backend
from nephew.backends.sql import SqlBackend
from nephew.backends.sql.server import PATIENCE, PatientConnection, PoolerAwareDatabase
from nephew.errors import BackendError
from nephew.opening import open_backend
from nephew.settings import Settings
from tests.contract.jobs import Hand, again, job, jobs, succeeded

Cut = Callable[[], None]


@pytest.fixture
def backend(postgres_url: str, name: str) -> Iterator[Backend]:
    backend = open_backend(name, postgres_url, None, None, "", Settings())
    yield backend
    backend.close()


@pytest.fixture
def cut(backend: SqlBackend, postgres_url: str) -> Cut:
    """Makes the server end our connection."""

    def end() -> None:
        (pid,) = backend.database.execute_sql("SELECT pg_backend_pid()").fetchone()
        with psycopg.connect(postgres_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))

    return end


def test_a_transaction_of_ours_in_which_nothing_is_said_is_ended_and_done_again(postgres_url: str, name: str):
    """Whoever is stopped in the middle of one would keep all others from what it has locked."""
    patient = open_backend(name, postgres_url, None, None, "", Settings())
    hasty = open_backend(
        name, f"{postgres_url}?options=-cidle_in_transaction_session_timeout%3D100", None, None, "", Settings()
    )
    assert isinstance(patient, SqlBackend) and isinstance(hasty, SqlBackend)
    hand = Hand(patient)
    tries: list[int] = []

    def step(run: Callable[..., Any]) -> None:
        run("UPDATE nephew_worker SET host = 'elsewhere' WHERE number = ?", (hand.number,))
        tries.append(1)
        if len(tries) == 1:
            patient.retire(hand.number)  # waits for the lock that is held here
        run("SELECT 1")

    hasty.write(step)

    assert len(tries) == 2
    assert patient.read("SHOW idle_in_transaction_session_timeout") == [("10s",)]
    transaction = patient.begin()
    assert patient.read("SHOW idle_in_transaction_session_timeout") == [("0",)]
    assert patient.roll_back(transaction)
    patient.close()
    hasty.close()


def test_every_step_goes_on_over_a_new_connection(backend: Backend, cut: Cut):
    hand = Hand(backend)
    cut()
    backend.enqueue([job("1", unique_key="a")])
    cut()
    backend.enqueue(jobs("2", "3"))
    cut()
    first, second = hand.claim(2)
    cut()
    hand.settle(succeeded(first), again(second))
    cut()
    counts = backend.counts()
    cut()
    fence = backend.acquire_lock("lock", "me", "", 60)
    cut()

    assert counts == {"succeeded": 1, "queued": 2}
    assert fence == 1
    assert backend.retire(hand.number) is None


def test_inside_the_callers_transaction_the_loss_is_an_error(backend: SqlBackend, cut: Cut):
    backend.migrate()
    with pytest.raises(peewee.OperationalError), backend.database.atomic():
        backend.enqueue([job("1")])
        cut()
        with pytest.raises(BackendError):
            backend.enqueue([job("2")])

    assert backend.waiting_count() == 0
    backend.enqueue([job("3")])
    assert backend.waiting_count() == 1


def test_a_job_whose_answer_was_lost_is_stored_once(backend: Backend, cut: Cut):
    """As a caller does who was told of an error and cannot know what was written."""
    the_same = job("1", unique_key="a")

    stored = [backend.enqueue([the_same])[0] for _ in range(2)]

    assert [(entry.id, entry.duplicate) for entry in stored] == [("1", False)] * 2
    assert backend.waiting_count() == 1


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", PATIENCE),
        (
            "?connect_timeout=9&tcp_user_timeout=0",
            {"keepalives_idle": 30, "keepalives_interval": 5, "keepalives_count": 3},
        ),
    ],
)
def test_how_long_to_wait_is_as_the_url_says_or_limited(query: str, expected: dict[str, int]):
    assert PoolerAwareDatabase(f"postgresql://host/database{query}").connect_params == expected


@pytest.mark.parametrize(("other", "is_there"), [({"dbname": "nowhere"}, True), ({"port": 1}, False)])
def test_a_server_that_lets_nobody_in_is_there_and_one_that_cannot_be_reached_is_not(
    postgres_url: str, other: dict[str, Any], is_there: bool
):
    with PatientConnection.connect(postgres_url) as connection:
        connection.again = lambda: PatientConnection.connect(postgres_url, **other)

        assert connection.is_served() is is_there
