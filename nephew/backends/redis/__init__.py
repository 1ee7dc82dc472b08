"""Jobs on Redis or Valkey: one Lua script for each atomic step."""

from __future__ import annotations

from nephew.backends import hosts
from nephew.backends.contract import SOON, Backend
from nephew.backends.records import Ended
from nephew.backends.redis.archive import Archiving
from nephew.backends.redis.doorbell import ClaimingDoorbell
from nephew.backends.redis.events import Events
from nephew.backends.redis.locks import Locks
from nephew.backends.redis.pruning import Pruning
from nephew.backends.redis.schedules import Schedules
from nephew.backends.redis.settlement import Settlement
from nephew.backends.redis.transactions import Transactions
from nephew.backends.redis.waiting import Waiting
from nephew.backends.redis.wakeup import ChannelWatcher
from nephew.backends.redis.workers import Workers
from nephew.backends.watcher import Doorbell, Watcher
from nephew.settings import Settings

#: Seconds between two looks of a server at its clock.
TICK = 0.1


class RedisBackend(Transactions, Settlement, Workers, Waiting, Locks, Schedules, Pruning, Archiving, Events, Backend):
    """All nouns of a backend on one Redis."""

    shared = True
    one_writer = False
    snapshots = False
    heartbeats = True

    def watcher(self) -> Watcher:
        """What tells a consumer of writes; see the contract."""
        return ChannelWatcher(self.dedicated, self.key("wake"))

    def doorbell(self) -> Doorbell:
        """What brings an idle worker its work; see the contract."""
        keys = [self.key("bell", queue) for queue in self.queues] or [self.key("bell")]
        return ClaimingDoorbell(self.dedicated, keys, self.waiting_claim, self.taken)

    def ends_watcher(self) -> Watcher:
        """What tells of ends and events; see the contract."""
        return ChannelWatcher(self.dedicated, self.key("ended"))

    def ends_soon(self, job_id: str, within: float) -> Ended | None:
        """How a job ends before it is worth a connection that listens; see the contract."""
        return super().ends_soon(job_id, within) if within < TICK else self.told_of_end(job_id, SOON)

    def run_dir(self) -> str:
        """The folder of the workers' files; see the contract."""
        return hosts.run_dir()


def open_redis(name: str, url: str, settings: Settings) -> RedisBackend:
    """The Redis backend of an instance; connects to nothing.

    :raises ConfigError: when the URL cannot be used.
    """
    return RedisBackend(name, url, settings)


__all__ = ["RedisBackend", "open_redis"]
