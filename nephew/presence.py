"""How a worker shows its host that it lives, and what it is running: a small locked file.

The lock says "alive": the kernel frees it when the process is gone, also after SIGKILL, and keeps it while
the process is stopped or inside a long C call. The slots say what was running when it died; they are mapped
into memory, so that noting a job costs no system call, and outlive the process in the page cache. Behind each
is room for what its job logged last.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import re
import socket
import struct
import time
from collections.abc import Callable
from typing import NamedTuple

from nephew.errors import BackendError

try:
    import fcntl
except ImportError:  # not a Unix system: heartbeats are all there is
    fcntl = None  # type: ignore[assignment]

_HEADER = 64
_SLOT = struct.Struct("<qqd")
_EMPTY = _SLOT.pack(0, 0, 0.0)

#: From one slot to the next (bytes), and how many of them are for words.
_STRIDE = 4096
ROOM = _STRIDE - _SLOT.size

#: Seconds that a file of the dead is kept at least, for whoever knows its worker.
FORGOTTEN_AFTER = 86400.0

#: Where in /proc/<pid>/stat, after the name, a process's start is found (clock ticks since boot).
_STARTED = 19

supported = fcntl is not None

#: Files whose locks this process holds. Opening and closing one again would free its lock.
_own: set[str] = set()


class Presence:
    """This process's own file. `path` is empty on systems that have no such locks."""

    def __init__(self, folder: str, incarnation: str, slots: int) -> None:
        """Create, reserve and lock the file.

        :raises BackendError: when there is no room for it or the folder cannot be written.
        """
        self.path = os.path.join(folder, incarnation) if supported else ""
        self._map: mmap.mmap | bytearray = bytearray(_HEADER + slots * _STRIDE)
        #: Called when a job begins.
        self.listener: Callable[[], None] | None = None
        if supported:
            try:
                self._descriptor = self._create(folder, incarnation, slots)
            except OSError as error:
                raise BackendError(
                    f"expected to create the worker's file {self.path}, got: {error}; make room or set "
                    "NEPHEW_RUN_DIR to a folder that can be written"
                ) from error

    def _create(self, folder: str, incarnation: str, slots: int) -> int:
        os.makedirs(folder, exist_ok=True)
        size = _HEADER + slots * _STRIDE
        descriptor = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o660)
        try:
            # Room is taken now: a mapped page that finds the disk full later is a SIGBUS.
            _reserve(descriptor, size)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, incarnation.encode().ljust(_HEADER, b"\0"))
            self._map = mmap.mmap(descriptor, size)
        except OSError:
            os.close(descriptor)
            os.unlink(self.path)
            raise
        _own.add(self.path)
        return descriptor

    def began(self, slot: int, seq: int, claim: int, since: float) -> None:
        """Note that a job is running in this slot."""
        _SLOT.pack_into(self._map, _HEADER + slot * _STRIDE, seq, claim, since)
        if self.listener is not None:
            self.listener()

    def ended(self, slot: int) -> None:
        """Note that nothing is running in this slot."""
        start = _HEADER + slot * _STRIDE
        self._map[start : start + _SLOT.size] = _EMPTY

    def is_busy(self, slot: int) -> bool:
        """Whether a job is running in this slot."""
        start = _HEADER + slot * _STRIDE
        return self._map[start : start + _SLOT.size] != _EMPTY

    def keep(self, slot: int, words: bytes) -> None:
        """Keep what the job in this slot says, at most `ROOM` bytes, in the place of what it said before."""
        start = _HEADER + slot * _STRIDE + _SLOT.size
        self._map[start : start + len(words)] = words

    def remove(self) -> None:
        """Take the file away; the worker ends in peace."""
        if self.path and self.path in _own:
            with contextlib.suppress(FileNotFoundError):  # whoever took this worker for dead has removed it
                os.unlink(self.path)
            os.close(self._descriptor)
            _own.discard(self.path)


def _reserve(descriptor: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, 0, size)
    else:
        os.pwrite(descriptor, bytes(size), 0)


class Found(NamedTuple):
    """What a look at a worker's file says.

    :ivar alive: True, False, or None when there is no file to tell by.
    :ivar running: what a dead worker was running: `(seq, claim)` and since when; None: not known.
    :ivar words: what was kept of what these jobs said.
    """

    alive: bool | None
    running: dict[tuple[int, int], float] | None = None
    words: tuple[bytes, ...] = ()


def look(path: str, incarnation: str) -> Found:
    """Whether the worker with this file lives, and if not, what it was running."""
    if not supported or not path:
        return Found(None)
    if path in _own:
        return Found(True)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return Found(None)
    except OSError:  # another user's: what cannot be looked at is not declared dead
        return Found(True)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return Found(True)
    else:
        content = os.read(descriptor, os.fstat(descriptor).st_size)
        known = content[:_HEADER].rstrip(b"\0") == incarnation.encode()
        return _left(content) if known else Found(False)
    finally:
        os.close(descriptor)


def _left(content: bytes) -> Found:
    running: dict[tuple[int, int], float] = {}
    words = []
    for start in range(_HEADER, len(content) - _SLOT.size + 1, _STRIDE):
        seq, claim, since = _SLOT.unpack_from(content, start)
        if claim:
            running[seq, claim] = since
            words.append(content[start + _SLOT.size : start + _STRIDE])
    return Found(False, running, tuple(words))


def discard(path: str) -> None:
    """Take a dead worker's file away."""
    if path and path not in _own:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass  # another consumer was faster


def acquit(folder: str, incarnation: str) -> None:
    """Let a dead worker's file say that it was running nothing: it was ended for no fault of its jobs."""
    with contextlib.suppress(FileNotFoundError):  # it ended in peace
        os.truncate(os.path.join(folder, incarnation), _HEADER)


def sweep(folder: str) -> None:
    """Take away the files of which nobody has known for a day.

    Who is killed before he has registered leaves one, and so does a reaper that is killed before it has taken it away.
    """
    if not os.path.isdir(folder):
        return
    for entry in os.scandir(folder):
        # Any other file is left alone: to open a database and close it again would free its locks.
        if not re.fullmatch("[0-9a-f]{32}", entry.name):
            continue
        try:
            forgotten = time.time() - entry.stat().st_mtime > FORGOTTEN_AFTER
        except FileNotFoundError:
            continue
        if forgotten and look(entry.path, entry.name).running is not None:  # it is a dead worker's, and no other file
            discard(entry.path)


def forget_inherited() -> None:
    """In a fork's child: the parent's locks are not ours."""
    _own.clear()


def is_stopped(pid: int) -> bool:
    """Whether a process of this host is stopped (SIGSTOP or a debugger); False where that cannot be seen."""
    return _stat(pid)[:1] in ([b"T"], [b"t"])


def process_age(pid: int) -> float | None:
    """Seconds since a process of our process id space was started; None: it is gone, or that cannot be seen."""
    fields = _stat(pid)
    try:
        if fields[0] in (b"Z", b"X", b"x"):  # ended; only its parent has not looked yet
            return None
        started = int(fields[_STARTED]) / os.sysconf("SC_CLK_TCK")
        return time.clock_gettime(time.CLOCK_BOOTTIME) - started
    except (IndexError, ValueError, OSError, AttributeError):
        return None


def _stat(pid: int) -> list[bytes]:
    """What the kernel says of a process, from its state on; empty when there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except OSError:
        return []


def boot_id() -> str:
    """What tells this boot of this host from any other."""
    return _first_line("/proc/sys/kernel/random/boot_id") or f"host {socket.gethostname()}"


def pid_namespace() -> str:
    """What tells this process id space from that of another container."""
    try:
        return os.readlink("/proc/self/ns/pid")
    except OSError:
        return ""


def _first_line(path: str) -> str:
    try:
        with open(path) as file:
            return file.readline().strip()
    except OSError:
        return ""
