"""What an export holds, byte by byte and row by row."""

from __future__ import annotations

import csv
import datetime as dt
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config import settings
from app.models import Export, Todo, User, now
from app.queue import huey
from tasks.exports import PAGE, export_todos, plain, request_export, todos_of, write_csv, write_json

ODD_TITLES = (
    "plain",
    'comma, "quotes" and ;',
    "two\nlines",
    "carriage\r\nreturn",
    "tab\tand  spaces ",
    "",
    "=1+1",
    "Zürich 牛乳 🥛 \u202e",
    "\x00 nothing",
    "\u2028 separator",
    "</script>",
)


def read_json(path: str) -> list[dict[str, object]]:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def read_csv(path: str) -> list[dict[str, str]]:
    with Path(path).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_json_holds_every_item_as_it_is(user: User):
    deadline = dt.datetime(2030, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
    for title in ODD_TITLES:
        Todo.create(user=user, title=title, deadline=deadline)

    exported = export_todos.call_local(user.id, "json")

    items = read_json(exported["path"])
    assert [item["title"] for item in items] == list(ODD_TITLES)
    assert {item["deadline"] for item in items} == {"2030-01-02T03:04:05+00:00"}
    assert exported["rows"] == len(ODD_TITLES)


def test_csv_holds_every_item_as_it_is(user: User):
    for title in ODD_TITLES:
        Todo.create(user=user, title=title)

    exported = export_todos.call_local(user.id, "csv")

    items = read_csv(exported["path"])
    assert [item["title"] for item in items] == list(ODD_TITLES)
    assert {item["deadline"] for item in items} == {""}
    assert exported["rows"] == len(ODD_TITLES)


@pytest.mark.parametrize("count", [0, 1, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE])
def test_no_item_is_lost_between_two_pages(user: User, count: int):
    Todo.insert_many([{"user": user, "title": str(number)} for number in range(count)]).execute()

    titles = [row["title"] for row in todos_of(user)]

    assert titles == [str(number) for number in range(count)]


def test_only_the_users_own_items_are_exported(user: User):
    other = User.create(name="Eve", email="eve@example.org")
    Todo.create(user=other, title="secret")
    Todo.create(user=user, title="mine")

    exported = export_todos.call_local(user.id, "json")

    assert [item["title"] for item in read_json(exported["path"])] == ["mine"]


def test_an_empty_list_is_a_complete_file(user: User):
    assert read_json(export_todos.call_local(user.id, "json")["path"]) == []
    assert read_csv(export_todos.call_local(user.id, "csv")["path"]) == []


def test_an_export_is_recorded_with_its_end(user: User):
    Todo.create(user=user, title="one")
    before = now()

    exported = export_todos.call_local(user.id, "csv")

    record = Export.get()
    assert (record.path, record.rows, record.format) == (exported["path"], 1, "csv")
    assert record.expires_at - before >= dt.timedelta(seconds=settings.export_ttl)
    assert Path(exported["path"]).parent == settings.data_dir / "exports"


def test_an_export_that_fails_leaves_no_file_but_a_row_for_the_clean_up(user: User):
    settings.data_dir.mkdir()
    (settings.data_dir / "exports").write_text("a file where the folder should be")

    with pytest.raises(OSError):
        export_todos.call_local(user.id)

    assert [export.rows for export in Export.select()] == [None]


def test_an_unknown_format_is_refused_before_anything_is_queued(user: User):
    with pytest.raises(ValueError, match="expected export_format to be json or csv, got 'xml'"):
        request_export(user.id, "xml")

    assert len(huey) == 0


def test_an_unknown_format_fails_the_job_too(user: User):
    with pytest.raises(ValueError, match="expected export_format to be json or csv, got 'xml'"):
        export_todos.call_local(user.id, "xml")

    assert Export.select().count() == 0


def test_an_unknown_user_is_named():
    with pytest.raises(ValueError, match="expected user_id to be an existing user, got 4711"):
        export_todos.call_local(4711)


@given(titles=st.lists(st.text()))
def test_any_text_survives_both_formats(tmp_path_factory: pytest.TempPathFactory, titles: list[str]):
    folder = tmp_path_factory.mktemp("formats")
    moment = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    rows = [
        {"id": n, "title": t, "notes": t, "status": "open", "deadline": None, "created_at": moment}
        for n, t in enumerate(titles)
    ]
    for name, write in (("json", write_json), ("csv", write_csv)):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            assert write(file, iter(rows)) == len(rows)

    assert read_json(str(folder / "json")) == [plain(row) for row in rows]
    assert [row["title"] for row in read_csv(str(folder / "csv"))] == titles
