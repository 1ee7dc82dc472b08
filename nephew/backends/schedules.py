"""What a backend knows of schedules: how far each is decided, and the ledger of its ticks. Part of the contract.

It knows names, moments and bytes: when a schedule is due, and what policy it has, is for others to know.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from nephew.backends.records import NewJob

#: The most ticks of a schedule that wait for the one before them; what comes due meanwhile is skipped.
MOST_WAITING = 1000
#: The state of a tick whose job was deleted before anybody saw how it ended.
FORGOTTEN = "forgotten"
#: Why a tick is there that no schedule was due for.
BY_HAND = "by hand"
#: Why a tick was skipped whose schedule is paused, and one that waited when its schedule was removed.
PAUSED, REMOVED = "paused", "its schedule was removed"


class Fate(StrEnum):
    """What became of a due time."""

    ENQUEUED = "enqueued"
    #: Its job is enqueued when those before it have ended.
    WAITING = "waiting"
    SKIPPED = "skipped"
    MISSED = "missed"


class ScheduleRow(NamedTuple):
    """What is stored of a schedule.

    :ivar seen: every due time up to here is decided.
    :ivar since: when it was first seen, or last defined anew.
    :ivar definition: JSON of what was added or changed at run time; None: it is as the code says.
    :ivar payload: the encoded arguments of an added one.
    :ivar added: the code does not know it.
    :ivar succeeded_at: when one of its jobs last succeeded.
    :ivar lapse: of its dead-man's switch; None: all is well.
    """

    schedule: str
    seen: float
    since: float
    definition: str | None
    payload: bytes | None
    added: bool
    paused_at: float | None
    succeeded_at: float | None
    lapse: str | None


class NewTick(NamedTuple):
    """A due time, as its policy wants it.

    :ivar job: to be enqueued; None with any other fate.
    :ivar fate: `enqueued`, as far as nothing is in the way; `missed`; or `skipped`.
    :ivar until: the row stands for all due times up to this one.
    """

    due: float
    job: NewJob | None
    fate: str
    reason: str = ""
    until: float | None = None


class Decision(NamedTuple):
    """What is to become of all due times of a schedule between two moments.

    :ivar seen: up to where everything was decided before; `upto`: is from now on.
    :ivar overlap: what becomes of a tick while a job of the schedule is unfinished: `skip`, `queue` or `allow`.
    """

    schedule: str
    seen: float
    upto: float
    overlap: str
    ticks: tuple[NewTick, ...]


class Decided(NamedTuple):
    """What a decision came to.

    :ivar taken: False: nothing of it was written. Somebody else had decided first, or this is not known here.
    :ivar seen: up to where everything is decided now.
    :ivar fates: due time, fate and reason of each tick as it was written.
    """

    taken: bool
    seen: float
    fates: tuple[tuple[float, str, str], ...] = ()


class TickRow(NamedTuple):
    """A row of the ledger.

    :ivar job: the id of its job, or of the one that it would have been.
    :ivar state: of its job: the final one once it has ended, the present one before; None: it has none.
    """

    schedule: str
    due: float
    fate: str
    reason: str
    job: str | None
    until: float | None
    written_at: float
    state: str | None
    ended_at: float | None


class Schedules(ABC):
    """Control of schedules, and their ledger."""

    # -- control ------------------------------------------------------------------------------------
    @abstractmethod
    def schedules_version(self) -> int:
        """A number that grows with each change of control: defined, removed, paused, resumed. Not with ticks."""

    @abstractmethod
    def schedules(self) -> tuple[int, list[ScheduleRow]]:
        """What is stored of all schedules, and the version that it is of, or of one after it."""

    @abstractmethod
    def schedule(self, name: str) -> ScheduleRow | None:
        """What is stored of one schedule; None: nothing."""

    @abstractmethod
    def begin_schedules(self, names: Sequence[str], seen: float) -> None:
        """Make rows for those of these schedules that have none: decided up to `seen`."""

    @abstractmethod
    def define_schedule(
        self, name: str, definition: str | None, payload: bytes | None, added: bool, seen: float | None
    ) -> None:
        """Store what a schedule is from now on; whether it is paused stays as it is.

        :param seen: it is decided up to here, and new since then. None: as far as it is, or up to now if it is new.
        """

    @abstractmethod
    def remove_schedule(self, name: str) -> bool:
        """Forget a schedule, all but its ledger; what waits there is skipped. False: it is not known."""

    @abstractmethod
    def pause_schedule(self, name: str, paused_at: float | None) -> bool:
        """Pause a schedule, or resume it (None); False when it is not known, or already so."""

    @abstractmethod
    def mark_lapse(self, name: str, was: str | None, now: str | None) -> bool:
        """Change the mark of a schedule's dead-man's switch; False when it was another one."""

    # -- ledger -------------------------------------------------------------------------------------
    @abstractmethod
    def decide(self, decisions: Sequence[Decision]) -> list[Decided]:
        """Write decisions, each whole, with its jobs; one whose `seen` is not the schedule's any more is not written.

        A tick whose fate is `enqueued` is written as another one where something is in its way. In this order:
        a paused schedule (skipped); an unfinished job of the schedule, where `overlap` is `skip` (skipped) or `queue`
        (waiting, as one is behind a tick that waits; skipped when `MOST_WAITING` do); an unfinished job with its
        unique key or its id (skipped).
        """

    @abstractmethod
    def release_ticks(self, limit: int = 100) -> list[tuple[str, float]]:
        """Waiting ticks (schedule, due time) whose turn has come, at most one of a schedule."""

    @abstractmethod
    def release(self, schedule: str, due: float, job: NewJob) -> bool:
        """Enqueue the job of a waiting tick; False when its turn has not come, or it does not wait any more.

        It is skipped when an unfinished job has its unique key or its id.
        """

    @abstractmethod
    def skip_tick(self, schedule: str, due: float, reason: str) -> bool:
        """Skip a waiting tick; False when it does not wait any more."""

    @abstractmethod
    def run_tick(self, schedule: str, due: float, job: NewJob) -> str:
        """Write a tick by hand and enqueue its job, whatever pause and overlap say; its fate.

        It is skipped when an unfinished job has its unique key or its id.
        """

    @abstractmethod
    def close_ticks(self, limit: int = 500) -> list[TickRow]:
        """Note for good how the jobs of enqueued ticks ended, and when their schedules succeeded.

        :returns: the ticks whose jobs have ended, or are gone; each is returned once.
        """

    @abstractmethod
    def ticks(self, schedule: str, limit: int = 20, before: float | None = None) -> list[TickRow]:
        """The ledger of a schedule, the latest first; those that were due before a moment."""

    @abstractmethod
    def prune_ticks(self, before: float, most: int, limit: int = 500) -> int:
        """Delete ticks that were written before a moment, or are not among the latest `most` of their schedule.

        Never those that wait, or whose jobs have not ended.

        :returns: how many; as many as `limit`: there may be more.
        """
