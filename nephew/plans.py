"""Plans: the named schedules of tasks, as the code has them and as the store has changed or added them."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from nephew import clock
from nephew.backends.schedules import ScheduleRow, TickRow
from nephew.catchup import Policy
from nephew.duetimes import Schedule
from nephew.errors import NephewError
from nephew.schedules import salted
from nephew.specs import from_spec, policy_from_spec, policy_spec

if TYPE_CHECKING:
    from nephew.instance import Nephew


class Unknown:
    """The schedule of a plan that only others can read: nothing is due by it."""

    def __repr__(self) -> str:
        return "unknown here"

    def next_after(self, moment: dt.datetime) -> dt.datetime | None:
        """Never."""
        return None

    def between(self, start: dt.datetime, end: dt.datetime) -> Iterator[dt.datetime]:
        """Nothing."""
        return iter(())

    def __call__(self, timestamp: dt.datetime) -> bool:
        """No."""
        return False


@dataclass(frozen=True, slots=True)
class Plan:
    """A named schedule of a task.

    :ivar name: what it is called: the name that it was added by, or the first name of the code's task.
    :ivar task: the stored name of its task.
    :ivar schedule: when it is due.
    :ivar policy: what becomes of its due times.
    :ivar args: the arguments by place that its jobs are called with.
    :ivar kwargs: those by name.
    :ivar added: it was added at run time; the code does not have it.
    :ivar changed: it is not as the code has it; `huey.schedules.restore` makes it so again.
    :ivar trouble: why it is left to other consumers; None: it is not.
    :ivar row: what the store knows of it; None: no consumer has started with it yet.
    """

    name: str
    task: str
    schedule: Schedule
    policy: Policy
    args: tuple[Any, ...] = field(default=(), repr=False)
    kwargs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    added: bool = False
    changed: bool = False
    trouble: str | None = None
    row: ScheduleRow | None = field(default=None, repr=False)

    @property
    def clashes(self) -> bool:
        """Whether the code has a schedule of this name, and another one was added at run time."""
        return self.row is not None and self.row.added and not self.added

    @property
    def paused_at(self) -> dt.datetime | None:
        """Since when it is paused; None: it is not."""
        return None if self.row is None else clock.aware(self.row.paused_at)

    @property
    def since(self) -> dt.datetime | None:
        """Since when its due times count."""
        return None if self.row is None else clock.aware(self.row.since)

    @property
    def succeeded_at(self) -> dt.datetime | None:
        """When one of its jobs last succeeded."""
        return None if self.row is None else clock.aware(self.row.succeeded_at)

    @property
    def lapsed(self) -> bool:
        """Whether it has not succeeded for longer than `expect_within`, as somebody was told."""
        return self.row is not None and self.row.lapse is not None


class Tick(NamedTuple):
    """One due time of a schedule, and what became of it.

    :ivar fate: `enqueued`, `waiting` (for the one before it to end), `skipped` or `missed`.
    :ivar reason: why it was skipped or missed, or that it was run by hand.
    :ivar job: the id of its job.
    :ivar until: the last one, where several that were missed share a row; `due` is the first of them.
    :ivar state: that of its job; None: it has none, or its record is gone.
    """

    schedule: str
    due: dt.datetime
    fate: str
    reason: str
    job: str | None
    until: dt.datetime | None
    written_at: dt.datetime
    state: str | None
    ended_at: dt.datetime | None


def tick(row: TickRow) -> Tick:
    """A row of the ledger for people and programs."""
    return Tick(
        row.schedule,
        clock.at(row.due),
        row.fate,
        row.reason,
        row.job,
        clock.aware(row.until),
        clock.at(row.written_at),
        row.state,
        clock.aware(row.ended_at),
    )


def of_code(huey: Nephew) -> dict[str, Plan]:
    """The plans that this process's code has, by their names."""
    plans = [_of_task(huey, made) for made in huey._registry.periodic()]
    return {plan.name: plan for plan in plans}


def find(huey: Nephew, name: str) -> Plan | None:
    """The plan of this name, or that the code has for the task of this name; None: there is none."""
    made = huey._registry.present(name)
    known = _of_task(huey, made) if hasattr(made, "nephew_schedule") else None
    row = huey.backend.schedule(name if known is None else known.name)
    return known if row is None else _as_stored(huey, known, row)


def _of_task(huey: Nephew, made: Any) -> Plan:
    task = huey._registry.task_to_string(made)
    name = huey._registry.first_name(task)
    return Plan(name, task, salted(made.nephew_schedule, name), made.nephew_policy)


def merged(huey: Nephew, rows: Iterable[ScheduleRow]) -> dict[str, Plan]:
    """All plans that the code or the store knows, by their names."""
    plans = of_code(huey)
    for row in rows:
        plans[row.schedule] = _as_stored(huey, plans.get(row.schedule), row)
    return plans


def _as_stored(huey: Nephew, known: Plan | None, row: ScheduleRow) -> Plan:
    try:
        if not row.added:
            return _changed(known, row)
        found = _added(huey, row)
    except (NephewError, ValueError, TypeError, KeyError, AttributeError) as error:
        trouble = f"what is stored of it cannot be read here: {error}"
        return replace(known or _stranger(row), trouble=trouble, row=row)
    if known is None:
        return found
    return replace(known, trouble=f"{_clash(known, found)}; rename or remove one of them", row=row)


def _changed(known: Plan | None, row: ScheduleRow) -> Plan:
    """A plan of the code's, as it was changed at run time."""
    if known is None:
        return replace(_stranger(row), trouble="the code has no such schedule here: removed, or another version's")
    if row.definition is None:
        return replace(known, row=row)
    stored = read(row)
    schedule = known.schedule if stored.schedule is None else salted(from_spec(stored.schedule), known.name)
    policy = policy_from_spec({**policy_spec(known.policy), **stored.policy})
    return replace(known, schedule=schedule, policy=policy, changed=True, row=row)


def _added(huey: Nephew, row: ScheduleRow) -> Plan:
    stored = read(row)
    task, schedule = stored.task or "", salted(from_spec(stored.schedule or {}), row.schedule)
    trouble = None if task in huey._registry._registry else f"its task {task} is not registered here"
    args, kwargs = huey.serializer.deserialize(row.payload) if row.payload else ((), {})
    policy = policy_from_spec(stored.policy)
    return Plan(row.schedule, task, schedule, policy, tuple(args), kwargs, added=True, trouble=trouble, row=row)


def _stranger(row: ScheduleRow) -> Plan:
    return Plan(row.schedule, row.schedule, Unknown(), Policy(), added=row.added)


def _clash(known: Plan, found: Plan) -> str:
    return (
        f"two schedules are called {known.name!r}: the code's, of the task {known.task}, and one that was added at run "
        f"time, of the task {found.task}"
    )


# -- as it is stored ----------------------------------------------------------------------------------
class Definition(NamedTuple):
    """What is stored of a plan that was added or changed.

    :ivar schedule: as `nephew.specs.spec` has it; None: the code's.
    :ivar policy: the parts of its policy that were given; the others are the code's, or the defaults.
    :ivar task: the stored name of an added one's task.
    """

    schedule: Mapping[str, Any] | None
    policy: Mapping[str, Any]
    task: str | None = None

    def text(self) -> str:
        """As it is stored."""
        return json.dumps(self._asdict())


def has_own_times(row: ScheduleRow) -> bool:
    """Whether other due times than the code's are stored of it, or something that cannot be read here."""
    try:
        return read(row).schedule is not None
    except (ValueError, TypeError):
        return True


def read(row: ScheduleRow | None) -> Definition:
    """What was added or changed; nothing, where a schedule is as the code says."""
    if row is None or row.definition is None:
        return Definition(None, {})
    return Definition(**json.loads(row.definition))
