"""What is pruned leaves nothing behind: the store comes back to the size that it had, whatever was run."""

from __future__ import annotations

from collections.abc import Callable

from huey.api import chord

from nephew import Nephew
from nephew.backends.redis import open_redis
from nephew.job import ENDED
from nephew.settings import Settings
from tests.contract.conftest import Work
from tests.contract.jobs import fails
from tests.eventually import eventually
from tests.stored import stored

#: Those have limits of their own: `keep_events`, and `keep_records` for the order of ends on Redis.
LIMITED = ("nephew_event", "events", "order")


def test_jobs_that_were_pruned_leave_nothing(make_huey: Callable[..., Nephew], work: Work):
    huey = make_huey(**{f"keep_{state}": 0 for state in ENDED})
    add = huey.task(name="add")(lambda a, b: a + b)
    total = huey.task(name="total")(sum)
    failing = huey.task(name="failing", retries=1)(fails)
    alone = huey.task(name="alone", unique=True)(lambda: None)

    def run_some() -> None:
        huey.enqueue(add.s(1, 2).then(add, 3).then(add, 4))
        huey.enqueue(chord([add.s(1, 2), add.s(3, 4).then(add, 5)], total.s()))
        huey.enqueue(failing.s().then(add, 1))
        huey.enqueue(add.s(1, 2).error(add))
        alone()
        huey.cancel(add.schedule((1, 2), delay=60).id)
        work(huey)

    def what_is_left() -> dict[str, int]:
        huey.prune()
        assert not huey.backend.counts()
        return {what: count for what, count in stored(huey).items() if what not in LIMITED}

    run_some()
    before = eventually(what_is_left, 5)
    for _ in range(3):
        run_some()

    def assert_nothing_more() -> None:
        assert what_is_left() == before

    eventually(assert_nothing_more, 5)


def test_a_lock_that_nobody_released_leaves_nothing_on_redis(redis_url: str, name: str):
    backend = open_redis(name, redis_url, Settings())

    backend.acquire_lock("video", "me", "", 0.1)

    assert backend.call("EXISTS", backend.key("lock", "video"))
    eventually(lambda: not backend.call("EXISTS", backend.key("lock", "video")), 5)
    backend.close()
