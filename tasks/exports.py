"""Exporting a user's to-dos to a file, in constant memory."""

from __future__ import annotations

import csv
import datetime as dt
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, TypedDict

from app.config import settings
from app.files import replacing
from app.models import Export, Todo, User, now
from app.queue import huey
from nephew import Result
from tasks.running import job_id, report

#: The columns of an export, in their order.
COLUMNS = ("id", "title", "notes", "status", "deadline", "created_at")

#: How many rows are held in memory.
PAGE = 500

Row = dict[str, Any]


class Exported(TypedDict):
    """What an export job returns."""

    path: str
    rows: int


def request_export(user_id: int, export_format: str = "json") -> Result[Exported]:
    """Queue an export of a user's to-dos.

    :raises ValueError: for an unknown format; nothing was queued.
    """
    check_format(export_format)
    return export_todos(user_id, export_format)


@huey.task()
def export_todos(user_id: int, export_format: str = "json") -> Exported:
    """Write the user's to-dos to a file, which expires."""
    check_format(export_format)
    user = User.get_or_none(User.id == user_id)
    if user is None:
        raise ValueError(f"expected user_id to be an existing user, got {user_id!r}")
    export = _record(user, export_format)
    path = Path(export.path)
    with replacing(path, "x", encoding="utf-8", newline="") as file:
        count = WRITERS[export_format](file, _with_progress(user))
    Export.update(rows=count).where(Export.id == export.id).execute()
    return {"path": str(path), "rows": count}


def check_format(export_format: str) -> None:
    """Refuse a format that nothing writes."""
    if export_format not in WRITERS:
        raise ValueError(f"expected export_format to be {' or '.join(WRITERS)}, got {export_format!r}")


def _record(user: User, export_format: str) -> Export:
    """The export's row; it is there before the file, so that clean-up finds whatever a crash leaves."""
    job = job_id()
    path = settings.data_dir / "exports" / f"{job}.{export_format}"
    expires_at = now() + dt.timedelta(seconds=settings.export_ttl)
    Export.insert(job_id=job, user=user, format=export_format, path=str(path), expires_at=expires_at).on_conflict(
        conflict_target=[Export.job_id], update={Export.expires_at: expires_at}
    ).execute()
    return Export.get(Export.job_id == job)


def todos_of(user: User) -> Iterator[Row]:
    """The user's to-dos by id, read page by page: no cursor stays open while the caller works."""
    columns = [getattr(Todo, name) for name in COLUMNS]
    query = Todo.select(*columns).where(Todo.user == user).order_by(Todo.id).limit(PAGE)
    last = 0
    while page := _rows(query.where(Todo.id > last)):
        yield from page
        last = page[-1]["id"]


def _rows(query: Any) -> list[Row]:
    return list(query.dicts())


def _with_progress(user: User) -> Iterator[Row]:
    total = Todo.select().where(Todo.user == user).count()
    for number, row in enumerate(todos_of(user)):
        if number % PAGE == 0:
            report(min(number / max(total, 1), 1.0), f"{number:,} of {total:,} to-dos")
        yield row


def plain(row: Row) -> Row:
    """The row as JSON and CSV have it: moments in ISO 8601."""
    return {name: _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value


def write_json(file: IO[str], rows: Iterator[Row]) -> int:
    """One array, one item a line; returns how many."""
    count = 0
    file.write("[")
    for row in rows:
        file.write(",\n" if count else "\n")
        json.dump(plain(row), file, ensure_ascii=False)
        count += 1
    file.write("\n]\n")
    return count


def write_csv(file: IO[str], rows: Iterator[Row]) -> int:
    """A header, then one record per item, quoted as RFC 4180 says; returns how many."""
    count = 0
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for row in rows:
        writer.writerow(plain(row))
        count += 1
    return count


WRITERS: dict[str, Callable[[IO[str], Iterator[Row]], int]] = {"json": write_json, "csv": write_csv}
