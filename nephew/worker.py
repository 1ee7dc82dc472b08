"""A worker: a process that claims jobs. Its registration, its presence, and the numbers that make steps repeatable."""

from __future__ import annotations

import functools
import itertools
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from nephew import failpoints
from nephew.backends.records import Claimed, Outcome, Settled, WorkerRecord
from nephew.backends.watcher import Doorbell
from nephew.endings import Finished, overruled
from nephew.errors import BackendError, NephewError, Refused, UnknownWorker
from nephew.gate import Gate
from nephew.job import ENDED, State
from nephew.ledger import Ledger
from nephew.logs import follow_jobs
from nephew.presence import Presence, boot_id, pid_namespace

if TYPE_CHECKING:
    from nephew.instance import Nephew
    from nephew.lane import Lane

T = TypeVar("T")

log = logging.getLogger("huey.nephew.worker")

#: Seconds that the code of a job has to end once it was stopped for the shutdown.
LAST_CALL = 1.0


class Worker:
    """What all threads of this process share that claim jobs of one instance.

    :ivar incarnation: random; known to the consumer before the process exists.
    :ivar lanes: one for each thread that runs jobs; `slots` is how many there may be.
    """

    def __init__(
        self, huey: Nephew, *, incarnation: str = "", parent: str = "", kind: str = "caller", slots: int = 1
    ) -> None:
        follow_jobs()
        self.huey, self.backend = huey, huey.backend
        self.incarnation = incarnation or uuid.uuid4().hex
        self.parent, self.kind = parent, kind
        self.pid = os.getpid()
        self.host = socket.gethostname()
        self.gate = Gate()
        self.ledger = Ledger(
            self._settle, huey.settings.settle_after, functools.partial(overruled, huey), self._settle_ahead
        )
        self.lanes: list[Lane] = []
        self._free_slots = list(range(slots))[::-1]
        self.slots = slots
        self._claims = itertools.count(1)
        self._settles = itertools.count(1)
        self._unanswered: int | None = None
        self._forgotten: set[tuple[int, str, int]] = set()
        self._counting, self._next_count = threading.Lock(), 0.0
        self._registering = threading.Lock()
        self._number: int | None = None
        self._presence: Presence | None = None

    @property
    def number(self) -> int:
        """The number that the store gave this worker; registers it first."""
        if self._number is None:
            self._register()
        assert self._number is not None
        return self._number

    @property
    def presence(self) -> Presence:
        """The file by which others see that this process lives."""
        if self._presence is None:
            self._register()
        assert self._presence is not None
        return self._presence

    def _register(self) -> None:
        with self._registering:
            if self._number is not None:
                return
            settings, backend = self.huey.settings, self.backend
            if self._presence is None:
                folder = settings.run_dir or backend.run_dir()
                self._presence = Presence(folder, self.incarnation, self.slots)
            self._number = backend.register(
                WorkerRecord(
                    0,
                    self.incarnation,
                    self.parent,
                    self.host,
                    boot_id(),
                    pid_namespace(),
                    self.pid,
                    self._presence.path,
                    self.kind,
                    ",".join(settings.queues),
                    0.0,
                    0.0,
                )
            )
        if failpoints.armed:
            failpoints.reach("registered")

    def take_slot(self) -> int:
        """A place in the presence file for one thread's running job."""
        return self._free_slots.pop()

    def return_slot(self, slot: int) -> None:
        """The thread that took it has ended."""
        self._free_slots.append(slot)

    @property
    def registered(self) -> bool:
        """Whether the store knows this worker."""
        return self._number is not None

    def next_claim(self) -> int:
        """A claim token that this worker has not used."""
        return next(self._claims)

    def claim(self, token: int, limit: int, ids: Sequence[str] = ()) -> list[Claimed]:
        """Take jobs; see the backend's contract. Repeat it with the same token until it answered."""
        self._refuse_in_a_child()
        queues = () if ids else self.huey.settings.queues
        try:
            jobs = self.backend.claim(self.number, token, limit, queues, ids)
        except UnknownWorker:
            self._sign_on_anew()
            jobs = self.backend.claim(self.number, token, limit, queues, ids)
        return _reached(jobs)

    def claim_ahead(self, token: int, limit: int) -> Callable[[], list[Claimed]] | None:
        """Send a claim and do not wait for it; see the backend's contract."""
        self._refuse_in_a_child()
        answer = self.backend.claim_ahead(self.number, token, limit, self.huey.settings.queues)
        return None if answer is None else lambda: _reached(answer())

    def claim_at(self, doorbell: Doorbell, token: int, limit: int, seconds: float) -> int | None:
        """Have the store do a claim once there is work; see `Doorbell.ask`."""
        self._refuse_in_a_child()
        return doorbell.ask(self.number, token, limit, self.huey.settings.queues, seconds)

    def claimed_at(self, doorbell: Doorbell) -> list[Claimed] | None:
        """What that claim took; see `Doorbell.jobs`."""
        jobs = doorbell.jobs()
        return None if jobs is None else _reached(jobs)

    def count_held(self) -> None:
        """Once a heartbeat, whichever lane comes, compare what the store says that is held here with what is."""
        with self._counting:
            now = time.monotonic()
            if now < self._next_count:
                return
            self._next_count = now + self.huey.settings.heartbeat
        self.give_back_forgotten()

    def give_back_forgotten(self) -> int:
        """Give back what the store says that this worker holds, but nobody here knows of, nor did the last time.

        So it is when a server lost its last moments: what was ended then is held again.
        """
        held = self.backend.held(self.number)
        known = {token for lane in self.lanes for token in lane.tokens()}  # afterwards: a lane notes what it claims
        held = [each for each in held if each[2] not in known]
        forgotten = [each for each in held if each in self._forgotten]
        self._forgotten = set(held)
        for seq, job_id, claim in forgotten:
            log.warning("Job %s is held by this worker, which had ended it; the store has lost that.", job_id)
            self.ledger.add(Finished(Outcome(seq, job_id, claim, State.QUEUED)))
        if forgotten:
            self.ledger.flush()
        return len(forgotten)

    def asked_to_stop(self) -> list[tuple[int, int, str]]:
        """The claims of this worker whose end somebody has asked for, each with the reason."""
        return [] if self._number is None else self.backend.asked_to_stop(self._number)

    def _refuse_in_a_child(self) -> None:
        """A fork's child would claim and settle with its parent's numbers; the store could not tell them apart."""
        if self.pid != os.getpid():
            raise NephewError(
                f"the worker of process {self.pid} was used in its child {os.getpid()}; nothing was claimed or "
                "settled; end a job's child with os._exit()"
            )

    def _sign_on_anew(self) -> None:
        """We were taken for dead (stopped, or cut off for longer than the lease); our claims are others'."""
        log.warning("This worker had been taken for dead and its jobs given to others; it signs on anew.")
        self._number = None

    def _settle(self, outcomes: Sequence[Outcome]) -> Settled:
        number = self._settle_number(outcomes)
        return self._answered(lambda: self.backend.settle(self.number, number, outcomes))

    def _settle_ahead(self, outcomes: Sequence[Outcome]) -> Callable[[], Settled] | None:
        number = self._settle_number(outcomes)
        answer = self._unless_refused(lambda: self.backend.settle_ahead(self.number, number, outcomes))
        return None if answer is None else lambda: self._answered(answer)

    def _settle_number(self, outcomes: Sequence[Outcome]) -> int:
        """The number of a settle that is about to be sent. It is kept until the store answered.

        A repeated step must carry the same one.
        """
        self._refuse_in_a_child()
        if self._unanswered is None:
            self._unanswered = next(self._settles)
        if failpoints.armed:
            failpoints.reach("before-settle")
            if any(outcome.state not in ENDED for outcome in outcomes):
                failpoints.reach("before-requeue")
        return self._unanswered

    def _answered(self, answer: Callable[[], Settled]) -> Settled:
        reply = self._unless_refused(answer)
        if failpoints.armed:
            failpoints.reach("settled-unacknowledged")
        self._unanswered = None
        if not reply.known:
            self._sign_on_anew()
        return reply

    def _unless_refused(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except Refused:
            self._unanswered = None  # an answer as well: nothing was applied
            raise

    def retire(self) -> None:
        """End in peace: settle what is finished, give back what is not begun, and sign off."""
        if self.pid != os.getpid():
            return
        if self._number is not None:
            self.ledger.flush()
        if self._number is not None:  # the flush may have told that it was taken for dead
            if failpoints.armed:
                failpoints.reach("before-retire")
            self.backend.retire(self._number)
            self._number = None
        if self._presence is not None:
            self._presence.remove()
            self._presence = None

    def acquit(self) -> None:
        """The process is about to end for no fault of its jobs: let its file say that it is running nothing."""
        if self._presence is not None:
            for slot in range(self.slots):
                self._presence.ended(slot)

    def give_back_all(self) -> None:
        """Give back every claim, also of jobs that are still running here; they will run again, uncounted.

        For the last moment of a shutdown: what they still do is not settled any more.
        """
        # In their transactions nothing can be given back; they do that themselves.
        self.break_off([lane for lane in self.lanes if lane.hushed])
        for lane in self.lanes:
            lane.hand_over(running_too=True)
        try:
            self.retire()  # settles them all in one step
        except BackendError as error:
            log.warning("The store cannot be told of the shutdown (%s); its jobs are found by the reaper.", error)

    def break_off(self, lanes: Sequence[Lane]) -> None:
        """Stop the code that these lanes run, and wait a moment for its `finally` blocks."""
        busy = [lane for lane in lanes if lane.job is not None]
        for lane in busy:
            lane.break_off()
        deadline = time.monotonic() + LAST_CALL
        while any(lane in self.lanes for lane in busy) and time.monotonic() < deadline:
            time.sleep(0.01)


def _reached(claimed: list[Claimed]) -> list[Claimed]:
    if failpoints.armed and claimed:
        failpoints.reach("claimed")
    return claimed
