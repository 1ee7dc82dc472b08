"""Files that appear complete or not at all."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

#: How the names of unfinished files end.
PARTIAL_SUFFIX = ".part"


@contextmanager
def replacing(path: Path, mode: str = "xb", **options: Any) -> Iterator[IO[Any]]:
    """A file to write, which takes the name `path` in one step once the block ends without an error.

    Until then it has a name of its own, so that two writers never meet in one file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL_SUFFIX}")
    try:
        with partial.open(mode, **options) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
