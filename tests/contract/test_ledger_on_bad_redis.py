"""A server that cannot write the ledger enqueues no tick without its row: it would do so again each second."""

from __future__ import annotations

import pytest

from nephew.backends.redis import RedisBackend, open_redis
from nephew.errors import BackendError
from nephew.settings import Settings
from tests.contract.deciding import NOON, begun, decide, decision, fates, stored, tick
from tests.contract.jobs import job
from tests.servers import RedisServer

KEYS = ("ticks:hourly", "ledgers", "open", "open:hourly", "turns", "turns:hourly", "filed", "plan:paused_at")


@pytest.fixture
def backend(redis_url: str, name: str) -> RedisBackend:
    return open_redis(name, redis_url, Settings())


@pytest.mark.parametrize("word", KEYS)
def test_where_a_key_is_of_the_wrong_type_nothing_of_a_decision_is_done(backend: RedisBackend, word: str):
    begun(backend)
    backend.call("DEL", backend.key(word))
    backend.call("SET", backend.key(word), "of the wrong type")
    given = decision(tick(NOON + 60, job("a")), tick(NOON + 120), tick(NOON + 180), overlap="queue")

    with pytest.raises(BackendError, match=f"WRONGTYPE.*{word}"):
        decide(backend, given)

    assert (backend.waiting_count(), backend.row("a")) == (0, None)
    backend.call("DEL", backend.key(word))
    assert decide(backend, given)[0].taken
    assert [fate for _, fate, _ in fates(backend)] == ["enqueued", "waiting", "waiting"]


def test_a_full_server_takes_no_decision_and_ends_jobs_all_the_same(redis: RedisServer, backend: RedisBackend):
    begun(backend)
    decide(backend, decision(tick(NOON + 60, job("a"))))
    with redis.client() as client:
        client.config_set("maxmemory", "1")
        try:
            with pytest.raises(BackendError, match="raise maxmemory"):
                decide(backend, decision(tick(NOON + 120), seen=NOON + 60))
            with pytest.raises(BackendError, match="raise maxmemory"):
                backend.run_tick("hourly", NOON + 90, job())
        finally:
            client.config_set("maxmemory", "0")

    assert (len(fates(backend)), backend.waiting_count(), stored(backend).seen) == (1, 1, NOON + 60)
