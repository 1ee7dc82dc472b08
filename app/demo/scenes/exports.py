"""Exporting to-dos and reading them back."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.demo.people import give_todos, someone
from app.demo.stage import Stage, expect
from app.models import Export, Todo, User
from tasks.exports import COLUMNS, plain, request_export

COUNT = 5000


def export_to_dos(stage: Stage) -> str:
    """Export to both formats and compare each file with the database."""
    user = someone("Ada")
    give_todos(user, COUNT)
    _refuse(stage, user.id)
    stage.say(f"Ada has {COUNT:,} to-dos, some with quotes, line breaks and emoji. Two jobs export them:")
    results = {name: request_export(user.id, name) for name in ("json", "csv")}
    expected = _rows_of(user)
    for name, result in results.items():
        exported = stage.value(result)
        expect(exported["rows"], COUNT, f"the rows of the {name} export")
        expect(Export.get(Export.job_id == result.id).rows, COUNT, f"the rows recorded for the {name} export")
        path = Path(exported["path"])
        rows = expected if name == "json" else _as_texts(expected)
        expect(_read(path), rows, f"the content of {path.name}")
        stage.say(f"{name.upper()}: {path.stat().st_size:,} bytes, read back, each row as in the database.")
    return f"{COUNT:,} rows in both files, all equal"


def _rows_of(user: User) -> list[dict[str, Any]]:
    query = Todo.select(*(getattr(Todo, column) for column in COLUMNS)).where(Todo.user == user)
    rows: Iterable[Any] = query.order_by(Todo.id).dicts()
    return [plain(row) for row in rows]


def _refuse(stage: Stage, user_id: int) -> None:
    try:
        request_export(user_id, "xml")
    except ValueError as error:
        stage.say(f"A format that does not exist is refused before anything is queued: {error}.")
    else:
        expect("accepted", "refused", "an export to XML")


def _read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return json.load(file) if path.suffix == ".json" else list(csv.DictReader(file))


def _as_texts(rows: list[dict[str, Any]]) -> list[dict[str, str]]:
    return [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
