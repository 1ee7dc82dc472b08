"""What a backend has to do, said once more in plain dictionaries: for the test that compares the two step by step.

It has the verbs of the contract, and no storage. `rows` is in the order of the places, the first in the queue first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from nephew.backends.records import Change, ChordMark, Claimed, Died, Enqueued, Never, NewJob, Outcome, Row, Settled
from nephew.backends.schedules import Decided, Decision
from nephew.errors import UnknownWorker
from nephew.job import ENDED, WAITING, State

#: Whose are jobs that were begun, may not be begun again, and whose worker is gone.
NOBODY = 0
#: Where jobs wait for their time.
LATER = (State.SCHEDULED, State.RETRYING)
NOTHING_SETTLED = (0, Settled({}, ()))


class Model:
    """One instance's jobs, workers and locks, and a schedule."""

    def __init__(self, now: float) -> None:
        #: It stands still; `pass_time` moves everything else into the past.
        self.now = now
        self.rows: dict[str, Row] = {}
        #: The outcomes of a job's stored attempts, with their numbers.
        self.attempts: dict[str, list[tuple[int, str]]] = {}
        #: The number and the reply of each registered worker's last settle.
        self.workers: dict[int, tuple[int, Settled]] = {}
        self.alone: set[str] = set()
        self.once: set[str] = set()
        self.chords: dict[str, dict[int, bytes]] = {}
        self.revocations: dict[str, bytes] = {}
        #: Owner and expiry.
        self.held_locks: dict[str, tuple[str, float]] = {}
        #: Up to where the one schedule is decided.
        self.seen = 0.0

    # -- the way in ---------------------------------------------------------------------------------
    def enqueue(self, jobs: Sequence[NewJob]) -> list[Enqueued]:
        return [self._enqueue(job) for job in jobs]

    def _enqueue(self, job: NewJob) -> Enqueued:
        twin = self._twin(job.unique_key)
        if twin is not None:
            return Enqueued(twin, twin != job.id)
        known = self.rows.get(job.id)
        if known is None or known.state in ENDED:
            state = State.SCHEDULED if job.eta is not None and job.eta > self.now else State.QUEUED
            self._put_at_the_back(_row(job, state))
            self.attempts[job.id] = []
            self.alone.discard(job.id)
        return Enqueued(job.id, False)

    def _twin(self, key: str | None) -> str | None:
        unfinished = (row for row in self.rows.values() if row.state not in ENDED)
        return next((row.id for row in unfinished if key is not None and row.unique_key == key), None)

    def _put_at_the_back(self, row: Row) -> None:
        self.rows.pop(row.id, None)
        self.rows[row.id] = row

    def decide(self, decisions: Sequence[Decision]) -> list[Decided]:
        (decision,) = decisions
        if decision.seen != self.seen:
            return [Decided(False, self.seen)]
        self.enqueue([tick.job for tick in decision.ticks if tick.job])
        self.seen = decision.upto
        return [Decided(True, self.seen, tuple((tick.due, tick.fate, tick.reason) for tick in decision.ticks))]

    # -- a worker's hand ----------------------------------------------------------------------------
    def register(self, number: int) -> None:
        self.workers[number] = NOTHING_SETTLED

    def claim(
        self, worker: int, claim: int, limit: int, queues: Sequence[str] = (), ids: Sequence[str] = ()
    ) -> list[Claimed]:
        if worker not in self.workers:
            raise UnknownWorker(str(worker))
        if not self._taken(worker, claim):
            rows = (self.rows[id] for id in ids if id in self.rows)
            free = [row for row in rows if row.worker is None and row.state in WAITING | {State.PARKED}]
            for row in (free if ids else self.in_turn(queues))[:limit]:
                self._set(row.id, worker=worker, claim=claim)
        return self._taken(worker, claim)

    def in_turn(self, queues: Sequence[str] = ()) -> list[Row]:
        """The jobs that wait for a worker, the most urgent first."""
        rows = [row for row in self._waiting(State.QUEUED) if not queues or row.queue in queues]
        return sorted(rows, key=lambda row: -row.priority)

    def _waiting(self, *states: State) -> Iterator[Row]:
        return (row for row in self.rows.values() if row.state in states and row.worker is None)

    def _taken(self, worker: int, claim: int) -> list[Claimed]:
        rows = [row for row in self._held_by(worker) if row.claim == claim]
        return [self._claimed(row) for row in sorted(rows, key=lambda row: -row.priority)]

    def _held_by(self, worker: int) -> list[Row]:
        return [row for row in self.rows.values() if row.worker == worker]

    def _claimed(self, row: Row) -> Claimed:
        keys = (f"r:{row.id}", f"rt:{row.task}")
        values = self.chords.get(row.chord or "", {})
        return Claimed(
            row.seq, row.id, row.task, row.queue, row.payload, row.priority, row.attempts, row.crashes,
            row.id in self.alone, row.claim or 0, row.chord, row.expires_at, row.tags, row.cancelling,
            row.id in self.once, tuple(values[position] for position in sorted(values)),
            {key: self.revocations[key] for key in keys if key in self.revocations},
        )  # fmt: skip

    def mark_running(self, worker: int, running: Sequence[tuple[int, int, float]]) -> None:
        for row in self._held_by(worker):
            for seq, claim, since in running:
                if (row.seq, row.claim) == (seq, claim):
                    self._set(row.id, state=State.RUNNING, started_at=since)

    def begin_once(self, worker: int, seq: int, claim: int, since: float) -> bool:
        held = [row.id for row in self._held_by(worker) if (row.seq, row.claim) == (seq, claim)]
        self.once.update(held)
        self.mark_running(worker, [(seq, claim, since)])
        return bool(held)

    def ask_to_stop(self, job_id: str, reason: str) -> bool:
        row = self.rows.get(job_id)
        if row is None or row.worker is None:
            return False
        self._set(job_id, cancelling=reason)
        return True

    def held(self, worker: int) -> list[tuple[int, str, int]]:
        return [(row.seq, row.id, row.claim or 0) for row in self._held_by(worker)]

    def asked_to_stop(self, worker: int) -> list[tuple[int, int, str]]:
        return [(row.seq, row.claim or 0, row.cancelling) for row in self._held_by(worker) if row.cancelling]

    # -- the end of a claim -------------------------------------------------------------------------
    def settle(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Settled:
        lost = dict.fromkeys((outcome.seq, outcome.claim) for outcome in outcomes)
        if worker not in self.workers:
            return Settled(lost, (), known=False)
        last, reply = self.workers[worker]
        if number < last:
            return Settled(lost, ())
        if number > last:
            reply = self._settle(worker, outcomes)
            self.workers[worker] = (number, reply)
        return reply

    def _settle(self, worker: int, outcomes: Sequence[Outcome]) -> Settled:
        firsts = {(each.seq, each.claim): each for each in reversed(outcomes)}  # a claim ends once
        holding = {key: each for key, each in firsts.items() if self._holds(worker, each)}
        stops = {key: self.rows[each.id].cancelling for key, each in holding.items() if _is_own_end(each)}
        stopped = {key: reason for key, reason in stops.items() if reason is not None}
        kept = [each for key, each in sorted(holding.items()) if key not in stopped]
        for outcome in kept:
            self._apply(outcome)
        enqueued = [id for outcome in kept for id in self._follow(outcome)]
        for outcome in kept:
            if outcome.payload is not None:
                self._run_again(outcome)
        for outcome in kept:
            if outcome.attempt is not None:
                self.attempts[outcome.id].append((self.rows[outcome.id].attempts, outcome.attempt))
        return Settled(dict.fromkeys(firsts.keys() - holding.keys()), tuple(enqueued), stopped=stopped)

    def _holds(self, worker: int, outcome: Outcome) -> bool:
        row = self.rows.get(outcome.id)
        return row is not None and (row.worker, row.seq, row.claim) == (worker, outcome.seq, outcome.claim)

    def _apply(self, outcome: Outcome) -> None:
        for key in outcome.forget:
            self.revocations.pop(key, None)
        row = self.rows[outcome.id]
        counted = row.attempts + outcome.counted
        if outcome.state in ENDED:
            self._let_go(
                row.id, state=outcome.state, attempts=counted, started_at=outcome.started_at or row.started_at,
                finished_at=outcome.finished_at, result=outcome.result, error=outcome.error, reason=outcome.reason,
                fingerprint=outcome.fingerprint,
            )  # fmt: skip
        elif outcome.state is State.PARKED:
            self._let_go(row.id, state=State.PARKED, reason=outcome.reason, started_at=None)
        elif outcome.payload is None:
            eta = row.eta if outcome.eta is None else outcome.eta
            self._let_go(row.id, state=outcome.state, attempts=counted, started_at=None, eta=eta)

    def _run_again(self, outcome: Outcome) -> None:
        row = self.rows[outcome.id]
        later = outcome.eta is not None and outcome.eta > self.now and row.cancelling is None
        self._let_go(
            row.id, state=outcome.state if later else State.QUEUED, attempts=row.attempts + outcome.counted,
            started_at=None, eta=outcome.eta, payload=outcome.payload, error=outcome.error, chord=None,
            fingerprint=outcome.fingerprint, result=row.result if outcome.result is None else outcome.result,
        )  # fmt: skip
        self._put_at_the_back(self.rows[row.id])
        self.alone.discard(row.id)
        if row.crashes:
            self.alone.add(row.id)

    def _follow(self, outcome: Outcome) -> list[str]:
        """The ids of what an outcome enqueues."""
        jobs = list(outcome.follow_ups)
        for step in outcome.never:
            self._write_never(step)
        if outcome.chord_done is not None:
            self.chords.pop(outcome.chord_done, None)
        if outcome.chord_mark is not None and self._is_last(outcome.chord_mark) and outcome.chord_mark.callback:
            jobs.append(outcome.chord_mark.callback)
        return [entry.id for entry in self.enqueue(jobs) if not entry.duplicate]

    def _write_never(self, step: Never) -> None:
        if step.id not in self.rows:
            row = _row(NewJob(step.id, step.task, step.queue, step.payload), State.CANCELLED)
            self._put_at_the_back(row._replace(result=step.result, reason=step.reason))
            self.attempts[step.id] = []

    def _is_last(self, mark: ChordMark) -> bool:
        values = self.chords.setdefault(mark.cid, {})
        if mark.position in values:
            return False
        values[mark.position] = mark.value
        return len(values) == mark.size

    def _let_go(self, job_id: str, **changes: object) -> None:
        self.once.discard(job_id)
        self._set(job_id, worker=None, claim=None, **changes)
        if changes.get("state") in ENDED:
            self._set(job_id, cancelling=None)

    def _set(self, job_id: str, **changes: object) -> None:
        self.rows[job_id] = self.rows[job_id]._replace(**changes)

    # -- workers that end ---------------------------------------------------------------------------
    def retire(self, worker: int) -> None:
        if self.workers.pop(worker, None):
            for row in self._held_by(worker):
                if row.id in self.once:
                    self._set(row.id, worker=NOBODY)
                else:
                    self._wait_again(row)

    def _wait_again(self, row: Row) -> None:
        state = State.QUEUED if row.state == State.RUNNING else row.state
        self._set(row.id, state=state, worker=None, claim=None, started_at=None)

    def reap(self, died: Died, heir: int, claim: int, caps: Callable[[str], int]) -> list[Claimed]:
        if self.workers.pop(died.worker, None):
            for row in self._held_by(died.worker):
                if self._survives(row, died, caps):
                    self._wait_again(self.rows[row.id])
                else:
                    self._set(row.id, worker=heir, claim=claim)
        return self._taken(heir, claim)

    def _survives(self, row: Row, died: Died, caps: Callable[[str], int]) -> bool:
        """Whether a job that a dead worker held may run again; charges it."""
        if row.id in self.once:
            return False
        key = (row.seq, row.claim or 0)
        guilty = died.charged and died.running is not None and key in died.running
        if guilty:
            self._set(row.id, crashes=row.crashes + 1, attempts=row.attempts + 1)
            self.attempts[row.id].append((row.attempts + 1, "crashed"))
            if row.crashes + 1 >= caps(row.task):
                return False
        if guilty or (died.charged and (died.running is None or key in died.suspects)):
            self.alone.add(row.id)
        return True

    def has_lost(self) -> bool:
        return bool(self._held_by(NOBODY))

    def take_over(self, heir: int, claim: int) -> list[Claimed]:
        for row in self._held_by(NOBODY):
            self._set(row.id, worker=heir, claim=claim)
        return self._taken(heir, claim)

    # -- jobs that wait -----------------------------------------------------------------------------
    def pass_time(self, seconds: float) -> None:
        for row in self.rows.values():
            eta, expires_at = (None if time is None else time - seconds for time in (row.eta, row.expires_at))
            self._set(row.id, eta=eta, expires_at=expires_at)
        self.held_locks = {name: (owner, until - seconds) for name, (owner, until) in self.held_locks.items()}

    def promote(self) -> int:
        due = [row for row in self._later() if row.eta is not None and row.eta <= self.now]
        for row in sorted(due, key=lambda row: row.eta or 0.0):
            self._put_at_the_back(row._replace(state=State.QUEUED))
        return len(due)

    def _later(self) -> Iterator[Row]:
        return self._waiting(*LATER)

    def next_due(self) -> float | None:
        return min((row.eta for row in self._later() if row.eta is not None), default=None)

    def expired(self) -> list[str]:
        waiting = (row for row in self._waiting(*WAITING) if row.expires_at is not None)
        return [row.id for row in waiting if (row.expires_at or 0.0) < self.now]

    def change(self, job_id: str, change: Change) -> bool:
        if job_id not in (row.id for row in self._waiting(*WAITING)):
            return False
        row = self.rows[job_id]
        self._set(job_id, **{name: value for name, value in change._asdict().items() if value is not None})
        if change.eta is not None and change.eta > self.now:
            self._set(job_id, state=State.RETRYING if row.state == State.RETRYING else State.SCHEDULED)
        elif change.eta is not None and row.state != State.QUEUED:
            self._put_at_the_back(self.rows[job_id]._replace(state=State.QUEUED))
        return True

    def unpark(self, ids: Sequence[str]) -> int:
        parked = [row for row in self._waiting(State.PARKED) if row.id in ids]
        for row in parked:
            self._set(row.id, state=State.QUEUED, reason=None)
        return len(parked)

    def requeue(self, job_id: str) -> bool:
        row = self.rows.get(job_id)
        if row is None or row.state not in ENDED or self._twin(row.unique_key) is not None:
            return False
        if row.chord is not None and row.chord not in self.chords:
            return False
        self._put_at_the_back(
            row._replace(
                state=State.QUEUED, eta=None, reason=None, crashes=0, started_at=None, finished_at=None, result=None,
                error=None, fingerprint=None, cancelling=None, expires_at=float("inf"),
            )
        )  # fmt: skip
        self.alone.discard(job_id)
        self.revocations.pop(f"r:{job_id}", None)
        return True

    def delete_jobs(self, ids: Sequence[str], ended: bool = False) -> int:
        rows = [self.rows[id] for id in ids if id in self.rows]
        meant = [row for row in rows if not ended or row.state in ENDED | {State.PARKED}]
        for row in meant:
            del self.rows[row.id], self.attempts[row.id]
            self.once.discard(row.id)
            self.alone.discard(row.id)
            self.chords.pop(row.chord or "", None)
            self.revocations.pop(f"r:{row.id}", None)
        return len(meant)

    # -- results, revocations, locks ----------------------------------------------------------------
    def take_result(self, job_id: str) -> bytes | None:
        row = self.rows.get(job_id)
        if row is None:
            return None
        self._set(job_id, result=None)
        return row.result

    def outcome(self, job_id: str) -> tuple[str, bytes | None, str | None] | None:
        row = self.rows.get(job_id)
        return None if row is None else (row.state, row.result, row.reason)

    def put(self, key: str, value: bytes) -> None:
        self.revocations[key] = value

    def pop(self, key: str) -> bytes | None:
        return self.revocations.pop(key, None)

    def acquire_lock(self, name: str, owner: str, ttl: float) -> bool:
        free = dict(self.locks()).get(name, owner) == owner
        if free:
            self.held_locks[name] = (owner, self.now + ttl)
        return free

    def renew_lock(self, name: str, owner: str, ttl: float) -> bool:
        return (name, owner) in self.locks() and self.acquire_lock(name, owner, ttl)

    def release_lock(self, name: str, owner: str | None) -> bool:
        if name not in self.held_locks or owner not in (None, self.held_locks[name][0]):
            return False
        del self.held_locks[name]
        return True

    def locks(self) -> list[tuple[str, str]]:
        held = sorted(self.held_locks.items())
        return [(name, owner) for name, (owner, until) in held if until > self.now]


def _row(job: NewJob, state: State) -> Row:
    return Row(
        0, job.id, job.task, job.queue, state, job.priority, job.eta, job.payload, None, None, 0, 0, None, None, None,
        0.0, None, None, None, None, None, job.unique_key, job.expires_at, job.parent, job.relation, job.member,
        job.tags, job.redacted, None, None, job.chord,
    )  # fmt: skip


def _is_own_end(outcome: Outcome) -> bool:
    """Whether the function itself came to it: that does not count once somebody has asked for the job's end."""
    if outcome.state is State.FAILED:
        return outcome.attempt not in (None, "lost")
    return outcome.state is State.SUCCEEDED
