"""The application's tables. Times are aware datetimes in UTC, kept as epoch seconds."""

from __future__ import annotations

import datetime as dt

from peewee import (
    AutoField,
    BigIntegerField,
    CharField,
    DoubleField,
    ForeignKeyField,
    IntegerField,
    Model,
    PostgresqlDatabase,
    TextField,
)

from app.database import db

#: Names the lock under which PostgreSQL makes the tables; any number that nothing else uses.
TABLES_LOCK = 0x746F646F


def now() -> dt.datetime:
    """This moment, aware, in UTC."""
    return dt.datetime.now(dt.UTC)


class MomentField(DoubleField):
    """An aware datetime, kept as epoch seconds, so that both databases compare moments alike."""

    def db_value(self, value: dt.datetime | None) -> float | None:
        """Epoch seconds; a datetime without a zone is refused, for nobody can tell what it meant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"expected {self.name} to be a datetime with a time zone, got {value!r}")
        return value.timestamp()

    def python_value(self, value: float | None) -> dt.datetime | None:
        """The aware datetime, in UTC."""
        return None if value is None else dt.datetime.fromtimestamp(value, dt.UTC)


class Table(Model):
    """What all tables share."""

    id = AutoField()

    class Meta:
        database = db


class User(Table):
    """Somebody who keeps a to-do list here."""

    email = CharField(unique=True)
    name = CharField()
    created_at = MomentField(default=now)

    class Meta:
        table_name = "users"


class Todo(Table):
    """One thing to do. `status` is `open`, `doing` or `done`."""

    user = ForeignKeyField(User, backref="todos", on_delete="CASCADE", index=False)
    title = TextField()
    notes = TextField(default="")
    status = CharField(default="open")
    deadline = MomentField(null=True)
    created_at = MomentField(default=now)

    class Meta:
        table_name = "todos"
        # Exports walk through one user's items by id.
        indexes = ((("user", "id"), False),)


class Reminder(Table):
    """An owner was reminded of a to-do: of one deadline once, and again when it is given another one."""

    todo = ForeignKeyField(Todo, on_delete="CASCADE", index=False)
    deadline = MomentField()
    created_at = MomentField(default=now)

    class Meta:
        table_name = "reminders"
        indexes = ((("todo", "deadline"), True),)


class Statistic(Table):
    """How many to-dos a user had at the end of what was counted of a day (`2026-12-24`, in the configured zone)."""

    user = ForeignKeyField(User, on_delete="CASCADE", index=False)
    day = CharField()
    open = IntegerField()
    doing = IntegerField()
    done = IntegerField()
    overdue = IntegerField()

    class Meta:
        table_name = "statistics"
        indexes = ((("day", "user"), True),)


class Export(Table):
    """A file with a user's items. `rows` is None until the file is complete."""

    job_id = CharField(unique=True)
    user = ForeignKeyField(User, backref="exports", on_delete="CASCADE")
    format = CharField()
    path = TextField()
    rows = IntegerField(null=True)
    created_at = MomentField(default=now)
    expires_at = MomentField(index=True)

    class Meta:
        table_name = "exports"


class Download(Table):
    """A file that was fetched. `url_hash` is its identity, `sha256` the checksum of its content."""

    url_hash = CharField(unique=True)
    url = TextField()
    path = TextField()
    size = BigIntegerField()
    sha256 = CharField()
    created_at = MomentField(default=now)

    class Meta:
        table_name = "downloads"


TABLES: tuple[type[Table], ...] = (User, Todo, Reminder, Statistic, Export, Download)


def create_tables() -> None:
    """Make the tables that are missing; any number of processes may call it at the same time."""
    with db.atomic():
        if isinstance(db, PostgresqlDatabase):
            # `IF NOT EXISTS` alone fails there when two transactions create the same table.
            db.execute_sql("SELECT pg_advisory_xact_lock(%s)", (TABLES_LOCK,))
        db.create_tables(TABLES, safe=True)
