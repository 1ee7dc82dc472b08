"""The consumer's timekeeper: moves due jobs, writes ticks, and does the chores: dead workers, expiry, pruning."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from huey.consumer import Scheduler as HueyScheduler

from nephew import clock, failpoints
from nephew.archive import ArchiverThread
from nephew.errors import BackendError
from nephew.expiry import Expiry
from nephew.parking import Parking
from nephew.pruning import Pruner
from nephew.recovery import Reaper
from nephew.schedules import Asked, Schedule

if TYPE_CHECKING:
    from nephew.bell import ForkBell, ThreadBell
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.scheduler")

#: The longest sleep (seconds): a missed wake-up delays a job by no more.
LONGEST = 1.0
#: The shortest sleep (seconds) between two looks, however often the bell rings.
SHORTEST = 0.02
#: A schedule with no tick in sight is asked again after this (seconds).
DAY = 86400.0
#: A new timekeeper looks back this far (seconds): its predecessor may have died just before a tick.
LOOK_BACK = 60.0
#: How often (seconds) it looks for jobs that have expired while they were waiting, and for those not kept any longer.
EXPIRY = 1.0
PRUNING = 60.0


class Chore:
    """Something that is done every so often, and goes on at the next look while there is more of it to do.

    :ivar what: in words, for the log.
    :ivar every: seconds.
    :ivar step: True: there is more to do.
    :ivar due: when it is to be done next, by the monotonic clock.
    """

    def __init__(self, what: str, every: float, step: Callable[[], object]) -> None:
        self.what, self.every, self.step = what, every, step
        self.due = 0.0


class Scheduler(HueyScheduler):
    """Runs in every consumer; unique ticks and guarded moves make any number of them safe."""

    huey: Nephew

    def __init__(
        self,
        huey: Nephew,
        stop_flag: Any,
        interval: float,
        periodic: bool,
        bell: ForkBell | ThreadBell,
        signs_off: bool = False,
        now: Callable[[], float] | None = None,
    ) -> None:
        """`now` is the clock that schedules go by (epoch seconds), if it is not the store's."""
        super().__init__(huey, stop_flag, interval, periodic)
        self.bell, self._signs_off = bell, signs_off
        self._now = now or (lambda: huey.backend.now())
        self._archiver = ArchiverThread(huey)
        self._chores = self._all_chores()
        #: For each schedule, when it was looked at and when it will be.
        self._looks: dict[str, tuple[float, float]] = {}
        self._failed = False

    def _all_chores(self) -> list[Chore]:
        huey, often = self.huey, self.huey.settings.reaper
        return [
            Chore("look at the version of the tables", often, self._end_on_newer_tables),
            Chore("look for dead workers", often, Reaper(huey).reap),
            Chore("release parked jobs", often, Parking(huey).step),
            Chore("end expired jobs", EXPIRY, Expiry(huey).step),
            Chore("cut the oldest events", PRUNING, lambda: huey.backend.cut_events(huey.settings.keep_events)),
            Chore("delete jobs that are not kept any longer", PRUNING, Pruner(huey).step),
            # Not done here: the archive's store may be slow or away, and due jobs must not wait for it.
            Chore("see to the archive", often, self._archiver.start),
        ]

    def loop(self, now: dt.datetime | None = None) -> None:
        """One look, and a sleep until the next thing is due."""
        started = time.monotonic()
        self._failed = False
        moment = None if now is None else clock.to_epoch(now, self.huey.utc)
        self._try("move due jobs", lambda: self._move_due(moment))
        if self.periodic:
            self._try("write ticks", lambda: self.write_ticks(moment))
        for chore in self._chores:
            if started >= chore.due:
                chore.due = started + chore.every
                if self._try(chore.what, chore.step):
                    chore.due = started
        if now is None:
            self._sleep(started)

    def _move_due(self, moment: float | None) -> None:
        if self.huey.backend.promote(moment) and failpoints.armed:
            failpoints.reach("promoted")

    def _end_on_newer_tables(self) -> None:
        """Let the whole consumer end when a newer Nephew has migrated the tables: it does not know what they mean."""
        schema = self.huey.backend.schema()
        if schema.found > schema.expected:
            log.error(
                "expected tables of version %d, got version %d: a newer Nephew has migrated them. This consumer claims "
                "no more, lets running jobs finish and ends; upgrade it.",
                schema.expected,
                schema.found,
            )
            self.stop_flag.set()

    def shutdown(self) -> None:
        """Close what this thread or process holds open."""
        if self._signs_off:
            self._try("sign off", self.huey.sign_off)
        self._archiver.stop()
        self._try("close the store", self.huey.close)

    def _try(self, what: str, step: Callable[[], object]) -> bool:
        """Whether there is more to do, as the step says; also when it failed."""
        self._failed, before = True, self._failed
        try:
            more = step() is True
            self._failed = before
            return more
        except BackendError as error:
            # One warning a look: without its store nothing else will succeed either.
            level = logging.DEBUG if before else logging.WARNING
            log.log(level, "Could not %s (%s); trying again within a second.", what, error)
        except Exception:
            log.exception("Could not %s; trying again within a second.", what)
        return True

    def _sleep(self, started: float) -> None:
        if self.stop_flag.wait(SHORTEST):
            return
        self.bell.wait(max(0.0, self._until_next() - SHORTEST))
        if self.bell.is_orphaned():
            log.warning("The consumer is gone; its scheduler ends.")
            raise KeyboardInterrupt  # how Huey's loop is ended

    def _until_next(self) -> float:
        """Seconds until something is due, at most `LONGEST`; that long when something due could not be done."""
        if self._failed:
            return LONGEST
        try:
            due = self.huey.backend.next_due()
            now = self._now()
        except BackendError:
            return LONGEST  # whoever looks next says it
        dues = [] if due is None else [due]
        if self.periodic:
            dues += [following for _, following in self._looks.values()]
        chore = max(0.0, min(chore.due for chore in self._chores) - time.monotonic())
        return min([LONGEST, chore, *(max(0.0, moment - now) for moment in dues)])

    def write_ticks(self, moment: float | None = None) -> int:
        """Enqueue the latest tick of each schedule that has come due; how many were ours to write."""
        now = self._now() if moment is None else moment
        written = 0
        for name, schedule in self.huey.schedules():
            try:
                due = self._came_due(name, schedule, now) if moment is None else _latest(schedule, now - 1.0, now)
                if due is not None and self._write_tick(name, due):
                    log.info("Tick of %s for %s was enqueued.", name, due.isoformat())
                    written += 1
            except BackendError:
                raise  # the look was not taken yet: the tick is written when the store is back
            except Exception:
                log.exception("A tick of %s could not be enqueued; it is left out, the next one is tried.", name)
            if moment is None and self._looks.get(name, (now, now))[1] <= now:
                self._looks[name] = (now, _next_look(schedule, now))
        return written

    def _write_tick(self, name: str, due: dt.datetime) -> bool:
        if failpoints.armed:
            failpoints.reach("before-tick")
        written = self.huey.enqueue_tick(name, due)
        if written and failpoints.armed:
            failpoints.reach("tick-written")
        return written

    def _came_due(self, name: str, schedule: Schedule, now: float) -> dt.datetime | None:
        """The latest due time since the last look, if there is one; a new schedule starts now."""
        if name not in self._looks:
            written = self.huey.backend.last_tick(self.huey._registry.first_name(name))
            start = now if written is None else min(now, max(written, now - LOOK_BACK))
            self._looks[name] = (start, _next_look(schedule, start))
        last, following = self._looks[name]
        if now < last:  # the clock was set back; what was enqueued before is not enqueued again
            self._looks[name] = last, following = now, _next_look(schedule, now)
        return None if following > now else _latest(schedule, last, now)


def _next_look(schedule: Schedule, now: float) -> float:
    """When to look at a schedule again: at its next due time; one that must be asked, each minute."""
    if isinstance(schedule, Asked):
        return now - now % 60 + 60
    following = schedule.next_after(dt.datetime.fromtimestamp(now, dt.UTC))
    return now + DAY if following is None else following.timestamp()


def _latest(schedule: Schedule, since: float, now: float) -> dt.datetime | None:
    start, end = (dt.datetime.fromtimestamp(moment, dt.UTC) for moment in (since, now))
    latest = None
    for due in schedule.between(start, end):
        latest = due
    return latest
