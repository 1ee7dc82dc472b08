"""The tables."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys

import pytest

from app.config import PROJECT
from app.models import TABLES, Todo, User
from tests.places import DATABASES

CREATE = "from app.models import create_tables; create_tables()"


def test_a_moment_comes_back_as_it_was_in_utc(user: User):
    deadline = dt.datetime(2030, 1, 2, 3, 4, 5, 678901, tzinfo=dt.timezone(dt.timedelta(hours=2)))

    todo = Todo.create(user=user, title="pay", deadline=deadline)

    found = Todo.get(Todo.id == todo.id)
    assert found.deadline == deadline
    assert found.deadline.tzinfo is dt.UTC
    assert Todo.get_or_none(Todo.deadline < deadline) is None
    assert Todo.get_or_none(Todo.deadline < deadline + dt.timedelta(seconds=1)) == todo


def test_a_moment_without_a_zone_is_refused(user: User):
    with pytest.raises(ValueError, match="expected deadline to be a datetime with a time zone"):
        Todo.create(user=user, title="pay", deadline=dt.datetime(2030, 1, 2))


@pytest.mark.parametrize("backend_url", DATABASES, indirect=True)
def test_many_processes_may_create_the_tables_at_once(backend_url: str):
    environ = os.environ | {"DATABASE_URL": backend_url}
    command = [sys.executable, "-c", CREATE]

    processes = [
        subprocess.Popen(command, cwd=PROJECT, env=environ, stderr=subprocess.PIPE, text=True) for _ in range(6)
    ]

    errors = [process.communicate(timeout=60)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, errors


def test_the_tables_keep_out_of_each_others_way():
    names = [table._meta.table_name for table in TABLES]

    assert names == ["users", "todos", "reminders", "statistics", "exports", "downloads"]
