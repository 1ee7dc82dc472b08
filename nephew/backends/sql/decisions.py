"""What is decided of due times, written together with the jobs that follow from it."""

from __future__ import annotations

from collections.abc import Sequence

from nephew.backends.records import NewJob
from nephew.backends.schedules import BY_HAND, Decided, Decision, Fate, NewTick
from nephew.backends.sql.connection import Run
from nephew.backends.sql.schedules import Schedules
from nephew.backends.sql.standings import UNFINISHED, WAITING, Standing, Standings, Taken, has_its_key, is_current
from nephew.backends.sql.ticks import Ticks

_RECORD = (
    "INSERT INTO nephew_tick (name, schedule, due, fate, reason, job, until, written_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_ADVANCE = "UPDATE nephew_schedule SET seen = ?, ticks = ticks + ? WHERE name = ? AND schedule = ?"
_TICK = "name = ? AND schedule = ? AND due = ?"

#: Seconds by which a tick by hand is put aside when there is one at its time.
ASIDE = 1e-5


class Decisions(Schedules, Ticks, Standings):
    """The way of ticks into the ledger, and of their jobs into the queue."""

    def decide(self, decisions: Sequence[Decision]) -> list[Decided]:
        """Write decisions; see the contract."""
        if not decisions:
            return []
        return self.write(lambda run: self._decide(run, decisions), lambda run: self._decide_again(run, decisions))

    def _decide(self, run: Run, decisions: Sequence[Decision]) -> list[Decided]:
        standings = self._standings(run, decisions)
        taken = self._taken_among(run, [tick.job for decision in decisions for tick in decision.ticks if tick.job])
        answers = [_judged(decision, standings.get(decision.schedule), taken) for decision in decisions]
        answers = self._with_their_jobs(run, decisions, answers)
        self._record(run, decisions, answers)
        return answers

    def _decide_again(self, run: Run, decisions: Sequence[Decision]) -> list[Decided]:
        """After a lost reply: what has jobs of ours in the ledger was written by the first try."""
        answers = self._decide(run, decisions)
        for index, (decision, answer) in enumerate(zip(decisions, answers, strict=True)):
            if not answer.taken and answer.seen == decision.upto:
                rows = [row for tick in decision.ticks for row in self._found(run, decision.schedule, tick.due)]
                if {job for *_, job in rows if job} & {tick.job.id for tick in decision.ticks if tick.job}:
                    answers[index] = Decided(True, answer.seen, tuple((due, fate, why) for due, fate, why, _ in rows))
        return answers

    def _found(self, run: Run, schedule: str, due: float) -> list[tuple[float, str, str, str | None]]:
        rows = run(f"SELECT due, fate, reason, job FROM nephew_tick WHERE {_TICK}", (self.name, schedule, due))
        return list(rows.fetchall())

    # -- writing ------------------------------------------------------------------------------------
    def _with_their_jobs(self, run: Run, decisions: Sequence[Decision], answers: Sequence[Decided]) -> list[Decided]:
        """Enqueue the jobs of what is to be enqueued; the answers, as far as nobody was quicker with a unique key."""
        jobs = [
            tick.job
            for decision, answer in zip(decisions, answers, strict=True)
            for tick in _fated(decision, answer, Fate.ENQUEUED)
            if tick.job
        ]
        late = {
            job.id: has_its_key(stored.id)
            for job, stored in zip(jobs, self._enqueue(run, jobs) if jobs else (), strict=True)
            if stored.duplicate
        }
        if not late:
            return list(answers)
        return [_without(decision, answer, late) for decision, answer in zip(decisions, answers, strict=True)]

    def _record(self, run: Run, decisions: Sequence[Decision], answers: Sequence[Decided]) -> None:
        now, rows, advances = self.now(), [], []
        for decision, answer in zip(decisions, answers, strict=True):
            if answer.taken:
                ticks = {tick.due: tick for tick in decision.ticks}
                for due, fate, reason in answer.fates:
                    job, until = ticks[due].job, ticks[due].until
                    enqueued = job.id if job and fate == Fate.ENQUEUED else None
                    rows.append((self.name, decision.schedule, due, fate, reason, enqueued, until, now))
                advances.append((answer.seen, len(answer.fates), self.name, decision.schedule))
        if rows:
            run(_RECORD, rows, many=True)
        if advances:
            run(_ADVANCE, advances, many=True)

    # -- singly -------------------------------------------------------------------------------------
    def release_ticks(self, limit: int = 100) -> list[tuple[str, float]]:
        """Waiting ticks whose turn has come; see the contract."""
        first = f"SELECT schedule, min(due) {WAITING} GROUP BY schedule ORDER BY min(due)"
        waiting = self.read(first, (self.name,))
        in_its_way = self._repeated(lambda: self._hindered(self._run, [schedule for schedule, _ in waiting]))
        return [(schedule, due) for schedule, due in waiting if schedule not in in_its_way][:limit]

    def _hindered(self, run: Run, schedules: Sequence[str]) -> set[str]:
        """Those of these schedules that are paused, or have an unfinished job."""
        unfinished = f"SELECT id FROM given WHERE EXISTS (SELECT 1 {UNFINISHED} AND tick.schedule = given.id LIMIT 1)"
        paused = "SELECT id FROM given WHERE (SELECT paused_at FROM nephew_schedule WHERE name = ? AND schedule = id)"
        queries = (unfinished, f"{paused} IS NOT NULL")
        return {row[0] for query in queries for row in self._with_given(run, schedules, query)}

    def release(self, schedule: str, due: float, job: NewJob) -> bool:
        """Enqueue the job of a waiting tick; see the contract."""

        def step(run: Run) -> bool:
            if not self._is_its_turn(run, schedule, due):
                return any(its == job.id for *_, its in self._found(run, schedule, due))  # it is repeated
            run(f"UPDATE nephew_tick SET fate = 'enqueued', job = ? WHERE {_TICK}", (job.id, self.name, schedule, due))
            reason = self._put(run, job)
            if reason:
                skip = f"UPDATE nephew_tick SET fate = 'skipped', job = NULL, reason = ? WHERE {_TICK}"
                run(skip, (reason, self.name, schedule, due))
            return not reason

        return self.write(step)

    def _is_its_turn(self, run: Run, schedule: str, due: float) -> bool:
        """Whether a tick waits, as the first of its schedule, and nothing is in its way; nobody else releases it."""
        paused = "SELECT paused_at FROM nephew_schedule WHERE name = ? AND schedule = ?"
        found = run(paused + self.dialect.for_update, (self.name, schedule)).fetchone()
        if found and found[0] is not None:
            return False
        first = f"SELECT due {WAITING} AND schedule = ? ORDER BY due LIMIT 1{self.dialect.for_update}"
        unfinished = f"SELECT 1 {UNFINISHED} AND tick.schedule = ? LIMIT 1"
        waiting = run(first, (self.name, schedule)).fetchone()
        return bool(waiting) and waiting[0] == due and not run(unfinished, (self.name, schedule)).fetchone()

    def _put(self, run: Run, job: NewJob) -> str:
        """Enqueue one job; which one keeps it out, in words."""
        if reason := self._taken_among(run, [job]).by_another(job):
            return reason
        (stored,) = self._enqueue(run, [job])
        return has_its_key(stored.id) if stored.duplicate else ""

    def skip_tick(self, schedule: str, due: float, reason: str) -> bool:
        """Skip a waiting tick; see the contract."""
        skipped = self.write_one(
            f"UPDATE nephew_tick SET fate = ?, reason = ? WHERE {_TICK} AND fate = 'waiting' RETURNING 1",
            (Fate.SKIPPED, reason, self.name, schedule, due),
        )
        return bool(skipped)

    def run_tick(self, schedule: str, due: float, job: NewJob) -> str:
        """Enqueue a job by hand; see the contract."""

        def step(run: Run) -> str:
            moment = due
            while self._found(run, schedule, moment):
                moment += ASIDE
            reason = self._put(run, job)
            fate = Fate.SKIPPED if reason else Fate.ENQUEUED
            its_job = None if reason else job.id
            run(_RECORD, (self.name, schedule, moment, fate, reason or BY_HAND, its_job, None, self.now()))
            run("UPDATE nephew_schedule SET ticks = ticks + 1 WHERE name = ? AND schedule = ?", (self.name, schedule))
            return fate

        def again(run: Run) -> str:
            written = self._found(run, schedule, due)
            return written[0][1] if written else step(run)

        return self.write(step, again)


def _judged(decision: Decision, standing: Standing | None, taken: Taken) -> Decided:
    """What a decision comes to as things stand."""
    if standing is None or not is_current(decision, standing):
        return Decided(False, decision.seen if standing is None else standing.seen)
    standing.seen = decision.upto
    fates = [
        (tick.due, *standing.fate(tick, decision.overlap, taken))
        for tick in decision.ticks
        if tick.due not in standing.written
    ]
    return Decided(True, decision.upto, tuple(fates))


def _fated(decision: Decision, answer: Decided, fate: str) -> list[NewTick]:
    """The ticks of a decision that this becomes of."""
    dues = {due for due, its, _ in answer.fates if its == fate}
    return [tick for tick in decision.ticks if tick.due in dues]


def _without(decision: Decision, answer: Decided, late: dict[str, str]) -> Decided:
    """The same, but for ticks whose jobs came too late: these are skipped."""
    skipped = {tick.due: late[tick.job.id] for tick in decision.ticks if tick.job and tick.job.id in late}
    fates = [
        (due, str(Fate.SKIPPED), skipped[due]) if due in skipped else (due, fate, reason)
        for due, fate, reason in answer.fates
    ]
    return answer._replace(fates=tuple(fates))
