"""The dead-man's switch of schedules: tells when one has not succeeded for too long, and when it has again.

Of any number of consumers one tells: the one that writes the mark into the schedule's row. When it dies, another one
goes on. Nothing of it is done on the scheduler's thread but looking.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from nephew import webhook
from nephew.errors import NephewError, Undelivered
from nephew.lapses import Lapse, Mark, lapse_of, next_look, next_mark

if TYPE_CHECKING:
    from nephew.instance import Nephew
    from nephew.plans import Plan

log = logging.getLogger("huey.nephew.alarm")

#: How long (seconds) after a look the next one comes while a lapse is told, or a schedule is new.
SOON = 15.0
#: How long (seconds) the end of a consumer waits for what is being told.
LAST_WORD = 2.0


class Alarm:
    """Looks for lapses and has them told; every consumer has one, also one that runs no schedules.

    :ivar teller: the thread that tells, or has told last.
    """

    def __init__(self, huey: Nephew, now: Callable[[], float]) -> None:
        """`now` is the clock that schedules go by (epoch seconds)."""
        self._huey, self._now = huey, now
        #: The version of the schedules that were looked at, and when there may be something to tell of them.
        self._version: int | None = None
        self._next = 0.0
        self._stopping = threading.Event()
        self.teller: threading.Thread | None = None

    def step(self) -> None:
        """Look, if there may be something to tell."""
        now, version = self._now(), self._huey.backend.schedules_version()
        if self._is_telling() or (now < self._next and version == self._version):
            return
        watched = [plan for plan in self._huey.schedules if plan.policy.expect_within is not None]
        news = [(plan, mark) for plan in watched if (mark := next_mark(plan, now)) is not None]
        if news and not self._stopping.is_set():
            self.teller = threading.Thread(target=self._tell_all, args=(news,), name="Alarm", daemon=True)
            self.teller.start()
        self._version, self._next = version, min((next_look(plan, now, SOON) for plan in watched), default=math.inf)

    def stop(self) -> None:
        """End; what is not told yet is told by another consumer."""
        self._stopping.set()
        if self.teller is not None:
            self.teller.join(LAST_WORD)

    def _is_telling(self) -> bool:
        return self.teller is not None and self.teller.is_alive()

    def _tell_all(self, news: list[tuple[Plan, Mark]]) -> None:
        """All are announced before the webhook, which may be down, is told of the first."""
        tellings = [Telling(self._huey, self._now, plan, mark) for plan, mark in news]
        try:
            announced = [telling for telling in tellings if not self._stopping.is_set() and telling.announce()]
            for telling in announced:
                if self._stopping.is_set() or not telling.call(self._stopping):
                    break
        except NephewError as error:
            log.warning("Could not tell of schedules that do not succeed (%s); trying again within a minute.", error)
        except Exception:
            log.exception("Could not tell of schedules that do not succeed; trying again within a minute.")
        finally:
            self._huey.close()


class Telling:
    """One lapse, or the end of one, while it is told."""

    def __init__(self, huey: Nephew, now: Callable[[], float], plan: Plan, mark: Mark) -> None:
        assert plan.row is not None
        self._huey, self._now, self._plan, self._row = huey, now, plan, plan.row
        self._stored, self._mark = plan.row.lapse, mark

    def announce(self) -> bool:
        """Tell log and signal, if nobody has; whether the webhook is ours to tell."""
        if not self._store(self._mark._replace(at=self._now())):
            return False  # another consumer tells
        if self._mark.announces:
            self._announce(self._lapse())
            return self._store(self._mark.following(self._now()))
        return True

    def call(self, stopping: threading.Event) -> bool:
        """Tell the webhook, if there is one; whether it can be told of others."""
        if not self._store(self._mark._replace(at=self._now())):
            return True  # the calls before took so long that another consumer has gone on
        try:
            if self._huey.settings.alert_webhook:
                message = self._lapse().message(self._huey.name)
                webhook.deliver(self._huey.settings.alert_webhook, message, stopping)
        except Undelivered as error:
            if not error.final:
                log.warning("The webhook was not told of a lapse: %s; trying again within a minute.", error)
                return False
            log.error("The webhook was not told of a lapse: %s; it is not told of this one again.", error)
        self._store(self._mark.following(self._now()))
        return True

    def _lapse(self) -> Lapse:
        latest = self._huey.backend.ticks(self._row.schedule, 1)
        return lapse_of(self._plan, self._row, self._mark, latest[0] if latest else None)

    def _announce(self, lapse: Lapse) -> None:
        text = str(lapse)
        log.log(logging.INFO if lapse.recovered else logging.ERROR, "%s.", text[0].upper() + text[1:])
        # Receivers of all signals expect a task where the name is: only those that asked for this one are told.
        for receiver in self._huey._signal.receivers.get(lapse.signal, ()):
            try:
                receiver(lapse.signal, lapse.schedule, lapse)
            except Exception:
                log.exception("A receiver of the signal %s failed; it is not told again.", lapse.signal)

    def _store(self, mark: Mark | None) -> bool:
        """Whether this is still ours to tell."""
        text = None if mark is None else str(mark)
        if not self._huey.backend.mark_lapse(self._row.schedule, self._stored, text):
            return False
        self._stored = text
        if mark is not None:
            self._mark = mark
        return True
