"""Who claims jobs, who is alive, and what becomes of a dead worker's claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from nephew.backends.records import Claimed, Died, LogLines, WorkerRecord
from nephew.backends.sql.connection import Run
from nephew.backends.sql.events import Happened, tell
from nephew.backends.sql.queue import TAKEN, Queue
from nephew.backends.sql.rows import marks
from nephew.backends.sql.settlement import LOG, log_values
from nephew.backends.texts import ORPHANED, RETIRED, storable

COLUMNS = "number, incarnation, parent, host, boot, pid_namespace, pid, path, kind, queues, started_at, heartbeat_at"

GIVEN_BACK = (
    "UPDATE nephew_job SET state = CASE state WHEN 'running' THEN 'queued' ELSE state END,"
    " worker = NULL, claim = NULL, started_at = NULL"
)


class Workers(Queue):
    """The registrations of workers."""

    def register(self, worker: WorkerRecord) -> int:
        """Make a worker known; see the contract."""
        now = self.now()

        def step(run: Run) -> int:
            known = run("SELECT number FROM nephew_worker WHERE incarnation = ?", (worker.incarnation,)).fetchone()
            if known is not None:
                return int(known[0])
            (number,) = run(
                "INSERT INTO nephew_counter (name, key, value) VALUES ('', 'worker', 1)"
                " ON CONFLICT (name, key) DO UPDATE SET value = nephew_counter.value + 1 RETURNING value"
            ).fetchone()
            run(
                f"INSERT INTO nephew_worker (name, {COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (self.name, number, *worker[1:10], now, now),
            )
            return int(number)

        return self.write(step)

    def retire(self, worker: int) -> None:
        """Sign a worker off and give back what it still holds; see the contract."""

        def step(run: Run) -> None:
            self._put_back(run, "worker = ? AND finished_at IS NULL AND NOT once", worker, RETIRED)
            run("DELETE FROM nephew_worker WHERE number = ?", (worker,))

        self.write(step)

    def _put_back(self, run: Run, held: str, whose: int | str, cause: str) -> int:
        """Let what is held wait again; how many. What had begun is an event."""
        begun = run(
            f"SELECT id, task FROM nephew_job WHERE {held} AND state = 'running' ORDER BY seq{self.dialect.for_update}",
            (whose,),
        ).fetchall()
        count = int(run(f"{GIVEN_BACK} WHERE {held}", (whose,)).rowcount)
        tell(run, self.dialect, self.name, self.now(), [(job, task, "queued", None, cause) for job, task in begun])
        if count:
            self.dialect.tell(run, self.name)
        return count

    def held(self, worker: int) -> list[tuple[int, str, int]]:
        """What a worker holds; see the contract."""
        rows = self.read("SELECT seq, id, claim FROM nephew_job WHERE worker = ? AND finished_at IS NULL", (worker,))
        return [(row[0], row[1], row[2]) for row in rows]

    def release_orphans(self) -> int:
        """Give back what unknown workers hold; see the contract."""
        orphaned = (
            f"{self.dialect.aside}name = ? AND worker IS NOT NULL AND finished_at IS NULL AND NOT once"
            " AND NOT EXISTS (SELECT 1 FROM nephew_worker WHERE number = nephew_job.worker)"
        )
        if not self.read(f"SELECT 1 FROM nephew_job WHERE {orphaned} LIMIT 1", (self.name,)):
            return 0

        return self.write(lambda run: self._put_back(run, orphaned, self.name, ORPHANED))

    def has_lost(self) -> bool:
        """Whether jobs were begun once by workers that are gone; see the contract."""
        return bool(self.read(f"SELECT 1 FROM nephew_job WHERE {self._lost()} LIMIT 1", (self.name,)))

    def take_over(self, heir: int, claim: int) -> list[Claimed]:
        """Claim what was begun once by workers that are gone; see the contract."""
        rows = self.write_one(
            f"UPDATE nephew_job SET worker = ?, claim = ? WHERE {self._lost()} RETURNING {TAKEN}",
            (heir, claim, self.name, self.name),
            unless=lambda: self._taken(heir, claim),
        )
        return self._claimed(rows or self._taken(heir, claim))

    def _lost(self) -> str:
        return (
            f"{self.dialect.aside}name = ? AND once AND worker IS NOT NULL AND finished_at IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM nephew_worker WHERE number = nephew_job.worker)"
        )

    def begin_once(self, worker: int, seq: int, claim: int, since: float) -> bool:
        """Note the only begin of a job; see the contract."""

        def step(run: Run) -> bool:
            begun = self._begun(run, worker, [(seq, claim, since)])
            count = run(
                "UPDATE nephew_job SET state = 'running', started_at = ?, once = TRUE"
                " WHERE seq = ? AND worker = ? AND claim = ? AND finished_at IS NULL",
                (since, seq, worker, claim),
            ).rowcount
            tell(run, self.dialect, self.name, self.now(), begun)
            return bool(count)

        return self.write(step)

    def ask_to_stop(self, job_id: str, reason: str) -> bool:
        """Ask for a held job's end; see the contract."""
        return bool(
            self.write_one(
                "UPDATE nephew_job SET cancelling = ?"
                " WHERE name = ? AND id = ? AND worker IS NOT NULL AND finished_at IS NULL RETURNING 1",
                (storable(reason), self.name, job_id),
            )
        )

    def asked_to_stop(self, worker: int) -> list[tuple[int, int, str]]:
        """Whose end is asked for; see the contract."""
        rows = self.read(
            "SELECT seq, claim, cancelling FROM nephew_job"
            " WHERE worker = ? AND worker IS NOT NULL AND finished_at IS NULL AND cancelling IS NOT NULL",
            (worker,),
        )
        return [(row[0], row[1], row[2]) for row in rows]

    def heartbeat(self, incarnations: Sequence[str]) -> None:
        """These workers live; see the contract."""
        self.measure_clock()
        now = self.now()
        self.write(
            lambda run: run(
                f"UPDATE nephew_worker SET heartbeat_at = ? WHERE incarnation IN ({marks(incarnations)})",
                (now, *incarnations),
            )
        )

    def workers(self) -> list[WorkerRecord]:
        """The registered workers; see the contract."""
        rows = self.read(f"SELECT {COLUMNS} FROM nephew_worker WHERE name = ? ORDER BY number", (self.name,))
        return [WorkerRecord(*row) for row in rows]

    def mark_running(self, worker: int, running: Sequence[tuple[int, int, float]]) -> None:
        """Note what is being run; see the contract."""
        # In one order: it would wait for a settle that waits for it.
        values = [(since, seq, worker, claim) for seq, claim, since in sorted(running)]

        def step(run: Run) -> None:
            begun = self._begun(run, worker, running)
            run(
                "UPDATE nephew_job SET state = 'running', started_at = ?"
                " WHERE seq = ? AND worker = ? AND claim = ? AND finished_at IS NULL",
                values,
                many=True,
            )
            tell(run, self.dialect, self.name, self.now(), begun)

        self.write(step)

    def _begun(self, run: Run, worker: int, running: Sequence[tuple[int, int, float]]) -> list[Happened]:
        """The events of those that are not known to run yet."""
        claims = {(seq, claim) for seq, claim, _ in running}
        rows = run(
            f"SELECT seq, claim, id, task FROM nephew_job WHERE seq IN ({marks(running)}) AND worker = ?"
            " AND finished_at IS NULL AND state <> 'running'",
            (*(seq for seq, _, _ in running), worker),
        ).fetchall()
        found = [row for row in rows if (row[0], row[1]) in claims]
        label = self._label(run, worker) if found else None
        return [(row[2], row[3], "running", label, None) for row in found]

    def note_progress(self, worker: int, seq: int, claim: int, fraction: float, message: str | None) -> None:
        """Store progress; see the contract."""
        self.write(
            lambda run: run(
                "UPDATE nephew_job SET progress = ?, progress_message = ?"
                " WHERE seq = ? AND worker = ? AND claim = ? AND finished_at IS NULL",
                (fraction, storable(message), seq, worker, claim),
            )
        )

    def note_log(self, worker: int, seq: int, claim: int, log: LogLines) -> None:
        """Store a running job's log lines; see the contract."""

        def step(run: Run) -> None:
            held = run(
                "SELECT id FROM nephew_job WHERE seq = ? AND worker = ? AND claim = ? AND finished_at IS NULL"
                + self.dialect.for_update,
                (seq, worker, claim),
            ).fetchone()
            if held is not None:
                run(LOG, log_values(self.name, held[0], log))

        self.write(step)

    def reap(self, died: Died, heir: int, claim: int, caps: Callable[[str], int]) -> list[Claimed]:
        """Give back what a dead worker held; see the contract."""
        self.write(lambda run: self._reap(run, died, heir, claim, caps))
        return self._claimed(self._taken(heir, claim))  # also those of a first try whose reply was lost

    def _reap(self, run: Run, died: Died, heir: int, claim: int, caps: Callable[[str], int]) -> None:
        rows = run(
            "SELECT seq, claim, id, task, state, crashes, started_at, once FROM nephew_job"
            f" WHERE worker = ? AND finished_at IS NULL ORDER BY seq{self.dialect.for_update}",
            (died.worker,),
        ).fetchall()
        label = self._label(run, died.worker)
        begun = []
        for seq, token, job, task, state, crashes, started, once in rows:
            was_running = died.running is not None and (seq, token) in died.running
            charged = was_running and died.charged and not once  # the end of what may begin once tells of it
            if charged:
                since = (died.running or {}).get((seq, token)) or started
                self._record_crash(run, seq, since, label, died.cause)
            suspect = died.charged and (charged or died.running is None or (seq, token) in died.suspects)
            if once or (charged and crashes + 1 >= caps(task)):
                self._hand_over(run, seq, heir, claim)
            else:
                run(
                    "UPDATE nephew_job SET state = CASE state WHEN 'running' THEN 'queued' ELSE state END,"
                    " worker = NULL, claim = NULL, started_at = NULL, alone = (alone OR ?) WHERE seq = ?",
                    (suspect, seq),
                )
                if charged or state == "running":
                    waits = "queued" if state == "running" else state
                    begun.append((job, task, waits, None, died.cause))
        tell(run, self.dialect, self.name, self.now(), begun)
        run("DELETE FROM nephew_worker WHERE number = ?", (died.worker,))
        if rows:
            self.dialect.tell(run, self.name)

    def _record_crash(self, run: Run, seq: int, since: float | None, label: str, cause: str) -> None:
        run("UPDATE nephew_job SET crashes = crashes + 1, attempts = attempts + 1 WHERE seq = ?", (seq,))
        run(
            "INSERT INTO nephew_attempt"
            " (name, job, attempt, started_at, finished_at, worker, outcome, error)"
            " SELECT name, id, attempts, ?, ?, ?, 'crashed', ? FROM nephew_job WHERE seq = ?",
            (since, self.now(), label, cause, seq),
        )

    def _hand_over(self, run: Run, seq: int, heir: int, claim: int) -> None:
        run("UPDATE nephew_job SET worker = ?, claim = ? WHERE seq = ?", (heir, claim, seq))

    def _label(self, run: Run, worker: int) -> str:
        found = run("SELECT host, pid FROM nephew_worker WHERE number = ?", (worker,)).fetchone()
        return f"{found[0]}:{found[1]}" if found else f"worker {worker}"
