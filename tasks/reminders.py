"""Reminding people of what is due."""

from __future__ import annotations

from email.message import EmailMessage
from email.utils import format_datetime, formataddr
from zoneinfo import ZoneInfo

from app.config import settings
from app.mail import deliver
from app.models import Todo, now
from app.queue import huey


# Every error of SMTP is an OSError, and so is a server that cannot be reached.
@huey.task(retries=5, retry_delay=10, retry_backoff=2, retry_on=(OSError,))
def send_reminder(todo_id: int) -> str | None:
    """E-mail the owner of a to-do and say where the message went; None when there is nothing to remind of."""
    todo = Todo.get_or_none(Todo.id == todo_id)
    if todo is None or todo.status == "done":
        return None
    return deliver(compose(todo), settings)


def compose(todo: Todo) -> EmailMessage:
    """The message. Its id depends only on the to-do and its deadline, so that mailers show a repeat once."""
    message = EmailMessage()
    title = " ".join(todo.title.split())
    due = _due(todo)
    message["From"] = settings.mail_from
    message["To"] = formataddr((todo.user.name, todo.user.email))
    message["Subject"] = f"Reminder: {title}"
    message["Date"] = format_datetime(now())
    message["Message-ID"] = _message_id(todo)
    message.set_content(f"Hello {todo.user.name},\n\n{title}\nis due {due}.\n\n{todo.notes}\n")
    return message


def _due(todo: Todo) -> str:
    if todo.deadline is None:
        return "whenever you like"
    zone = ZoneInfo(settings.time_zone)
    return f"on {todo.deadline.astimezone(zone):%A, %d %B %Y at %H:%M} ({settings.time_zone})"


def _message_id(todo: Todo) -> str:
    deadline = int(todo.deadline.timestamp()) if todo.deadline else "open"
    domain = settings.mail_from.rpartition("@")[2].strip("> ")
    return f"<reminder.{todo.id}.{deadline}@{domain}>"
