"""How schedules stand: what is looked up, all of it before anything is written, when due times are decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from nephew.backends.records import NewJob
from nephew.backends.schedules import MOST_WAITING, PAUSED, Decision, Fate, NewTick
from nephew.backends.sql.connection import Run
from nephew.backends.sql.queue import Queue
from nephew.backends.sql.tables import OPEN

#: Those of an instance.
UNFINISHED = (
    "FROM nephew_tick tick JOIN nephew_job job ON job.name = tick.name AND job.id = tick.job"
    f" AND job.finished_at IS NULL WHERE {OPEN} AND fate = 'enqueued' AND tick.name = ?"
)
WAITING = f"FROM nephew_tick WHERE name = ? AND {OPEN} AND fate = 'waiting'"


class Standing:
    """How a schedule stands while decisions on it are written.

    :ivar unfinished: which of its jobs is not over, in words; '': all are.
    :ivar waiting: how many of its ticks wait.
    :ivar written: the due times behind `seen` that have a row already.
    """

    def __init__(self, seen: float, paused: bool) -> None:
        self.seen, self.paused = seen, paused
        self.unfinished, self.waiting = "", 0
        self.written: set[float] = set()

    def fate(self, tick: NewTick, overlap: str, taken: Taken) -> tuple[str, str]:
        """What becomes of a tick as things stand, and why; it counts for the next one."""
        if tick.job is None:
            return tick.fate, tick.reason
        if self.paused:
            return Fate.SKIPPED, PAUSED
        if overlap == "skip" and self.unfinished:
            return Fate.SKIPPED, self.unfinished
        if overlap == "queue" and (self.unfinished or self.waiting):
            if self.waiting >= MOST_WAITING:
                return Fate.SKIPPED, f"{MOST_WAITING:,} ticks wait already"
            self.waiting += 1
            return Fate.WAITING, tick.reason
        if reason := taken.by_another(tick.job):
            return Fate.SKIPPED, reason
        self.unfinished = self.unfinished or f"job {tick.job.id} is queued"
        return Fate.ENQUEUED, tick.reason


class Taken:
    """Ids and unique keys that belong to unfinished jobs."""

    def __init__(self, ids: Iterable[str], keys: dict[str, str]) -> None:
        self._ids, self._keys = set(ids), keys

    def by_another(self, job: NewJob) -> str:
        """Which job keeps one out, in words; '': none does, and it takes its id and key from now on."""
        if job.unique_key is not None:
            twin = self._keys.setdefault(job.unique_key, job.id)
            if twin != job.id:
                return has_its_key(twin)
        if job.id in self._ids:
            return f"job {job.id} has its id"
        self._ids.add(job.id)
        return ""


class Standings(Queue):
    """What stands in the way of ticks."""

    def _standings(self, run: Run, decisions: Sequence[Decision]) -> dict[str, Standing]:
        """How the schedules of decisions stand; nobody else decides on them until the end of the transaction."""
        names = sorted({decision.schedule for decision in decisions})
        rows = self._with_given(
            run,
            names,
            "SELECT schedule, seen, paused_at FROM nephew_schedule WHERE name = ?"
            f" AND schedule IN (SELECT id FROM given) ORDER BY schedule{self.dialect.for_update}",
        )
        standings = {schedule: Standing(seen, paused_at is not None) for schedule, seen, paused_at in rows}
        current = [decision for decision in decisions if is_current(decision, standings.get(decision.schedule))]
        self._look_up_written(run, [each.schedule for each in current], standings)
        self._look_up_unfinished(run, [each.schedule for each in current if each.overlap != "allow"], standings)
        self._look_up_waiting(run, [each.schedule for each in current if each.overlap == "queue"], standings)
        return standings

    def _look_up_written(self, run: Run, names: Sequence[str], standings: dict[str, Standing]) -> None:
        rows = self._with_given(
            run,
            names,
            "SELECT tick.schedule, tick.due FROM given JOIN nephew_schedule its ON its.schedule = given.id"
            " JOIN nephew_tick tick ON tick.name = its.name AND tick.schedule = its.schedule AND tick.due > its.seen"
            " WHERE its.name = ?",
        )
        for schedule, due in rows:
            standings[schedule].written.add(due)

    def _look_up_unfinished(self, run: Run, names: Sequence[str], standings: dict[str, Standing]) -> None:
        first = f"SELECT tick.job || ' is ' || job.state {UNFINISHED} AND tick.schedule = given.id ORDER BY due LIMIT 1"
        for schedule, found in self._with_given(run, names, f"SELECT id, ({first}) FROM given"):
            standings[schedule].unfinished = "" if found is None else f"job {found}"

    def _look_up_waiting(self, run: Run, names: Sequence[str], standings: dict[str, Standing]) -> None:
        counted = f"SELECT schedule, count(*) {WAITING} AND schedule IN (SELECT id FROM given) GROUP BY schedule"
        for schedule, count in self._with_given(run, names, counted):
            standings[schedule].waiting = count

    def _taken_among(self, run: Run, jobs: Sequence[NewJob]) -> Taken:
        """Which of the ids and unique keys of these jobs belong to unfinished ones."""
        keys = [job.unique_key for job in jobs if job.unique_key is not None]
        ids = self._unfinished_with(run, "id", [job.id for job in jobs])
        return Taken(ids, self._unfinished_with(run, "unique_key", keys))

    def _unfinished_with(self, run: Run, column: str, values: Sequence[str]) -> dict[str, str]:
        """The ids of unfinished jobs by these values of a column."""
        job = f"SELECT job.id FROM nephew_job job WHERE job.name = ? AND job.{column} = given.id"
        rows = self._with_given(run, values, f"SELECT id, ({job} AND job.finished_at IS NULL) FROM given")
        return {value: job for value, job in rows if job is not None}

    def _with_given(self, run: Run, values: Sequence[str], query: str) -> list[Any]:
        """The rows of a query, which has these texts as the ids in `given`, and takes the instance's name.

        What it asks of each in a subquery PostgreSQL looks up by an index, even if it has not counted the rows yet.
        """
        found: list[Any] = []
        for given in self.dialect.given({"id": values}) if values else ():
            found += run(f"WITH given (id) AS ({given.select}) {query}", (*given.values, self.name)).fetchall()
        return found


def is_current(decision: Decision, standing: Standing | None) -> bool:
    """Whether nobody has decided since."""
    return standing is not None and standing.seen == decision.seen


def has_its_key(job: str) -> str:
    """Why a job is not enqueued."""
    return f"job {job} has its unique key"
