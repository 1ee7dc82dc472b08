"""The people and to-dos that the scenes are about."""

from __future__ import annotations

import datetime as dt

from peewee import chunked

from app.database import db
from app.models import Todo, User, now

#: Titles that break careless writers of CSV and JSON.
TITLES = (
    "Buy milk",
    'Say "thank you", twice',
    "Zürich → Genève, 2 Personen; 50 % Anzahlung",
    "two\nlines",
    "牛乳を買う 🥛",
    "=SUM(A1:A9)",
)


def someone(name: str) -> User:
    """The user of that name."""
    email = f"{name.lower()}@example.org"
    found: User | None = User.get_or_none(User.email == email)
    return found or User.create(email=email, name=name)


def give_todos(user: User, count: int) -> None:
    """Put `count` different to-dos on the user's list."""
    start = now()
    rows = [
        {
            "user": user,
            "title": f"{TITLES[number % len(TITLES)]} (no. {number})",
            "notes": "" if number % 3 else f"note for {number}, with a comma",
            "status": ("open", "doing", "done")[number % 3],
            "deadline": None if number % 2 else start + dt.timedelta(minutes=number),
        }
        for number in range(count)
    ]
    with db.atomic():
        for part in chunked(rows, 100):
            Todo.insert_many(part).execute()
