"""Writes ticks: decides what becomes of each due time, whoever else does so too.

A decision stands for all due times of a schedule after those that were decided before, and the store takes it only
if these still are the last ones. So it does not matter how many consumers decide, when they look, or which clock
they go by: each due time is decided once, and none is left out.
"""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from huey import signals as S
from huey.api import Task as HueyTask

from nephew import catchup, clock, failpoints
from nephew.asked import Asked
from nephew.backends.records import NewJob
from nephew.backends.schedules import PAUSED, Decided, Decision, Fate, NewTick
from nephew.errors import BackendError
from nephew.job import Relation
from nephew.plans import Plan, merged
from nephew.timetable import call_of

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.ticker")

#: How many schedules, and about how many ticks, are decided in one step of the store.
BATCH = 500
#: How many ticks are closed, released or pruned in one step.
STEP = 500
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
#: A clock that is so far (seconds) behind what was decided already is worth a warning.
BEHIND = 60.0
#: Why a tick was skipped that has no job.
KEPT_OUT = "a middleware did not let its job pass"

#: The calls of ticks, by schedule and due time, for those who are told.
Calls = dict[tuple[str, float], HueyTask]


class Watch:
    """A schedule that is looked after.

    :ivar seen: up to where it is decided, as the store said last.
    :ivar looked: up to where nothing else is due, as the schedule said: not all that is known is worth a write.
    :ivar next: when to look at it again.
    """

    __slots__ = ("looked", "next", "plan", "seen")

    def __init__(self, plan: Plan, seen: float, now: float) -> None:
        self.plan = plan
        self.decided(seen, now)

    def decided(self, seen: float, now: float) -> None:
        """The store says up to where it is decided."""
        self.seen = seen
        self.nothing_until(seen, now)

    def nothing_until(self, looked: float, now: float) -> None:
        """Nothing more is due up to `looked`: look again at the next due time."""
        self.looked = looked
        try:
            self.next = self._next_look(now)
        except Exception:
            log.exception(
                "Schedule %s could not say when it is due next; it is asked again in a minute.", self.plan.name
            )
            self.next = now + MINUTE

    def _next_look(self, now: float) -> float:
        if isinstance(self.plan.schedule, Asked):  # to look ahead is half a million questions, if it is never due
            return self.looked - self.looked % MINUTE + MINUTE
        following = self.plan.schedule.next_after(clock.at(self.looked))
        return max(self.looked, now) + DAY if following is None else following.timestamp()


class Ticker:
    """Looks after the schedules of one instance."""

    def __init__(self, huey: Nephew, now: Callable[[], float]) -> None:
        """`now` is the clock that schedules go by (epoch seconds)."""
        self._huey, self._now = huey, now
        self._version: int | None = None
        self._watched: dict[str, Watch] = {}
        #: When to look at each of them, a heap.
        self._looks: list[tuple[float, str]] = []
        self._troubles: dict[str, str] = {}
        self._latest = 0.0

    def next_look(self) -> float | None:
        """When something is due next, or has to be looked at; epoch seconds. None: there is nothing to look after."""
        return self._looks[0][0] if self._looks else None

    def write(self, moment: float | None = None) -> bool:
        """Decide what has come due, as much as goes into one step; whether there is more.

        :param moment: the time to go by, if it is not the clock's.
        :raises BackendError: when nothing was decided, or the answer was lost; the next call does it.
        """
        now = self._now() if moment is None else moment
        self._load(now)
        self._notice_clock(now)
        due: list[Watch] = []
        try:
            self._decide(due, now)
        finally:
            for watch in due:
                heapq.heappush(self._looks, (watch.next, watch.plan.name))
        return bool(self._looks) and self._looks[0][0] <= now

    # -- what there is ------------------------------------------------------------------------------
    def _load(self, now: float) -> None:
        """Read the plans anew, where something about them has changed: each decision has to go by the present one."""
        backend = self._huey.backend
        if backend.schedules_version() == self._version:
            return
        version, rows = backend.schedules()
        plans = merged(self._huey, rows)
        new = [plan.name for plan in plans.values() if plan.row is None]
        if new:
            backend.begin_schedules(new, now)
            version, rows = backend.schedules()
            plans = merged(self._huey, rows)
        self._watch(plans.values(), now)
        self._version = version
        self._latest = max([self._latest, *(watch.seen for watch in self._watched.values())])

    def _watch(self, plans: Iterable[Plan], now: float) -> None:
        watched = {}
        for plan in plans:
            self._tell_trouble(plan)
            if plan.trouble is None and plan.row is not None:
                watch = self._watched.get(plan.name)
                if watch is None or watch.seen != plan.row.seen or watch.plan.schedule != plan.schedule:
                    watch = Watch(plan, plan.row.seen, now)
                watch.plan = plan
                watched[plan.name] = watch
        self._watched = watched
        self._looks = [(watch.next, name) for name, watch in watched.items()]
        heapq.heapify(self._looks)

    def _tell_trouble(self, plan: Plan) -> None:
        if plan.trouble is None:
            self._troubles.pop(plan.name, None)
        elif self._troubles.get(plan.name) != plan.trouble:
            self._troubles[plan.name] = plan.trouble
            log.warning("Schedule %s is left to other consumers: %s.", plan.name, plan.trouble)

    def _notice_clock(self, now: float) -> None:
        if self._watched and now < self._latest - BEHIND:
            log.warning(
                "The clock was set back: it shows %s, and due times up to %s are decided. None is repeated; each "
                "schedule goes on with its first one after those. If it is right now and was ahead before, let them "
                "count from now on: nephew schedules restore NAME.",
                clock.at(now).isoformat(),
                clock.at(self._latest).isoformat(),
            )
            self._latest = now
        self._latest = max(self._latest, now)

    # -- deciding -----------------------------------------------------------------------------------
    def _decide(self, due: list[Watch], now: float) -> None:
        """Take what has come due from the heap into `due`, and have the store decide it."""
        calls: Calls = {}
        found = self._come_due(due, now, calls)
        if not found:
            return
        if failpoints.armed:
            failpoints.reach("before-tick")
        answers = self._huey.backend.decide([decision for _, decision in found])
        if failpoints.armed:
            failpoints.reach("tick-written")
        for (watch, _), decided in zip(found, answers, strict=True):
            if not decided.taken and decided.seen == watch.seen:
                self._version = None  # it was removed since
            watch.decided(decided.seen, now)
            if decided.taken:
                self._tell(watch.plan, decided, calls)

    def _come_due(self, due: list[Watch], now: float, calls: Calls) -> list[tuple[Watch, Decision]]:
        """What has come due, as much as goes into one step, and what is to become of it."""
        found: list[tuple[Watch, Decision]] = []
        ticks = 0
        while self._looks and self._looks[0][0] <= now and max(len(due), ticks) < BATCH:
            watch = self._watched[heapq.heappop(self._looks)[1]]
            due.append(watch)
            decision = self._decision(watch, now, calls)
            if decision is None:
                watch.nothing_until(now, now)
            else:
                found.append((watch, decision))
                ticks += len(decision.ticks)
        return found

    def _decision(self, watch: Watch, now: float, calls: Calls) -> Decision | None:
        """What is to become of a schedule's due times; None: none has come."""
        plan = watch.plan
        try:
            verdict = catchup.decide(plan.schedule, plan.policy, watch.looked, now)
        except Exception as error:
            log.exception("Schedule %s could not say what is due; it is asked again in a minute.", plan.name)
            unknown = NewTick(now, None, Fate.SKIPPED, f"the schedule could not say what is due: {error!r}")
            return Decision(plan.name, watch.seen, now, plan.policy.overlap, (unknown,))
        if verdict is None:
            # A minute that was asked about is not to be asked about again, whoever comes next.
            is_news = isinstance(plan.schedule, Asked) and now - watch.seen > HOUR
            return Decision(plan.name, watch.seen, now, plan.policy.overlap, ()) if is_news else None
        ticks = tuple(self._tick(plan, fate, calls) for fate in verdict.ticks)
        return Decision(plan.name, watch.seen, verdict.upto, plan.policy.overlap, ticks)

    def _tick(self, plan: Plan, fate: catchup.Fate, calls: Calls) -> NewTick:
        if not fate.enqueue:
            return NewTick(fate.due, None, Fate.MISSED, fate.reason, fate.until)
        if plan.paused_at is not None:
            return NewTick(fate.due, None, Fate.SKIPPED, PAUSED)
        job = self._job(plan, fate.due, calls)
        if isinstance(job, str):
            return NewTick(fate.due, None, Fate.SKIPPED, job)
        return NewTick(fate.due, job, Fate.ENQUEUED, fate.reason)

    def _job(self, plan: Plan, due: float, calls: Calls) -> NewJob | str:
        """The job of a tick; or why there is none."""
        try:
            call = call_of(self._huey, plan)
            job = self._huey.intake.following(call, parent=plan.name, relation=Relation.SCHEDULE)
        except BackendError:
            raise  # the store that a middleware asks may be back soon
        except Exception as error:
            log.exception("A tick of %s has no job; it is skipped, the next one is tried.", plan.name)
            return f"its job could not be made: {error!r}"
        calls[plan.name, due] = call
        return KEPT_OUT if job is None else job

    def _tell(self, plan: Plan, decided: Decided, calls: Calls) -> None:
        missed = [due for due, fate, _ in decided.fates if fate == Fate.MISSED]
        if missed:
            log.warning("Ticks of %s up to %s were missed.", plan.name, _shown(missed[-1]))
        for due, fate, reason in decided.fates:
            if fate == Fate.ENQUEUED:
                self._tell_enqueued(plan, due, calls[plan.name, due])
            elif fate != Fate.MISSED:
                log.info("Tick of %s for %s is %s%s.", plan.name, _shown(due), fate, f" ({reason})" if reason else "")

    def _tell_enqueued(self, plan: Plan, due: float, call: HueyTask) -> None:
        log.info("Tick of %s for %s was enqueued.", plan.name, _shown(due))
        self._huey._emit(S.SIGNAL_ENQUEUED, call)

    # -- chores -------------------------------------------------------------------------------------
    def release(self) -> bool:
        """Enqueue waiting ticks whose turn has come; whether there may be more."""
        backend, calls = self._huey.backend, Calls()
        waiting = backend.release_ticks(STEP)
        for name, due in waiting:
            watch = self._watched.get(name)
            if watch is None:
                continue  # others know it
            job = self._job(watch.plan, due, calls)
            if isinstance(job, str):
                backend.skip_tick(name, due, job)
            elif backend.release(name, due, job):
                self._tell_enqueued(watch.plan, due, calls[name, due])
        return len(waiting) == STEP

    def close(self) -> bool:
        """Write down how the jobs of ticks have ended; whether there may be more."""
        return len(self._huey.backend.close_ticks(STEP)) == STEP

    def prune(self) -> bool:
        """Delete ticks that are not kept any longer; whether there may be more."""
        settings = self._huey.settings
        before = self._now() - settings.keep_ticks
        return self._huey.backend.prune_ticks(before, settings.keep_ticks_most, STEP) >= STEP


def _shown(due: float) -> str:
    return clock.at(due).isoformat()
