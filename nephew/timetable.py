"""`huey.schedules`: looking at schedules, and steering them at run time."""

from __future__ import annotations

import datetime as dt
import difflib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from huey import signals as S
from huey.api import Task as HueyTask

from nephew import clock, plans
from nephew.arguments import misfit
from nephew.backends.schedules import Decision, Fate, NewTick
from nephew.catchup import Policy, decide
from nephew.duetimes import coming
from nephew.errors import ConfigError, NephewError
from nephew.job import Relation
from nephew.message import check_size
from nephew.options import PolicyGiven
from nephew.plans import Definition, Plan, Tick
from nephew.preview import Entry, preview
from nephew.redaction import concealed, places_of
from nephew.result import Result
from nephew.schedules import as_schedule
from nephew.specs import policy_spec, spec

if TYPE_CHECKING:
    from nephew.instance import Nephew

#: The most characters of a schedule's name.
LONGEST_NAME = 200
#: Why a tick was missed that was due before its schedule became another one.
CHANGED = "the schedule was changed before anybody looked"

#: What `Timetable.list` would hide from the annotations below it.
Plans = list[Plan]
Ticks = list[Tick]
Moments = list[dt.datetime]


class Timetable:
    """The schedules of one instance. A name may be given by its last part (behind the last dot) if only one has it."""

    def __init__(self, huey: Nephew) -> None:
        self._huey, self._backend = huey, huey.backend

    def __iter__(self) -> Iterator[Plan]:
        return iter(self.list())

    # -- looking ------------------------------------------------------------------------------------
    def list(self) -> Plans:
        """All schedules that the code or the store knows, by name."""
        return sorted(self._plans().values(), key=lambda plan: plan.name)

    def of_code(self) -> Plans:
        """Those of this process's code, as it has them; the store is not asked."""
        return list(plans.of_code(self._huey).values())

    def get(self, name: str) -> Plan:
        """A schedule by its name.

        :raises ConfigError: when there is none of that name.
        """
        plan = plans.find(self._huey, name)
        if plan is not None:
            return plan
        known = self._plans()
        found = [plan for plan in known.values() if name in (_last_part(plan.name), _last_part(plan.task))]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigError(f"expected one schedule called {name!r}, got {_listed(plan.name for plan in found)}")
        near = difflib.get_close_matches(name, known, 1, 0.5)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"expected the name of a schedule, got {name!r}, which there is none of{hint}")

    def next(self, name: str, count: int = 5) -> Moments:
        """The coming due times of a schedule, in UTC; fewer than `count` where no more are in sight."""
        return coming(self.get(name).schedule, clock.at(self._backend.now()), count)

    def preview(self, name: str, days: float | None = None, around_dst: bool = False) -> Iterator[Entry]:
        """The coming due times of a schedule as its wall clock shows them, and the changes of that clock.

        :param days: how far to look; None: 7 days, or a year for changes of the clock.
        :param around_dst: only what is near each change of the clock.
        """
        return preview(self.get(name).schedule, clock.at(self._backend.now()), days, around_dst)

    def ticks(self, name: str, limit: int = 20) -> Ticks:
        """What became of the due times of a schedule, the latest first."""
        return [plans.tick(row) for row in self._huey.history.ticks(self.get(name).name, limit)]

    def shown(self, plan: Plan) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a schedule as they may be shown."""
        known = self._huey._registry._registry.get(plan.task)
        places = None if known is None else places_of(known, plan.args, plan.kwargs)
        return concealed(places, plan.args, dict(plan.kwargs))

    def check(self) -> None:
        """Look for two schedules with one name: no consumer starts with them.

        :raises ConfigError: naming both of each pair.
        """
        found = [plan.trouble for plan in self._plans().values() if plan.clashes]
        if found:
            raise ConfigError("; ".join(map(str, found)))

    # -- steering -----------------------------------------------------------------------------------
    def add(
        self,
        name: str,
        task: Any,
        schedule: Any,
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
        **policy: Unpack[PolicyGiven],
    ) -> Plan:
        """Store a schedule that the code does not have; consumers go by it at once, and after a restart.

        :param name: what it is called; no other schedule may be.
        :param task: a registered task, or the name that its jobs are stored with.
        :param schedule: `cron(...)` or `every(...)`; others cannot be stored.
        :param args: the arguments by place that its jobs are called with; `kwargs`: those by name.
        :param policy: as for `huey.periodic_task`.
        :raises ConfigError: when one of them cannot be used.
        :raises EncodeError: when an argument cannot be stored.
        """
        made, named = self._registered(task), _checked(name)
        taken = plans.find(self._huey, named)
        if taken is not None:
            raise ConfigError(
                f"schedule {named!r}: expected a name that no other has, got that of one of the task {taken.task}, "
                f"{taken.schedule!r}; change or remove that one, or choose another name"
            )
        task_name = str(self._huey._registry.task_to_string(made))
        definition = Definition(self._spec(schedule), _checked_policy(named, Policy(), policy), task_name)
        call = made(tuple(args), dict(kwargs or {}))
        wrong = misfit(call)
        if wrong is not None:
            raise ConfigError(f"schedule {named!r}: {wrong}")
        payload = bytes(self._huey.serializer.serialize((tuple(args), dict(kwargs or {}))))
        check_size(self._huey, payload, f"the arguments of the schedule {named!r}")
        self._backend.define_schedule(named, definition.text(), payload, True, self._backend.now())
        return self.get(named)

    def change(self, name: str, schedule: Any = None, **policy: Unpack[PolicyGiven]) -> Plan:
        """Change when a schedule is due, or what becomes of its due times. What is not given stays as it is.

        A new schedule counts from now on; due times of the old one that nobody has decided yet are missed.

        :param schedule: `cron(...)` or `every(...)`.
        :param policy: as for `huey.periodic_task`.
        :raises ConfigError: when there is none of that name, or one of them cannot be used.
        """
        plan = self.get(name)
        self._refuse_trouble(plan)
        if schedule is None and not policy:
            raise ConfigError(
                f"schedule {plan.name!r}: expected a schedule or a part of its policy to change, got none"
            )
        stored = plans.read(plan.row)
        definition = stored._replace(
            schedule=stored.schedule if schedule is None else self._spec(schedule),
            policy={**stored.policy, **_checked_policy(plan.name, plan.policy, policy)},
        )
        self._define(plan, definition.text(), anew=schedule is not None)
        return self.get(plan.name)

    def restore(self, name: str) -> Plan:
        """Make a schedule of the code's what the code says it is; where a clock was ahead, counted from now on again.

        :raises ConfigError: when there is none of that name, or it was added at run time.
        """
        plan = self.get(name)
        if plan.added:
            raise ConfigError(
                f"schedule {plan.name!r}: expected one of the code's, got one that was added at run time; "
                "change it, or remove it"
            )
        if plan.name not in plans.of_code(self._huey):
            raise ConfigError(
                f"schedule {plan.name!r}: expected one that the code has, got one that it does not know here; remove it"
            )
        row = plan.row
        ahead = row is not None and row.seen > self._backend.now()
        if row is not None and (row.definition is not None or ahead):
            self._define(plan, None, anew=ahead or plans.has_own_times(row))
        return self.get(plan.name)

    def remove(self, name: str) -> None:
        """Forget a schedule that the code does not have; its ledger is kept for as long as any.

        :raises ConfigError: when there is none of that name, or the code has it.
        """
        plan = self.get(name)
        if plan.name in plans.of_code(self._huey) and not (plan.row and plan.row.added):
            raise ConfigError(
                f"schedule {plan.name!r}: expected one that the code does not have, got one that it has; "
                "remove it there, or pause it"
            )
        self._backend.remove_schedule(plan.name)

    def pause(self, name: str) -> bool:
        """Have its due times skipped until it is resumed; False: it is paused already."""
        return self._backend.pause_schedule(self._begun(name), self._backend.now())

    def resume(self, name: str) -> bool:
        """End a pause; False: it was not paused. What was due meanwhile stays skipped."""
        return self._backend.pause_schedule(self._begun(name), None)

    def run(self, name: str) -> Result[Any]:
        """Enqueue a job of a schedule now, whether it is paused and whatever runs; its handle.

        :raises ConfigError: when there is none of that name.
        :raises NephewError: when its task is not registered here, or an unfinished job has its unique key.
        """
        huey, plan = self._huey, self.get(name)
        self._refuse_trouble(plan)
        call = call_of(huey, plan)
        job = huey.intake.following(call, parent=plan.name, relation=Relation.SCHEDULE)
        if job is None:
            raise NephewError(f"schedule {plan.name!r} was not run: a middleware did not let its job pass")
        fate = self._backend.run_tick(plan.name, self._backend.now(), job)
        if fate != Fate.ENQUEUED:
            raise NephewError(f"schedule {plan.name!r} was not run: an unfinished job has the unique key of this one")
        huey._emit(S.SIGNAL_ENQUEUED, call)
        if huey._immediate:
            huey.caller.run([job.id])
        return Result(huey, call)

    # -- parts --------------------------------------------------------------------------------------
    def _plans(self) -> dict[str, Plan]:
        return plans.merged(self._huey, self._backend.schedules()[1])

    def _begun(self, name: str) -> str:
        """The whole name of a schedule, which the store knows from now on."""
        plan = self.get(name)
        if plan.row is None:
            self._backend.begin_schedules([plan.name], self._backend.now())
        return plan.name

    def _define(self, plan: Plan, definition: str | None, anew: bool) -> None:
        """Store what a schedule of the code's or an added one is from now on; `anew`: its due times are others."""
        row, now = plan.row, self._backend.now()
        if anew and row is not None:
            self._let_go(plan, row.seen, now)
        seen = now if anew or row is None else None
        self._backend.define_schedule(plan.name, definition, row.payload if row else None, plan.added, seen)

    def _let_go(self, plan: Plan, seen: float, now: float) -> None:
        """Write down that due times of a schedule are missed that it will not have any more."""
        try:
            verdict = decide(plan.schedule, plan.policy, seen, now)
        except Exception:  # a function that cannot say when it is due is to be got rid of all the same
            return
        if verdict is not None:
            gone = tuple(NewTick(fate.due, None, Fate.MISSED, CHANGED, fate.until) for fate in verdict.ticks)
            self._backend.decide([Decision(plan.name, seen, verdict.upto, plan.policy.overlap, gone)])

    def _registered(self, task: Any) -> type[HueyTask]:
        known: dict[str, Any] = self._huey._registry._registry
        made = known.get(task) if isinstance(task, str) else getattr(task, "task_class", task)
        if made is None or made not in known.values():
            raise ConfigError(f"expected a task that is registered here, got {task!r} (known: {_listed(known)})")
        found: type[HueyTask] = made
        return found

    def _spec(self, schedule: Any) -> dict[str, Any]:
        return spec(as_schedule(schedule, self._huey.utc))

    def _refuse_trouble(self, plan: Plan) -> None:
        if plan.trouble is not None:
            raise NephewError(f"schedule {plan.name!r} cannot be used here: {plan.trouble}")


def call_of(huey: Nephew, plan: Plan) -> HueyTask:
    """A new call of a plan's task, with its arguments."""
    made: type[HueyTask] = huey._registry.string_to_task(plan.task)
    return made(plan.args, dict(plan.kwargs))


def _last_part(name: str) -> str:
    return name.rpartition(".")[2]


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not 0 < len(name.strip()) == len(name) <= LONGEST_NAME or not name.isprintable():
        raise ConfigError(f"expected a schedule's name to be a text of 1 to {LONGEST_NAME} characters, got {name!r}")
    return name


def _checked_policy(name: str, policy: Policy, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a policy that are given, as they are stored; they have to go with the others."""
    whole = policy_spec(Policy.parse(f"schedule {name!r}", {**policy_spec(policy), **given}))
    return {part: whole[part] for part in given}


def _listed(names: Any) -> str:
    found = sorted(names)
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    return ", ".join(itertools.islice(found, 10)) + more
