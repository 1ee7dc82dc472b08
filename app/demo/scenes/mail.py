"""Sending a reminder."""

from __future__ import annotations

import datetime as dt

from app.config import settings
from app.database import db
from app.demo.people import someone
from app.demo.stage import Stage, expect
from app.models import Todo, User, now
from nephew import Result
from tasks.reminders import send_reminder

TITLE = "Überweisung an die Bäckerei — heute!"

#: How long the reminder waits in the schedule.
DELAY_SECONDS = 1


def remind(stage: Stage) -> str:
    """Write a to-do, schedule its reminder, and read what the server received."""
    user = someone("Grace")
    todo, result = (_together if settings.redis_url is None else _one_after_the_other)(stage, user)
    stage.value(result)
    expect(len(stage.mailbox.messages), 1, "the number of received messages")
    message = stage.mailbox.messages[0]
    expect(message["To"], f"Grace <{user.email}>", "the recipient")
    expect(message["Subject"], f"Reminder: {TITLE}", "the subject")
    for words in (TITLE, f"{todo.deadline:%d %B %Y at %H:%M}"):
        expect(words in message.get_content(), True, f"that the text says {words!r}")
    stage.say(f"The local mail server received it: “{message['Subject']}” for {message['To']}.")
    return "1 message received, content right"


def _together(stage: Stage, user: User) -> tuple[Todo, Result[str | None]]:
    """To-do and job are in one database, and so in one transaction."""
    with db.atomic():
        todo = _write(user)
        result = send_reminder.schedule((todo.id,), delay=DELAY_SECONDS)
    stage.say(f"Grace has a to-do and, written in the same transaction, a reminder in {DELAY_SECONDS} s.")
    return todo, result


def _one_after_the_other(stage: Stage, user: User) -> tuple[Todo, Result[str | None]]:
    """The to-do first: a job must not come to a worker before what it is about has been committed."""
    with db.atomic():
        todo = _write(user)
    result = send_reminder.schedule((todo.id,), delay=DELAY_SECONDS)
    stage.say(f"Grace has a to-do and, once that was committed, a reminder in {DELAY_SECONDS} s. No transaction")
    stage.say("spans database and Redis: a crash in between would leave the to-do without its reminder.")
    return todo, result


def _write(user: User) -> Todo:
    return Todo.create(user=user, title=TITLE, deadline=now() + dt.timedelta(days=1))
