"""Finding to-dos whose deadline has passed, and having their owners reminded."""

from __future__ import annotations

from peewee import JOIN

from app.database import db
from app.models import Reminder, Todo, now
from app.queue import huey
from tasks.reminders import send_reminder

#: How many to-dos are dealt with in one transaction.
PAGE = 200


@huey.task()
def check_overdue_tasks() -> int:
    """Queue a reminder of each to-do that is overdue, and say how many: of one deadline one, however often this runs.

    The note of it and the job are one transaction where the jobs are in the application's database. On Redis a crash
    just before its end may have a reminder sent twice, with the same Message-ID.
    """
    count = 0
    while overdue := _not_reminded():
        count += _remind(overdue)
    return count


def _not_reminded() -> list[Todo]:
    this_deadline = (Reminder.todo == Todo.id) & (Reminder.deadline == Todo.deadline)
    return list(
        Todo.select(Todo.id, Todo.deadline)
        .join(Reminder, JOIN.LEFT_OUTER, on=this_deadline)
        .where(Todo.status != "done", Todo.deadline <= now(), Reminder.id.is_null())
        .order_by(Todo.id)
        .limit(PAGE)
    )


def _remind(overdue: list[Todo]) -> int:
    """Whoever notes a reminder queues it; a check that runs at the same time finds it noted."""
    notes = [{"todo": todo.id, "deadline": todo.deadline} for todo in overdue]
    with db.atomic():
        noted = Reminder.insert_many(notes).on_conflict_ignore().returning(Reminder.todo).execute()
        send_reminder.map([row.todo_id for row in noted])
    return len(noted)
