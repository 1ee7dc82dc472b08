"""Locks whose statement had to wait for another's transaction, or whose reply was lost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nephew.backends.sql import SqlBackend
from nephew.opening import open_backend
from nephew.settings import Settings
from tests.places import DATABASES, on
from tests.proxies import Cutter
from tests.servers import PostgresServer

backend_url = on(*DATABASES)


@contextmanager
def somebody_writes(url: str, name: str, backend: SqlBackend, seconds: float) -> Iterator[None]:
    """Another connection changes the lock's row, and takes its time to commit."""
    other = open_backend(name, url, None, None, "", Settings())
    begun = threading.Event()

    def hold() -> None:
        with other.database.atomic(*other.dialect.begin):
            other._run("UPDATE nephew_lock SET label = label WHERE name = ?", (name,))
            begun.set()
            time.sleep(seconds)
        other.close()

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(10)
    yield
    holder.join()


@pytest.fixture
def backend(backend_url: str, name: str) -> Iterator[SqlBackend]:
    backend = open_backend(name, backend_url, None, None, "", Settings())
    backend.acquire_lock("video", "before", "", 60)
    backend.release_lock("video", "before")
    yield backend
    backend.close()


def test_a_lock_that_was_waited_for_is_not_born_expired(backend: SqlBackend, backend_url: str, name: str):
    with somebody_writes(backend_url, name, backend, 0.5):
        fence = backend.acquire_lock("video", "me", "", 0.4)

    assert fence == 2
    (lock,) = backend.locks()
    assert lock.expires_at - lock.acquired_at == pytest.approx(0.4)


def test_a_renewal_that_had_to_wait_prolongs_from_then_on(backend: SqlBackend, backend_url: str, name: str):
    backend.acquire_lock("video", "me", "", 60)

    with somebody_writes(backend_url, name, backend, 0.5):
        assert backend.renew_lock("video", "me", 0.4)
        assert len(backend.locks()) == 1


def test_a_renewal_that_waited_past_the_expiry_is_refused(backend: SqlBackend, backend_url: str, name: str):
    backend.acquire_lock("video", "me", "", 0.2)

    with somebody_writes(backend_url, name, backend, 0.5):
        assert not backend.renew_lock("video", "me", 60)


@pytest.mark.parametrize("owner", ["me", None])
def test_a_release_whose_reply_was_lost_has_released(postgres: PostgresServer, name: str, owner: str | None):
    with Cutter(postgres, swallow=True) as proxy:
        backend = open_backend(name, proxy.url, None, None, "", Settings())
        backend.acquire_lock("video", "me", "", 60)
        proxy.cut_next()

        assert backend.release_lock("video", owner)

        assert proxy.cuts == 1
        assert backend.locks() == []
        assert not backend.release_lock("video", owner)
        backend.close()
