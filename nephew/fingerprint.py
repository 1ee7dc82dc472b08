"""What failures of one kind have in common, as a short hash: the error's class and where the application raised it.

No line numbers and no values are in it, so that it stays the same in every process, for every retry, and after
changes elsewhere in the files.
"""

from __future__ import annotations

import hashlib
import re
import sysconfig
import traceback
from collections.abc import Iterator

from huey.exceptions import TaskTimeout

from nephew.codec.exceptions import class_name
from nephew.errors import RemoteError

#: How many of the application's functions count, the innermost ones.
FRAMES = 5
#: Characters of a fingerprint.
LENGTH = 12

_ENGINE = ("nephew", "huey")
#: Folders of what is not the application's: Python's own modules and installed packages.
_INSTALLED = tuple(
    {f"{folder}/" for name, folder in sysconfig.get_paths().items() if name in ("stdlib", "purelib", "platlib")}
)


def of_error(task: str, error: BaseException) -> str:
    """The fingerprint of an exception that a job's function raised.

    :param task: the task's stored name. It counts for a timeout, which strikes anywhere in the function.
    """
    name = error.class_name if isinstance(error, RemoteError) else class_name(type(error))
    return _hash(name, task) if isinstance(error, TaskTimeout) else _hash(name, *list(_places(error))[-FRAMES:])


def of_crash(task: str, cause: str) -> str:
    """The fingerprint of a job that took its worker down.

    :param cause: in words; numbers (of processes, seconds, crashes) do not count.
    """
    return _hash(task, re.sub(r"\d+", "#", cause))


def _places(error: BaseException) -> Iterator[str]:
    """Where an error passed, from the job's function inwards: the application's functions, else all."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    outside = [frame for frame in frames if _module(frame.f_globals).partition(".")[0] not in _ENGINE]
    own = [frame for frame in outside if not frame.f_code.co_filename.startswith(_INSTALLED)]
    last = ""
    for frame in own or outside:
        place = f"{_module(frame.f_globals)}:{frame.f_code.co_qualname}"
        if place != last:  # a function that calls itself counts once, however deep
            yield place
        last = place


def _module(names: dict[str, object]) -> str:
    return str(names.get("__name__", ""))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode(errors="backslashreplace")).hexdigest()[:LENGTH]
