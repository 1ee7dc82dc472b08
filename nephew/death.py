"""How a worker's process ended: in words for people, from which programs get the facts back.

The words are all that is stored, as the error of the attempt that the worker died in; records, events and the errors
that handlers are given say the same.
"""

from __future__ import annotations

import datetime as dt
import re
import signal
from dataclasses import dataclass

#: How a moment is written; always in UTC.
_MOMENT = "%Y-%m-%d %H:%M:%S UTC"

_SIGNAL = re.compile(r"\bkilled by ([A-Z0-9]+|an unknown signal) \(signal (\d+)\)")
_EXIT_CODE = re.compile(r"\bexited with code (\d+)")
_PEAK_MEMORY = re.compile(r"\bpeak memory \d+ MiB \((\d+) bytes\)")
_LAST_SEEN = re.compile(r"\blast sign of life (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC)")


@dataclass(frozen=True, slots=True)
class Death:
    """What is known of a worker's end; None: that is not.

    Signal or exit code and the peak memory are known of worker processes, since their consumer sees them end. Of a
    consumer with threads or greenlets others find only that it is gone.

    :ivar signal: the name of the signal that killed it, and `signal_number` its number.
    :ivar exit_code: what it exited with.
    :ivar peak_memory: the most memory that the process ever had (its resident set, in bytes).
    :ivar last_seen: when it is last known to have lived; when it was found gone is the end of the attempt.
    """

    signal: str | None = None
    signal_number: int | None = None
    exit_code: int | None = None
    peak_memory: int | None = None
    last_seen: dt.datetime | None = None


def of_child(exit_code: int | None, peak_memory: int | None) -> str:
    """How a child of ours ended.

    :param exit_code: negative: the signal that killed it.
    :param peak_memory: in bytes; None: not known.
    """
    memory = "" if peak_memory is None else f"; peak memory {peak_memory >> 20} MiB ({peak_memory} bytes)"
    return _end_of_child(exit_code) + memory


def _end_of_child(exit_code: int | None) -> str:
    if exit_code is None:
        return "it is gone"
    if exit_code >= 0:
        return f"it exited with code {exit_code}"
    try:
        name = signal.Signals(-exit_code).name
    except ValueError:
        name = "an unknown signal"
    return f"it was killed by {name} (signal {-exit_code})"


def unseen(how: str, last_seen: float, found: float) -> str:
    """How a process ended that nobody saw end.

    :param how: what tells that it did, in words.
    :param last_seen: when it is last known to have lived, in epoch seconds; `found`: when it was found gone.
    """
    return f"{how}; last sign of life {_moment(last_seen)}, found gone {_moment(found)}"


def told_in(words: str | None) -> Death | None:
    """What an error tells of a worker's end; None: nothing."""
    said = words or ""
    killed, exited = _SIGNAL.search(said), _EXIT_CODE.search(said)
    memory, seen = _PEAK_MEMORY.search(said), _LAST_SEEN.search(said)
    if not (killed or exited or memory or seen):
        return None
    return Death(
        signal=killed[1] if killed and killed[1].isupper() else None,
        signal_number=int(killed[2]) if killed else None,
        exit_code=int(exited[1]) if exited else None,
        peak_memory=int(memory[1]) if memory else None,
        last_seen=dt.datetime.strptime(seen[1], _MOMENT).replace(tzinfo=dt.UTC) if seen else None,
    )


def _moment(epoch: float) -> str:
    return dt.datetime.fromtimestamp(epoch, dt.UTC).strftime(_MOMENT)
