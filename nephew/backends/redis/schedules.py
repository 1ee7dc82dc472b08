"""Control of schedules, and the ledger of their ticks; see `lua/lib/schedules.lua` and `lua/lib/ticks.lua`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from nephew.backends.records import NewJob
from nephew.backends.redis import packing
from nephew.backends.redis.places import steps
from nephew.backends.redis.queue import Queue
from nephew.backends.redis.steps import Value
from nephew.backends.schedules import BY_HAND, MOST_WAITING, PAUSED, REMOVED, Decided, Decision, ScheduleRow, TickRow

#: Of so many schedules the ticks are pruned in one step, and so many begin in one.
TOGETHER = 500


class Schedules(Queue):
    """Schedules by their names."""

    # -- control ------------------------------------------------------------------------------------
    def schedules_version(self) -> int:
        """How often control has changed; see the contract."""
        return int(self.call("GET", self.key("control")) or 0)

    def schedules(self) -> tuple[int, list[ScheduleRow]]:
        """What is stored of all schedules; see the contract."""
        version, *stored = self.run("schedules")
        hashes = [*map(_fields, stored)]
        rows = [_schedule(name.decode(), [each.get(name) for each in hashes]) for name in sorted(hashes[0])]
        return int(version), rows

    def schedule(self, name: str) -> ScheduleRow | None:
        """What is stored of one schedule; see the contract."""
        stored = self.run("schedule", name)
        return None if stored[0] is None else _schedule(name, stored)

    def begin_schedules(self, names: Sequence[str], seen: float) -> None:
        """Make rows for new schedules; see the contract."""
        for some in steps(names, TOGETHER):
            self.run("begin_schedules", seen, *some)

    def define_schedule(
        self, name: str, definition: str | None, payload: bytes | None, added: bool, seen: float | None
    ) -> None:
        """Store what a schedule is from now on; see the contract."""
        self.run(
            "define_schedule",
            name,
            "" if seen is None else seen,
            definition or "",
            payload or b"",
            "1" if added else "",
        )

    def remove_schedule(self, name: str) -> bool:
        """Forget a schedule; see the contract."""
        return bool(self.run("remove_schedule", name, REMOVED))

    def pause_schedule(self, name: str, paused_at: float | None) -> bool:
        """Pause or resume a schedule; see the contract."""
        return bool(self.run("pause_schedule", name, "" if paused_at is None else paused_at))

    def mark_lapse(self, name: str, was: str | None, now: str | None) -> bool:
        """Change the mark of a dead-man's switch; see the contract."""
        return bool(self.run("mark_lapse", name, was or "", now or "", tells=True))

    # -- ledger -------------------------------------------------------------------------------------
    def decide(self, decisions: Sequence[Decision]) -> list[Decided]:
        """Write decisions; see the contract."""
        values = [value for decision in decisions for value in _decision(decision)]
        return [_decided(*reply) for reply in self.run("decide", MOST_WAITING, PAUSED, *values, tells=True)]

    def release_ticks(self, limit: int = 100) -> list[tuple[str, float]]:
        """Waiting ticks whose turn has come; see the contract."""
        found = self.run("release_ticks", limit)
        return sorted(((schedule.decode(), float(due)) for schedule, due in _pairs(found)), key=lambda tick: tick[1])

    def release(self, schedule: str, due: float, job: NewJob) -> bool:
        """Enqueue the job of a waiting tick; see the contract."""
        return bool(self.run("release_tick", schedule, due, *packing.new_job(job)))

    def skip_tick(self, schedule: str, due: float, reason: str) -> bool:
        """Skip a waiting tick; see the contract."""
        return bool(self.run("skip_tick", schedule, due, reason))

    def run_tick(self, schedule: str, due: float, job: NewJob) -> str:
        """Enqueue a job by hand; see the contract."""
        fate: bytes = self.run("run_tick", schedule, due, BY_HAND, *packing.new_job(job), tells=True)
        return fate.decode()

    def close_ticks(self, limit: int = 500) -> list[TickRow]:
        """Note how jobs of ticks ended; see the contract."""
        return sorted(
            tick_row(schedule.decode(), stored) for schedule, stored in _pairs(self.run("close_ticks", limit))
        )

    def ticks(self, schedule: str, limit: int = 20, before: float | None = None) -> list[TickRow]:
        """The ledger of a schedule; see the contract."""
        found = self.run("ticks", schedule, limit, "+inf" if before is None else before)
        return [tick_row(schedule, stored, state) for stored, state in _pairs(found)]

    def prune_ticks(self, before: float, most: int, limit: int = 500) -> int:
        """Delete ticks that are not kept; see the contract."""
        gone = 0
        for some in steps(self.call("SMEMBERS", self.key("ledgers")), TOGETHER):
            gone += int(self.run("prune_ticks", before, most, limit - gone, *some))
            if gone >= limit:
                break
        return gone


def _schedule(name: str, stored: Sequence[Any]) -> ScheduleRow:
    """A schedule of what the server keeps of it, in the order of `WHATS`."""
    seen, since, definition, payload, added, paused_at, succeeded_at, lapse = stored
    return ScheduleRow(
        name,
        float(seen),
        float(since),
        _text(definition),
        payload,
        added is not None,
        _moment(paused_at),
        _moment(succeeded_at),
        _text(lapse),
    )


def _decision(decision: Decision) -> Iterator[Value]:
    """The values of a decision, as `lua/decide.lua` reads them."""
    yield from (decision.schedule, decision.seen, decision.upto, decision.overlap, len(decision.ticks))
    for tick in decision.ticks:
        yield from (tick.due, tick.fate, tick.reason, "" if tick.until is None else tick.until)
        yield from ("",) if tick.job is None else ("1", *packing.new_job(tick.job))


def _decided(taken: int, seen: bytes, *told: bytes) -> Decided:
    fates = zip(told[::3], told[1::3], told[2::3], strict=True)
    return Decided(
        bool(taken), float(seen), tuple((float(due), fate.decode(), reason.decode()) for due, fate, reason in fates)
    )


def tick_row(schedule: str, stored: bytes, present: bytes | None = None) -> TickRow:
    """A tick as the server keeps it, and the present state of its job."""
    due, fate, reason, job, until, written_at, state, ended_at = json.loads(stored)
    return TickRow(
        schedule,
        float(due),
        fate,
        reason,
        job or None,
        _moment(until),
        float(written_at),
        state or _text(present),
        _moment(ended_at),
    )


def _pairs(values: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    return zip(values[::2], values[1::2], strict=True)


def _fields(values: Sequence[bytes]) -> dict[bytes, bytes]:
    """A hash, as scripts return it."""
    return dict(_pairs(values))


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()


def _moment(value: str | bytes | None) -> float | None:
    return float(value) if value else None
