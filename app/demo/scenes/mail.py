"""Sending a reminder."""

from __future__ import annotations

import datetime as dt

from app.database import db
from app.demo.people import someone
from app.demo.stage import Stage, expect
from app.models import Todo, now
from tasks.reminders import send_reminder

TITLE = "Überweisung an die Bäckerei — heute!"

#: How long the reminder waits in the schedule.
DELAY_SECONDS = 1


def remind(stage: Stage) -> str:
    """Schedule a reminder in the transaction that writes its to-do, and read what the server received."""
    user = someone("Grace")
    with db.atomic():
        todo = Todo.create(user=user, title=TITLE, deadline=now() + dt.timedelta(days=1))
        result = send_reminder.schedule((todo.id,), delay=DELAY_SECONDS)
    stage.say(f"Grace has a to-do and, written in the same transaction, a reminder in {DELAY_SECONDS} s.")
    stage.value(result)
    expect(len(stage.mailbox.messages), 1, "the number of received messages")
    message = stage.mailbox.messages[0]
    expect(message["To"], f"Grace <{user.email}>", "the recipient")
    expect(message["Subject"], f"Reminder: {TITLE}", "the subject")
    for words in (TITLE, f"{todo.deadline:%d %B %Y at %H:%M}"):
        expect(words in message.get_content(), True, f"that the text says {words!r}")
    stage.say(f"The local mail server received it: “{message['Subject']}” for {message['To']}.")
    return "1 message received, content right"
