"""What a reminder says and where it goes."""

from __future__ import annotations

import datetime as dt
import email
import email.policy
from pathlib import Path

import pytest

from app.models import Todo, User
from tasks.reminders import compose, send_reminder

DEADLINE = dt.datetime(2030, 7, 1, 10, 30, tzinfo=dt.UTC)


@pytest.fixture
def todo(user: User) -> Todo:
    return Todo.create(user=user, title="Zürich\nanrufen", notes="vor elf", deadline=DEADLINE)


def test_a_reminder_is_kept_in_the_maildir_when_there_is_no_server(todo: Todo):
    path = send_reminder.call_local(todo.id)

    kept = email.message_from_bytes(Path(path).read_bytes(), policy=email.policy.default)
    assert kept["From"] == "To-do <todo@example.org>"
    assert kept["To"] == "Ada <ada@example.org>"
    assert kept["Subject"] == "Reminder: Zürich anrufen"
    assert "vor elf" in kept.get_content()


def test_the_deadline_is_told_in_the_configured_zone(todo: Todo):
    text = compose(todo).get_content()

    assert "Monday, 01 July 2030 at 12:30 (Europe/Berlin)" in text


def test_a_repeated_reminder_is_the_same_message_to_a_mailer(todo: Todo):
    first, second = compose(todo), compose(todo)
    todo.deadline += dt.timedelta(days=1)
    later = compose(todo)

    assert first["Message-ID"] == second["Message-ID"] == f"<reminder.{todo.id}.1909132200@example.org>"
    assert later["Message-ID"] != first["Message-ID"]


def test_a_to_do_without_a_deadline_can_be_reminded_of(user: User):
    todo = Todo.create(user=user, title="rest")

    assert "is due whenever you like" in compose(todo).get_content()


@pytest.mark.parametrize("title", ["a\r\nBcc: eve@example.org", "a\nb", "  ", "牛乳 🥛", "x" * 500])
def test_no_title_breaks_the_headers(user: User, title: str):
    todo = Todo.create(user=user, title=title, deadline=DEADLINE)

    message = email.message_from_bytes(compose(todo).as_bytes(), policy=email.policy.default)

    assert message["Bcc"] is None
    assert message["Subject"] == f"Reminder: {' '.join(title.split())}"


def test_nobody_is_reminded_of_what_is_done(todo: Todo):
    todo.status = "done"
    todo.save()

    assert send_reminder.call_local(todo.id) is None


def test_nobody_is_reminded_of_what_is_gone(todo: Todo):
    todo.delete_instance()

    assert send_reminder.call_local(todo.id) is None
