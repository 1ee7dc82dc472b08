"""The end of a claim: everything that an outcome brings becomes true in one transaction, or nothing does."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

from nephew.backends.records import ChordMark, Holder, LogLines, Never, NewJob, Outcome, Settled
from nephew.backends.sql.connection import Run
from nephew.backends.sql.events import Happened, tell
from nephew.backends.sql.rows import marks
from nephew.backends.sql.successes import OPEN, Overtaken, Successes, claim_of, happened, is_plain
from nephew.backends.texts import storable
from nephew.job import ENDED, State

END = (
    "UPDATE nephew_job SET state = ?, attempts = attempts + ?, started_at = coalesce(?, started_at), finished_at = ?,"
    " result = ?, error = ?, fingerprint = ?, reason = ?, worker_label = ?, progress = coalesce(?, progress),"
    " progress_message = CASE WHEN ? THEN ? ELSE progress_message END WHERE seq = ?"
)
GIVE_BACK = (
    "UPDATE nephew_job SET state = ?, worker = NULL, claim = NULL, started_at = NULL, once = FALSE,"
    " eta = coalesce(?, eta), attempts = attempts + ? WHERE seq = ?"
)
AGAIN = (
    # One whose end was asked for meanwhile does not wait for its next attempt: whoever claims it ends it.
    "UPDATE nephew_job SET state = CASE WHEN cancelling IS NULL THEN ? ELSE 'queued' END, seq = ?, payload = ?,"
    " eta = ?, attempts = attempts + ?, worker = NULL, claim = NULL, started_at = NULL, once = FALSE, error = ?,"
    " fingerprint = ?, result = coalesce(?, result), chord = NULL, alone = crashes > 0, progress = NULL,"
    " progress_message = NULL WHERE seq = ?"
)
ATTEMPT = (
    "INSERT INTO nephew_attempt"
    " (name, job, attempt, started_at, finished_at, worker, outcome, error, traceback)"
    " SELECT name, id, attempts, coalesce(?, started_at), ?, ?, ?, ?, ? FROM nephew_job WHERE name = ? AND id = ?"
)
LOG = (
    "INSERT INTO nephew_log (name, job, attempt, lines, dropped) VALUES (?, ?, ?, ?, ?)"
    " ON CONFLICT (name, job, attempt) DO UPDATE SET lines = excluded.lines, dropped = excluded.dropped"
)
PARK = (
    "UPDATE nephew_job SET state = 'parked', reason = ?, worker = NULL, claim = NULL, started_at = NULL, once = FALSE"
    " WHERE seq = ?"
)
NEVER = (
    "INSERT INTO nephew_job (name, id, task, queue, state, priority, payload, enqueued_at, finished_at,"
    " result, reason, parent, relation, member, tags, redacted, chord)"
    " VALUES (?, ?, ?, ?, 'cancelled', 0, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"
)

_BY_PLACE = attrgetter("seq")

#: What is said of nearly every settle.
ALL_WELL = Settled({}, ())


class Repeated(Exception):
    """This settle was already applied; roll back and tell the first reply."""


class Settlement(Successes):
    """Outcomes, applied."""

    def settle(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Settled:
        """Apply outcomes; see the contract."""
        ordered = in_order(outcomes)
        at_once = self._at_once(worker, number, ordered)
        if at_once is not None and self.write_one(*at_once):
            return ALL_WELL
        return self._settle_apart(worker, number, ordered)

    def _settle_apart(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Settled:
        def step(run: Run, settled: Settled, applied: Sequence[Outcome]) -> Settled:
            if self._remember(run, worker, number, settled):
                self._forget_revocations(run, applied)
            return settled

        try:
            return self._write_ends(worker, outcomes, step)
        except Repeated:
            return self._first_reply(worker, number, outcomes)

    def _write_ends(
        self, worker: int, outcomes: Sequence[Outcome], step: Callable[[Run, Settled, Sequence[Outcome]], Settled]
    ) -> Settled:
        """Apply outcomes, and then this step to what was done and applied, in one transaction."""
        try:
            return self.write(lambda run: step(run, *self._apply(run, worker, outcomes)))
        except Overtaken:
            return self.write(lambda run: step(run, *self._apply(run, worker, outcomes, looks=True)))

    def _apply(
        self, run: Run, worker: int, outcomes: Sequence[Outcome], looks: bool = False
    ) -> tuple[Settled, Sequence[Outcome]]:
        """What was done, and the outcomes that were applied.

        :param looks: whether it looks at all of them first.
        :raises Overtaken: when it has to.
        """
        plain: list[Outcome] = []
        others: list[Outcome] = []
        for outcome in outcomes:
            (others if looks or not is_plain(outcome) else plain).append(outcome)
        self._succeed(run, worker, plain)
        held = self._held(run, worker, others)
        own_ends = {claim_of(outcome) for outcome in others if _is_own_end(outcome)}
        stopped = {claim: reason for claim, reason in held.items() if reason is not None and claim in own_ends}
        kept = [o for o in others if claim_of(o) in held and claim_of(o) not in stopped]
        broken_off = self._broken_off(run, [outcome for outcome in kept if not _is_told(outcome)])
        self._end(run, [outcome for outcome in kept if outcome.state in ENDED])
        self._give_back(run, [o for o in kept if o.state not in ENDED and o.payload is None])
        enqueued = self._follow(run, kept)
        self._run_again(run, [o for o in kept if o.payload is not None])
        self._record_attempts(run, [outcome for outcome in kept if outcome.attempt is not None])
        self._keep_logs(run, kept)
        told = sorted([*plain, *filter(_is_told, kept)], key=_BY_PLACE)
        tell(run, self.dialect, self.name, self.now(), [*map(happened, told), *broken_off])
        lost = [outcome for outcome in others if claim_of(outcome) not in held]
        return Settled(self._taken_over(run, lost), tuple(enqueued), stopped=stopped), [*plain, *kept]

    def _taken_over(self, run: Run, lost: Sequence[Outcome]) -> dict[tuple[int, int], Holder | None]:
        """The claims of these outcomes, each with who has the job instead; a retry has given it another place."""
        if not lost:
            return {}
        rows = run(
            f"SELECT id, worker, claim FROM nephew_job WHERE name = ? AND id IN ({marks(lost)}) AND worker IS NOT NULL",
            (self.name, *(outcome.id for outcome in lost)),
        )
        holders = {job: Holder(worker, claim) for job, worker, claim in rows.fetchall()}
        return {(outcome.seq, outcome.claim): holders.get(outcome.id) for outcome in lost}

    def _held(self, run: Run, worker: int, outcomes: Sequence[Outcome]) -> dict[tuple[int, int], str | None]:
        """The claims that still hold, each with why its end was asked for, if it was."""
        if not outcomes:
            return {}
        claims = set(map(claim_of, outcomes))
        rows = run(
            f"SELECT seq, claim, cancelling FROM nephew_job WHERE seq IN ({marks(outcomes)}) AND worker = ? AND {OPEN}"
            f" ORDER BY seq{self.dialect.for_update}",
            (*(outcome.seq for outcome in outcomes), worker),
        )
        return {(row[0], row[1]): row[2] for row in rows.fetchall() if (row[0], row[1]) in claims}

    def _broken_off(self, run: Run, returned: Sequence[Outcome]) -> list[Happened]:
        """The events of those that had begun, of the jobs that are given back."""
        if not returned:
            return []
        states = {outcome.seq: outcome.state for outcome in returned}
        rows = run(
            f"SELECT seq, id, task FROM nephew_job WHERE seq IN ({marks(states)}) AND state = 'running' ORDER BY seq",
            list(states),
        )
        return [(job, task, states[seq], None, None) for seq, job, task in rows.fetchall()]

    def _end(self, run: Run, ended: Sequence[Outcome]) -> None:
        if ended:
            now = self.now()
            run(END, [_end_values(outcome, now) for outcome in ended], many=True)

    def _give_back(self, run: Run, returned: Sequence[Outcome]) -> None:
        parked = [(storable(o.reason), o.seq) for o in returned if o.state is State.PARKED]
        waiting = [(o.state, o.eta, int(o.counted), o.seq) for o in returned if o.state is not State.PARKED]
        if parked:
            run(PARK, parked, many=True)
        if waiting:
            run(GIVE_BACK, waiting, many=True)
            self.dialect.tell(run, self.name)

    def _run_again(self, run: Run, again: Sequence[Outcome]) -> None:
        if not again:
            return
        now = self.now()
        fresh = self.dialect.fresh_seqs(run, len(again))
        values = []
        for outcome, seq in zip(again, fresh, strict=True):
            later = outcome.eta is not None and outcome.eta > now
            waiting = outcome.state if later else State.QUEUED
            values.append(
                (waiting, seq, outcome.payload, outcome.eta, int(outcome.counted), storable(outcome.error),
                 outcome.fingerprint, outcome.result, outcome.seq)
            )  # fmt: skip
        run(AGAIN, values, many=True)
        self.dialect.tell(run, self.name)

    def _record_attempts(self, run: Run, attempts: Sequence[Outcome]) -> None:
        values = [
            (o.started_at, o.finished_at, o.worker, o.attempt, storable(o.error), storable(o.traceback),
             self.name, o.id)
            for o in attempts
        ]  # fmt: skip
        if values:
            run(ATTEMPT, values, many=True)

    def _keep_logs(self, run: Run, outcomes: Sequence[Outcome]) -> None:
        values = [log_values(self.name, o.id, o.log) for o in outcomes if o.log is not None]
        if values:
            run(LOG, values, many=True)

    def _follow(self, run: Run, kept: Sequence[Outcome]) -> list[str]:
        """What the outcomes enqueue and count; the ids that were enqueued."""
        follow_ups: list[NewJob] = []
        for outcome in kept:
            follow_ups += outcome.follow_ups
            self._write_never(run, outcome.never)
            if outcome.chord_done is not None:
                self._forget_chord(run, outcome.chord_done)
        chords = sorted(o.chord_mark for o in kept if o.chord_mark is not None)
        complete = [mark for mark in chords if self._is_last(run, mark)]
        follow_ups += [mark.callback for mark in complete if mark.callback is not None]
        self._write_never(run, [mark.never for mark in complete if mark.never is not None])
        if not follow_ups:
            return []
        return [entry.id for entry in self._enqueue(run, follow_ups) if not entry.duplicate]

    def _forget_revocations(self, run: Run, applied: Sequence[Outcome]) -> None:
        keys = [key for outcome in applied for key in outcome.forget]
        if keys:
            run(f"DELETE FROM nephew_data WHERE name = ? AND key IN ({marks(keys)})", (self.name, *keys))

    def _write_never(self, run: Run, steps: Sequence[Never]) -> None:
        if not steps:
            return
        now = self.now()
        values = [
            (self.name, step.id, step.task, step.queue, step.payload, now, now, step.result,
             storable(step.reason), step.parent, step.relation, step.member, step.tags, step.redacted,
             step.chord)
            for step in steps
        ]  # fmt: skip
        run(NEVER, values, many=True)
        tell(run, self.dialect, self.name, now, [(step.id, step.task, State.CANCELLED, None, None) for step in steps])

    def _is_last(self, run: Run, mark: ChordMark) -> bool:
        """Count a member, once however often it ran; whether all have ended now."""
        new = run(
            "INSERT INTO nephew_chord_member (name, cid, position, value) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
            (self.name, mark.cid, mark.position, mark.value),
        ).rowcount
        if not new:
            return False
        # The counter's row is locked from here to the commit: two members that end at once see 1 and 2.
        done = run(
            "INSERT INTO nephew_chord (name, cid, done) VALUES (?, ?, 1)"
            " ON CONFLICT (name, cid) DO UPDATE SET done = nephew_chord.done + 1 RETURNING done",
            (self.name, mark.cid),
        ).fetchone()[0]
        return int(done) == mark.size

    def _forget_chord(self, run: Run, cid: str) -> None:
        run("DELETE FROM nephew_chord_member WHERE name = ? AND cid = ?", (self.name, cid))
        run("DELETE FROM nephew_chord WHERE name = ? AND cid = ?", (self.name, cid))

    def _remember(self, run: Run, worker: int, number: int, settled: Settled) -> bool:
        """Keep the reply, for this settle may be repeated; whether there are any revocations."""
        told = settled.lost or settled.enqueued or settled.stopped
        stopped = [(*key, reason) for key, reason in settled.stopped.items()]
        lost = [(*key, holder) for key, holder in settled.lost.items()]
        reply = json.dumps([lost, settled.enqueued, stopped]) if told else None
        known = run(
            "UPDATE nephew_worker SET settled = ?, reply = ? WHERE number = ? AND settled < ?"
            " RETURNING EXISTS (SELECT 1 FROM nephew_data WHERE name = ? AND revocation)",
            (number, reply, worker, number, self.name),
        ).fetchone()
        if known is None:
            raise Repeated
        return bool(known[0])

    def _first_reply(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Settled:
        rows = self.read("SELECT settled, reply FROM nephew_worker WHERE number = ?", (worker,))
        if not rows or rows[0][0] != number:
            # The worker was declared dead and its claims given away.
            lost = self.write(lambda run: self._taken_over(run, outcomes))
            return Settled(lost, (), known=bool(rows))
        lost, enqueued, stopped = json.loads(rows[0][1] or "[[], [], []]")
        return Settled(
            {(seq, claim): holder and Holder(*holder) for seq, claim, holder in lost},
            tuple(enqueued),
            stopped={(seq, claim): reason for seq, claim, reason in stopped},
        )


def in_order(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """One for each claim, in the order in which all workers lock their jobs.

    A claim ends once: a job that ended while it was being given back has two outcomes, the first counts.
    """
    firsts = {claim_of(outcome): outcome for outcome in reversed(outcomes)}
    return sorted(firsts.values(), key=_BY_PLACE)


def _is_own_end(outcome: Outcome) -> bool:
    """Whether the function itself came to this end, which does not count once the job was told to stop."""
    if outcome.state is State.FAILED:
        return outcome.attempt not in (None, "lost")
    return outcome.state is State.SUCCEEDED


def _is_told(outcome: Outcome) -> bool:
    """Whether its job came into another state: one that was only claimed goes back unseen."""
    waits = outcome.state in (State.QUEUED, State.SCHEDULED)
    return not waits or outcome.payload is not None or outcome.counted


def _end_values(outcome: Outcome, now: float) -> tuple[Any, ...]:
    fraction, message = outcome.progress or (None, None)
    return (
        outcome.state, int(outcome.counted), outcome.started_at, outcome.finished_at or now, outcome.result,
        storable(outcome.error), outcome.fingerprint, storable(outcome.reason), outcome.worker, fraction,
        outcome.progress is not None, storable(message), outcome.seq,
    )  # fmt: skip


def log_values(name: str, job_id: str, log: LogLines) -> tuple[Any, ...]:
    """The parameters of `LOG`."""
    return name, job_id, log.attempt, storable(log.lines), log.dropped
