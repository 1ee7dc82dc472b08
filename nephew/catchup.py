"""What becomes of the due times that have passed since the last look: a policy, and the decision it leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from nephew import clock
from nephew.duetimes import Schedule, latest
from nephew.errors import ConfigError

NOTHING = timedelta(0)
#: A tick that is no later than this is on time, whatever the policy.
ON_TIME = timedelta(seconds=60)
#: How late a tick may be that is made up for, unless `within` says otherwise.
LATE = timedelta(days=1)
#: How many ticks catch_up="all" makes up for at most.
MOST = 1000
#: How many missed ticks of one decision have a row each; those before share one.
ROWS = 100

CatchUp = Literal["none", "last", "all"]
Overlap = Literal["skip", "queue", "allow"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What happens to the due times of a schedule.

    :ivar catch_up: of those that passed while no consumer ran, none, the last one, or all (the latest 1,000) are
        made up for. With "none" the latest is still enqueued when it is at most a minute late.
    :ivar within: how late a tick may be that is made up for; None: a day. Not for "none".
    :ivar overlap: what to do while an earlier job of the schedule has not ended: skip the tick, let it wait its
        turn, or enqueue it all the same.
    :ivar expect_within: how long the schedule may go without a success before somebody is told; None: for ever.
    """

    catch_up: CatchUp = "last"
    within: timedelta | None = None
    overlap: Overlap = "skip"
    expect_within: timedelta | None = None

    @classmethod
    def parse(cls, name: str, given: Mapping[str, Any]) -> Policy:
        """The policy from options as they were given to the schedule `name`; what is missing is the default.

        Durations may be given as seconds too.

        :raises ConfigError: saying what was expected and what was given.
        """
        known = [field.name for field in fields(cls)]
        for option in given:
            if option not in known:
                raise ConfigError(f"{name}: expected a policy of {', '.join(known)}, got {option}={given[option]!r}")
        options = {option: _checked(name, option, value) for option, value in given.items()}
        policy = cls(**options)
        if policy.catch_up == "none" and policy.within is not None:
            raise ConfigError(
                f'{name}: expected within only beside catch_up="last" or "all", got catch_up="none" and '
                f"within={given['within']!r}; leave one of them out"
            )
        return policy

    @property
    def most(self) -> int:
        """How many ticks are enqueued at once, at most."""
        return MOST if self.catch_up == "all" else 1

    @property
    def longest_delay(self) -> timedelta:
        """How late a tick may be and still be enqueued."""
        return ON_TIME if self.catch_up == "none" else LATE if self.within is None else self.within


class Fate(NamedTuple):
    """What becomes of a due time.

    :ivar due: epoch seconds.
    :ivar enqueue: a job is enqueued for it; otherwise it is missed.
    :ivar until: the last of all the missed due times from `due` on that this one stands for; None: it alone.
    :ivar reason: why it is missed, or made up for; empty: it is on time.
    """

    due: float
    enqueue: bool
    until: float | None
    reason: str


class Verdict(NamedTuple):
    """What becomes of all due times of a stretch of time.

    :ivar upto: the last of them, epoch seconds.
    :ivar ticks: their fates, in order.
    """

    upto: float
    ticks: tuple[Fate, ...]


def decide(schedule: Schedule, policy: Policy, seen: float, now: float) -> Verdict | None:
    """What becomes of the due times after `seen` up to `now`; None: there are none.

    It takes no longer after years than after a minute.

    :param seen: up to where everything is decided, epoch seconds. A caller that knows of no due time up to some
        later moment may give that.
    :param now: epoch seconds; when it is earlier than `seen`, nothing is due.
    """
    start, end = clock.at(seen), clock.at(now)
    most, longest_delay = policy.most, policy.longest_delay
    dues = sorted({due for due in latest(schedule, start, end, most + ROWS + 1) if start < due <= end})
    if not dues:
        return None
    made_up_for = [due for due in dues[-most:] if end - due <= longest_delay]
    missed = dues[: len(dues) - len(made_up_for)]
    ticks = [
        *_sharing(schedule, policy, start, end, missed[:-ROWS]),
        *(Fate(due.timestamp(), False, None, _why_missed(policy, end - due, due < dues[-1])) for due in missed[-ROWS:]),
        *(Fate(due.timestamp(), True, None, _why_enqueued(end - due)) for due in made_up_for),
    ]
    return Verdict(dues[-1].timestamp(), tuple(ticks))


def _sharing(
    schedule: Schedule, policy: Policy, start: datetime, end: datetime, missed: Sequence[datetime]
) -> Iterator[Fate]:
    """The one fate of all missed due times after `start` up to the last of `missed`, which is known in part."""
    if missed:
        first, last = schedule.next_after(start) or missed[0], missed[-1]
        until = last.timestamp() if first < last else None
        yield Fate(first.timestamp(), False, until, _why_missed(policy, end - last, True))


def _why_missed(policy: Policy, late: timedelta, outdone: bool) -> str:
    """In words. `outdone`: a later one has come due as well."""
    if outdone and policy.catch_up != "all":
        return f'a later one came due as well, catch_up="{policy.catch_up}"'
    if late > policy.longest_delay:
        return f"{_whole_seconds(late)} late, made up for within {policy.longest_delay} only"
    return f"more than {MOST} came due at once"


def _why_enqueued(late: timedelta) -> str:
    return "" if late <= ON_TIME else f"made up for, {_whole_seconds(late)} late"


def _whole_seconds(duration: timedelta) -> timedelta:
    return timedelta(seconds=round(duration.total_seconds()))


def _checked(name: str, option: str, value: Any) -> Any:
    """A usable value of a policy's option; durations as timedelta."""
    choices = {"catch_up": get_args(CatchUp), "overlap": get_args(Overlap)}.get(option)
    if choices is None:
        return _duration(name, option, value)
    if value not in choices:
        raise ConfigError(f"{name}: expected {option} to be {', '.join(map(repr, choices))}, got {value!r}")
    return value


def _duration(name: str, option: str, value: Any) -> timedelta | None:
    if value is None:
        return None
    try:
        duration = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (TypeError, ValueError, OverflowError):
        duration = NOTHING
    if isinstance(value, bool) or duration <= NOTHING:
        raise ConfigError(f"{name}: expected {option} to be a timedelta or seconds greater than 0, got {value!r}")
    return duration
