"""Who is reminded of what is overdue, and how often."""

from __future__ import annotations

import datetime as dt

import pytest

from app.database import db
from app.models import Reminder, Todo, User, now
from app.queue import huey
from tasks import overdue
from tasks.overdue import check_overdue_tasks
from tests.contract.crowd import at_once


def give(user: User, minutes_left: float | None, status: str = "open") -> Todo:
    deadline = None if minutes_left is None else now() + dt.timedelta(minutes=minutes_left)
    return Todo.create(user=user, title="pay", status=status, deadline=deadline)


def reminded() -> list[int]:
    return sorted(job.args[0] for job in huey.jobs(task="send_reminder", limit=None))


def test_only_what_is_overdue_and_not_done_is_reminded_of(user: User):
    late, doing = give(user, -1), give(user, -90, "doing")
    for minutes_left, status in ((-1, "done"), (60, "open"), (None, "open")):
        give(user, minutes_left, status)

    assert check_overdue_tasks.call_local() == 2
    assert reminded() == [late.id, doing.id]


def test_of_one_deadline_an_owner_is_reminded_once_and_of_a_new_one_again(user: User):
    todo = give(user, -60)

    counts = [check_overdue_tasks.call_local(), check_overdue_tasks.call_local()]
    Todo.update(deadline=now() - dt.timedelta(minutes=1)).where(Todo.id == todo.id).execute()
    counts.append(check_overdue_tasks.call_local())

    assert counts == [1, 0, 1]
    assert reminded() == [todo.id, todo.id]


def test_many_are_found_page_by_page(user: User):
    for _ in range(overdue.PAGE + 1):
        give(user, -1)

    assert check_overdue_tasks.call_local() == overdue.PAGE + 1
    assert len(set(reminded())) == Reminder.select().count() == overdue.PAGE + 1


def test_checks_at_the_same_time_remind_once(user: User):
    for _ in range(20):
        give(user, -1)

    counts = at_once(huey.backend, 3, lambda _: check_overdue_tasks.call_local())

    assert sum(counts) == 20
    assert len(reminded()) == len(set(reminded())) == 20


def test_a_reminder_that_could_not_be_queued_is_not_noted(user: User):
    give(user, -1)

    with pytest.raises(ZeroDivisionError), db.atomic():
        check_overdue_tasks.call_local()
        1 / 0  # noqa: B018

    assert (reminded(), Reminder.select().count()) == ([], 0)
