"""Lapses: schedules that have not succeeded for too long. When one has lapsed, and how far the telling of it is."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from nephew import clock
from nephew.backends.schedules import Fate

if TYPE_CHECKING:
    from nephew.backends.schedules import ScheduleRow, TickRow
    from nephew.plans import Plan

#: The signals: receivers get the name of the schedule and a `Lapse`.
SIGNAL_LAPSED = "schedule-lapsed"
SIGNAL_RECOVERED = "schedule-recovered"
SIGNALS = (SIGNAL_LAPSED, SIGNAL_RECOVERED)

#: A mark that is so old (seconds) is that of a teller who has died, or whose webhook was not answered.
TAKEOVER = 60.0


class Mark(NamedTuple):
    """How far the telling of a lapse is, as it is kept in the schedule's row: one consumer writes it, and tells.

    :ivar word: what is done now. `telling`: log and signal are told; `calling`: the webhook is. Then it is `told`.
        When the schedule has recovered, `recovering` and `closing` are the first two again; then there is no mark.
    :ivar since: what the lapse is counted from, epoch seconds: only a later success ends it.
    :ivar at: when this was written.
    """

    word: str
    since: float
    at: float

    @classmethod
    def read(cls, text: str) -> Mark:
        """A mark as it is stored."""
        word, since, at = text.split()
        return cls(word, float(since), float(at))

    def __str__(self) -> str:
        return f"{self.word} {self.since!r} {self.at!r}"

    @property
    def announces(self) -> bool:
        """Whether log and signal are to be told."""
        return self.word in ("telling", "recovering")

    @property
    def ends(self) -> bool:
        """Whether it is the end of the lapse that is told."""
        return self.word in ("recovering", "closing")

    def following(self, now: float) -> Mark | None:
        """The next one; None: all is told, and the schedule has recovered."""
        word = {"telling": "calling", "calling": "told", "recovering": "closing"}.get(self.word)
        return None if word is None else Mark(word, self.since, now)


@dataclass(frozen=True, slots=True)
class Lapse:
    """A schedule that has not succeeded for longer than its `expect_within`, or the end of that.

    :ivar schedule: its name.
    :ivar task: the name of its task.
    :ivar since: when it last succeeded before; when it never did, since when it is known.
    :ivar expect_within: how long it may take to succeed again.
    :ivar succeeded_at: when it last succeeded; None: never.
    :ivar recovered: whether it has succeeded again, which ends the lapse.
    :ivar paused: whether it is paused, which may be why.
    :ivar latest: what became of its latest tick, in words; None: it had none.
    """

    schedule: str
    task: str
    since: dt.datetime
    expect_within: dt.timedelta
    succeeded_at: dt.datetime | None
    recovered: bool
    paused: bool
    latest: str | None

    def __str__(self) -> str:
        if self.recovered:
            return f"schedule {self.schedule} has succeeded again, at {_moment(self.succeeded_at)}"
        known = "" if self.succeeded_at else "; known only"
        paused = "; it is paused" if self.paused else ""
        return (
            f"schedule {self.schedule} has not succeeded{known} since {_moment(self.since)}, expected within "
            f"{self.expect_within}{paused}; {self.latest or 'it had no tick'}"
        )

    @property
    def signal(self) -> str:
        """The signal that tells of it."""
        return SIGNAL_RECOVERED if self.recovered else SIGNAL_LAPSED

    def message(self, instance: str) -> dict[str, Any]:
        """What a webhook gets. One `id` may come twice, when a teller died; `text` is what chats show."""
        return {
            "id": f"{instance}:{self.schedule}:{self.signal}:{self.since.timestamp():.6f}",
            "event": self.signal,
            "instance": instance,
            "schedule": self.schedule,
            "task": self.task,
            "since": self.since.isoformat(),
            "expect_within_seconds": self.expect_within.total_seconds(),
            "succeeded_at": self.succeeded_at and self.succeeded_at.isoformat(),
            "paused": self.paused,
            "latest_tick": self.latest,
            "text": f"{instance}: {self}",
        }


def next_mark(plan: Plan, now: float) -> Mark | None:
    """What there is to tell of a schedule now; None: nothing, or another consumer does."""
    row = plan.row
    if row is None:
        return None
    if row.lapse is None:
        return Mark("telling", _counted_from(row), now) if _lapses_at(plan, row) < now else None
    mark = Mark.read(row.lapse)
    if mark.word == "closing" and _lapses_at(plan, row) < now:
        return Mark("telling", _counted_from(row), now)  # a webhook that hears of no recovery silences no new lapse
    if mark.word != "told" and abs(now - mark.at) < TAKEOVER:
        return None
    if not mark.ends and (row.succeeded_at or 0.0) > mark.since:
        return Mark("recovering", mark.since, now)
    return None if mark.word == "told" else mark._replace(at=now)


def next_look(plan: Plan, now: float, soon: float) -> float:
    """When there may be something to tell of a schedule: `soon` seconds from now, while one is told or is new."""
    if plan.row is None or plan.row.lapse is not None:
        return now + soon
    return max(now, _lapses_at(plan, plan.row))


def _counted_from(row: ScheduleRow) -> float:
    return max(row.succeeded_at or 0.0, row.since)


def _lapses_at(plan: Plan, row: ScheduleRow) -> float:
    within = plan.policy.expect_within
    return clock.LATEST if within is None else _counted_from(row) + within.total_seconds()


def lapse_of(plan: Plan, row: ScheduleRow, mark: Mark, tick: TickRow | None) -> Lapse:
    """What is told with a mark; `tick` is the latest one."""
    return Lapse(
        row.schedule,
        plan.task,
        clock.at(mark.since),
        plan.policy.expect_within or dt.timedelta(0),
        clock.aware(row.succeeded_at),
        mark.ends,
        row.paused_at is not None,
        None if tick is None else _words(tick),
    )


def _words(tick: TickRow) -> str:
    """What became of a tick."""
    verb = "is" if tick.fate == Fate.WAITING else "was"
    reason = f" ({tick.reason})" if tick.reason else ""
    job = f", and its job {tick.job} is {tick.state}" if tick.job and tick.state else ""
    return f"its latest tick, due {_moment(clock.at(tick.due))}, {verb} {tick.fate}{reason}{job}"


def _moment(time: dt.datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%SZ}"
