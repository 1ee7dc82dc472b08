"""Who claims jobs, who is alive, and what becomes of a dead worker's claims."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator, Sequence

from nephew.backends.records import Claimed, Died, LogLines, WorkerRecord
from nephew.backends.redis import packing
from nephew.backends.redis.queue import Queue
from nephew.backends.redis.steps import Value
from nephew.backends.texts import RETIRED

log = logging.getLogger("huey.nephew.redis")

#: What a worker says of itself; the rest the server knows.
TOLD = ("incarnation", "parent", "host", "boot", "pid_namespace", "pid", "path", "kind", "queues")


class Workers(Queue):
    """The registrations of workers."""

    #: The keys of a wrong type that were told of.
    _reported: frozenset[str] = frozenset()

    def register(self, worker: WorkerRecord) -> int:
        """Make a worker known; see the contract."""
        return int(self.run("register", worker.incarnation, _written(worker), *filter(None, worker.queues.split(","))))

    def retire(self, worker: int) -> None:
        """Sign a worker off and give back what it still holds; see the contract."""
        self.run("retire", worker, RETIRED, self.keep_events)

    def held(self, worker: int) -> list[tuple[int, str, int]]:
        """What a worker holds; see the contract."""
        found = self.run("evidence", worker)
        return [(int(place), job_id.decode(), int(claim)) for job_id, place, claim, _ in found]

    def release_orphans(self) -> int:
        """There are none: a worker's registration and its claims end in one step; see the contract."""
        return 0

    def has_lost(self) -> bool:
        """Whether there are jobs of nobody that somebody has to end; see the contract."""
        return bool(self.call("EXISTS", self.key("held", "0")))

    def take_over(self, heir: int, claim: int) -> list[Claimed]:
        """Claim the jobs of nobody; see the contract."""
        return self._inherited("take_over", claim, heir, claim)

    def begin_once(self, worker: int, seq: int, claim: int, since: float) -> bool:
        """Note the only begin of a job; see the contract."""
        return bool(self.run("begin_once", worker, seq, claim, since, self.keep_events))

    def ask_to_stop(self, job_id: str, reason: str) -> bool:
        """Ask for a held job's end; see the contract."""
        return bool(self.run("ask_to_stop", job_id, _text(reason)))

    def asked_to_stop(self, worker: int) -> list[tuple[int, int, str]]:
        """Whose end is asked for; see the contract."""
        return [(int(place), int(claim), why.decode()) for place, claim, why in self.run("asked_to_stop", worker)]

    def heartbeat(self, incarnations: Sequence[str]) -> None:
        """These workers live; see the contract."""
        self.measure_clock()
        self._report({key.decode(errors="replace") for key in self.run("heartbeat", *incarnations)})

    def _report(self, broken: set[str]) -> None:
        """Say once of each key that somebody else's value is there."""
        for key in sorted(broken - self._reported):
            log.error(
                "The key %s is of the wrong type: what belongs there is left out, jobs that belong there are parked. "
                "Delete or rename it; parked jobs are released when a consumer starts.",
                key,
            )
        self._reported |= broken

    def workers(self) -> list[WorkerRecord]:
        """The registered workers; see the contract."""
        return sorted(_read(*found) for found in self.run("workers"))

    def mark_running(self, worker: int, running: Sequence[tuple[int, int, float]]) -> None:
        """Note what is being run; see the contract."""
        self.run("mark_running", worker, self.keep_events, *(value for claim in running for value in claim))

    def note_progress(self, worker: int, seq: int, claim: int, fraction: float, message: str | None) -> None:
        """Store progress; see the contract."""
        told = () if message is None else (_text(message),)
        self.run("note_progress", worker, seq, claim, fraction, *told)

    def note_log(self, worker: int, seq: int, claim: int, log: LogLines) -> None:
        """Store a running job's log lines; see the contract."""
        self.run("note_log", worker, seq, claim, *packing.log(log))

    def reap(self, died: Died, heir: int, claim: int, caps: Callable[[str], int]) -> list[Claimed]:
        """Give back what a dead worker held; see the contract."""
        told, charged = ("1" if given else "" for given in (died.running is not None, died.charged))
        evidence = self._evidence(died, caps)
        values = (died.worker, heir, claim, _text(died.cause), told, charged, self.keep_events, *evidence)
        return self._inherited("reap", claim, *values)

    def _evidence(self, died: Died, caps: Callable[[str], int]) -> Iterator[Value]:
        """What it was running, as `lua/reap.lua` reads it; the script asks nobody for caps."""
        running = died.running or {}
        if not died.charged or not (running or died.suspects):
            return
        for job_id, place, claim, task in self.run("evidence", died.worker):
            found = int(place), int(claim)
            if found in running:
                yield from (job_id, claim, running[found] or "", caps(task.decode()))
            elif found in died.suspects:
                yield from (job_id, claim, "", "")

    def _inherited(self, name: str, claim: int, *values: Value) -> list[Claimed]:
        """What a script gave to an heir, who has to end it."""
        reply, once = self.run(name, *values)
        only_once = {job_id.decode() for job_id in once}
        return [job._replace(once=job.id in only_once) for job in self._claimed(reply, claim)]


def _written(worker: WorkerRecord) -> bytes:
    # A path may have bytes that are no text; the server's scripts refuse them as escapes, not as they are.
    told = json.dumps({name: getattr(worker, name) for name in TOLD}, ensure_ascii=False)
    return told.encode("utf-8", "surrogateescape")


def _read(number: bytes, told: bytes, heard: bytes) -> WorkerRecord:
    values = json.loads(told.decode("utf-8", "surrogateescape"))
    return WorkerRecord(int(number), heartbeat_at=float(heard), **values)


def _text(text: str) -> bytes:
    """A text for people; what a function reported may have characters that UTF-8 has not."""
    return text.encode("utf-8", "backslashreplace")
