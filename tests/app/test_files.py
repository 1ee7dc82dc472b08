"""Files that appear complete or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.files import PARTIAL_SUFFIX, replacing


def test_a_file_appears_when_the_block_ends(tmp_path: Path):
    path = tmp_path / "new" / "report.bin"

    with replacing(path) as file:
        file.write(b"all of it")
        assert not path.exists()
        assert [entry.suffix for entry in path.parent.iterdir()] == [PARTIAL_SUFFIX]

    assert path.read_bytes() == b"all of it"
    assert list(path.parent.iterdir()) == [path]


def test_an_error_leaves_what_was_there_before(tmp_path: Path):
    path = tmp_path / "report.txt"
    path.write_text("old")

    with pytest.raises(ZeroDivisionError), replacing(path, "x") as file:
        file.write("half of it")
        raise ZeroDivisionError

    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_never_meet_in_one_file(tmp_path: Path):
    path = tmp_path / "report.txt"

    with replacing(path, "x") as first, replacing(path, "x") as second:
        first.write("first")
        second.write("second")

    assert path.read_text() == "first"
