"""What is counted of a user's to-dos."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from app.models import Statistic, Todo, User, now
from tasks.statistics import process_task_statistics

PAST = dt.timedelta(minutes=-1)


def give(user: User, *statuses: str, deadline: dt.timedelta | None = None) -> None:
    for status in statuses:
        Todo.create(user=user, title="pay", status=status, deadline=deadline and now() + deadline)


def counted(user: User) -> list[tuple[int, ...]]:
    columns = (Statistic.open, Statistic.doing, Statistic.done, Statistic.overdue)
    return list(Statistic.select(*columns).where(Statistic.user == user).order_by(Statistic.day).tuples())


def test_each_users_to_dos_are_counted_by_what_they_are(user: User):
    grace = User.create(name="Grace", email="grace@example.org")
    User.create(name="Nobody", email="nobody@example.org")
    give(user, "open", "open", "doing", "done")
    give(user, "open", "doing", "done", deadline=PAST)
    give(grace, "done")

    assert process_task_statistics.call_local() == 2
    assert (counted(user), counted(grace)) == ([(3, 2, 2, 2)], [(0, 0, 1, 0)])


def test_the_day_is_that_of_the_configured_zone(user: User):
    give(user, "open")
    before = now()

    process_task_statistics.call_local()

    days = {f"{moment.astimezone(ZoneInfo('Europe/Berlin')):%Y-%m-%d}" for moment in (before, now())}
    assert Statistic.get().day in days


def test_a_second_run_replaces_what_the_first_has_counted_and_leaves_other_days(user: User):
    Statistic.create(user=user, day="2020-01-01", open=7, doing=0, done=0, overdue=0)
    give(user, "open")
    process_task_statistics.call_local()
    give(user, "open")

    process_task_statistics.call_local()

    assert counted(user) == [(7, 0, 0, 0), (2, 0, 0, 0)]
