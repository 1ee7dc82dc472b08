"""Counting to-dos, day by day."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from peewee import Case, Value, fn

from app.config import settings
from app.database import db
from app.models import Statistic, Todo, now
from app.queue import huey


@huey.task()
def process_task_statistics() -> int:
    """Count each user's to-dos for today, in the configured zone, and say of how many users.

    Another run on the same day replaces what the one before has counted.
    """
    moment = now()
    day = f"{moment.astimezone(ZoneInfo(settings.time_zone)):%Y-%m-%d}"
    overdue = (Todo.status != "done") & (Todo.deadline <= moment)
    counts = Todo.select(
        Todo.user,
        Value(day),
        *(_count(Todo.status == status) for status in ("open", "doing", "done")),
        _count(overdue),
    ).group_by(Todo.user)
    columns = [Statistic.user, Statistic.day, Statistic.open, Statistic.doing, Statistic.done, Statistic.overdue]
    with db.atomic():
        Statistic.delete().where(Statistic.day == day).execute()
        Statistic.insert_from(counts, columns).execute()
        return int(Statistic.select().where(Statistic.day == day).count())


def _count(condition: Any) -> Any:
    return fn.SUM(Case(None, [(condition, 1)], 0))
