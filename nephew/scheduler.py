"""The consumer's timekeeper: moves due jobs, writes ticks, and does the chores: dead workers, expiry, pruning."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from huey.consumer import Scheduler as HueyScheduler

from nephew import clock, failpoints
from nephew.alarm import Alarm
from nephew.archive import ArchiverThread
from nephew.errors import BackendError
from nephew.expiry import Expiry
from nephew.parking import Parking
from nephew.pruning import Pruner
from nephew.recovery import Reaper
from nephew.ticker import Ticker

if TYPE_CHECKING:
    from nephew.bell import ForkBell, ThreadBell
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.scheduler")

#: The longest sleep (seconds): a missed wake-up delays a job by no more.
LONGEST = 1.0
#: The shortest sleep (seconds) between two looks, however often the bell rings.
SHORTEST = 0.02
#: How often (seconds) it looks for what is better not late, such as jobs that expire while they wait; and for what is
#: not kept any longer.
SOON = 1.0
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
        self.ticker, self._alarm = Ticker(huey, self._now), Alarm(huey, self._now)
        self._chores = self._all_chores()
        self._failed = False

    def _all_chores(self) -> list[Chore]:
        huey, often = self.huey, self.huey.settings.reaper
        of_schedules = [
            Chore("note how jobs of schedules ended", SOON, self.ticker.close),
            Chore("release ticks that wait", SOON, self.ticker.release),
            Chore("delete ticks that are not kept any longer", PRUNING, self.ticker.prune),
        ]
        return [
            *(of_schedules if self.periodic else ()),
            Chore("look for schedules that do not succeed", often, self._alarm.step),
            Chore("look at the version of the tables", often, self._end_on_newer_tables),
            Chore("look for dead workers", often, Reaper(huey).reap),
            Chore("release parked jobs", often, Parking(huey).step),
            Chore("end expired jobs", SOON, Expiry(huey).step),
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
            self._try("write ticks", lambda: self.ticker.write(moment))
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
        self._alarm.stop()
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
        dues = [moment for moment in (due, self.ticker.next_look()) if moment is not None]
        chore = max(0.0, min(chore.due for chore in self._chores) - time.monotonic())
        return min([LONGEST, chore, *(max(0.0, moment - now) for moment in dues)])
