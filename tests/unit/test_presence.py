"""A worker's small file: its lock says that the process lives, its slots what it was running when it died."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from nephew import presence
from nephew.errors import BackendError
from nephew.presence import Found, Presence, look

WORKER = """
import sys
from nephew.presence import Presence
presence = Presence(sys.argv[1], "worker", 4)
presence.began(0, 11, 1, 100.0)
presence.began(1, 12, 1, 200.0)
presence.began(3, 14, 2, 300.5)
presence.keep(1, b"something")
presence.keep(3, b"something")
presence.ended(1)
print(presence.path, flush=True)
sys.stdin.read()
"""

NO_ROOM = """
import resource, sys
from nephew.errors import BackendError
from nephew.presence import Presence
resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
try:
    Presence(sys.argv[1], "worker", 1000)
except BackendError as error:
    print(error)
"""


@pytest.fixture
def worker(tmp_path: Path):
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    process.path = process.stdout.readline().strip()
    yield process
    process.kill()
    process.communicate()


def test_a_living_process_holds_its_lock(worker):
    assert look(worker.path, "worker") == Found(True)


def test_a_killed_process_is_dead_and_what_it_was_running_is_read(worker):
    worker.send_signal(signal.SIGKILL)
    worker.wait()

    found = look(worker.path, "worker")

    assert (found.alive, found.running) == (False, {(11, 1): 100.0, (14, 2): 300.5})
    assert [words.partition(b"\0")[0] for words in found.words] == [b"", b"something"]
    assert look(worker.path, "worker") == found, "a look changes nothing"


def test_a_stopped_process_is_alive(worker):
    worker.send_signal(signal.SIGSTOP)
    os.waitpid(worker.pid, os.WUNTRACED)

    assert look(worker.path, "worker").alive
    assert presence.is_stopped(worker.pid)

    worker.send_signal(signal.SIGCONT)
    os.waitpid(worker.pid, os.WCONTINUED)
    assert not presence.is_stopped(worker.pid)


def test_another_incarnations_file_is_no_evidence(worker):
    worker.kill()
    worker.wait()

    assert look(worker.path, "another") == Found(False, None)


def test_without_a_file_nothing_is_known(tmp_path: Path):
    assert look(str(tmp_path / "missing"), "worker") == Found(None)
    assert look("", "worker") == Found(None)


def test_a_file_that_was_cut_short_is_read_as_far_as_it_goes(worker):
    worker.kill()
    worker.wait()
    os.truncate(worker.path, 64 + 4096 + 10)

    assert look(worker.path, "worker").running == {(11, 1): 100.0}


def test_what_the_dead_have_left_is_swept_away_after_a_day(tmp_path: Path):
    own = Presence(str(tmp_path), "0" * 32, 1)
    for name, days in {"1" * 32: 2, "2" * 32: 0, "3" * 32: 2}.items():
        path = tmp_path / name
        path.write_bytes(b"somebody's file" if name[0] == "3" else name.encode().ljust(64, b"\0"))
        os.utime(path, (0, time.time() - days * 86400))
    os.utime(own.path, (0, 0))

    presence.sweep(str(tmp_path))

    assert {path.name[0] for path in tmp_path.iterdir()} == {"0", "2", "3"}
    own.remove()


def test_the_locks_of_a_file_that_is_no_workers_outlive_the_sweep(tmp_path: Path):
    path = tmp_path / "shop.db"
    path.touch()
    os.utime(path, (0, 0))
    with path.open("r+b") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)

        presence.sweep(str(tmp_path))

        assert look_from_outside(str(path)) == "True"


def test_ones_own_file_is_looked_at_without_losing_its_lock(tmp_path: Path):
    mine = Presence(str(tmp_path), "mine", 1)

    first, second = look(mine.path, "mine"), look_from_outside(mine.path)

    assert (first, second) == (Found(True), "True")
    mine.remove()
    assert not os.path.exists(mine.path)
    mine.remove()


def look_from_outside(path: str) -> str:
    command = "import sys; from nephew.presence import look; print(look(sys.argv[1], 'mine').alive)"
    done = subprocess.run([sys.executable, "-c", command, path], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_lock_is_not_inherited_by_a_fork(tmp_path: Path):
    """The child goes on when its parent is killed; that must not make the parent look alive."""
    read, write = os.pipe()
    parent = os.fork()
    if parent == 0:
        kept = Presence(str(tmp_path), "parent", 1)
        child = os.fork()
        if child == 0:
            presence.forget_inherited()
            signal.pause()
        os.write(write, str(child).encode())
        assert kept
        signal.pause()
    child = int(os.read(read, 20))
    try:
        alive = look(str(tmp_path / "parent"), "parent").alive
        os.kill(parent, signal.SIGKILL)
        os.waitpid(parent, 0)

        assert alive
        assert Path(f"/proc/{child}").exists()
        assert look(str(tmp_path / "parent"), "parent").alive is False
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_child_that_looks_does_not_take_its_parents_lock_away(tmp_path: Path):
    mine = Presence(str(tmp_path), "mine", 1)

    child = os.fork()
    if child == 0:
        presence.forget_inherited()
        os._exit(0 if look(mine.path, "mine").alive else 1)
    _, status = os.waitpid(child, 0)

    assert os.waitstatus_to_exitcode(status) == 0
    assert look_from_outside(mine.path) == "True"
    mine.remove()


def test_no_room_for_the_file_is_an_error_of_ours_and_leaves_nothing(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", NO_ROOM, str(tmp_path)], capture_output=True, text=True)

    assert done.returncode == 0, done
    assert "expected to create the worker's file" in done.stdout
    assert "make room or set NEPHEW_RUN_DIR" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_error_of_ours_and_no_bus_error(tmp_path: Path):
    """A file that was only made longer would take its pages later, and find the disk full by SIGBUS."""
    full = tmp_path / "full"
    full.mkdir()
    mounted = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-c",
            f"mount -t tmpfs -o size=32k tmpfs {full} && exec {sys.executable} - {full}",
        ],
        input=FULL_DISK,
        capture_output=True,
        text=True,
    )
    if mounted.returncode == 1 and "Operation not permitted" in mounted.stderr + mounted.stdout:
        pytest.skip("mounting a small disk takes root")

    assert mounted.stdout.splitlines() == ["No space left on device", "room again"], mounted
    assert mounted.returncode == 0, mounted


FULL_DISK = """
import sys
from pathlib import Path
from nephew.errors import BackendError
from nephew.presence import ROOM, Presence
folder = Path(sys.argv[1])
filler = (folder / "filler").open("wb", buffering=0)
try:
    while filler.write(b"x" * 4096):
        pass
except OSError:
    pass
try:
    Presence(str(folder), "worker", 5).began(4, 1, 1, 1.0)
except BackendError as error:
    print("No space left on device" if "No space left" in str(error) else error)
filler.truncate(0)
worker = Presence(str(folder), "worker", 5)
worker.began(4, 1, 1, 1.0)
worker.keep(4, bytes(ROOM))
worker.remove()
print("room again")
"""


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(BackendError, match="NEPHEW_RUN_DIR"):
        Presence(str(tmp_path / "file" / "run"), "worker", 1)


def test_the_file_is_not_for_everybody(tmp_path: Path):
    worker = Presence(str(tmp_path), "worker", 1)

    assert os.stat(worker.path).st_mode & 0o007 == 0
    worker.remove()


def test_a_dead_workers_file_is_taken_away_once(worker):
    worker.kill()
    worker.wait()

    presence.discard(worker.path)
    presence.discard(worker.path)

    assert not os.path.exists(worker.path)


def test_a_file_that_was_taken_away_is_no_longer_open(tmp_path: Path):
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        Presence(str(tmp_path), f"worker {number}", 1).remove()

    assert len(os.listdir("/proc/self/fd")) <= before + 1


def test_this_boot_and_this_process_space_have_names():
    assert presence.boot_id() == presence.boot_id() != ""
    assert presence.pid_namespace() == presence.pid_namespace()
    assert not presence.is_stopped(os.getpid())
    assert not presence.is_stopped(2**22 + 1)
