"""Importing and enqueueing need nothing that only Unix has; running jobs may.

On Windows a web application enqueues, and a consumer on another machine runs the jobs.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

#: Run by an interpreter of its own, which it turns into something like one on Windows. What is loaded first,
#: the standard library and our dependencies, was made for Windows too, but asks at its import where it runs.
PROGRAM = """
import asyncio, concurrent.futures, importlib, logging.handlers, mmap, multiprocessing, os, pathlib, platform
import random, select, shutil, signal, socket, sqlite3, subprocess, sys, tempfile, threading, time, uuid
import zoneinfo
import click, cronsim, huey, huey.consumer, peewee, playhouse.db_url, redis, rich

MODULES = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
FUNCTIONS = {
    os: "chown fchmod fchown fork forkpty fdatasync getegid geteuid getgid getgroups getloadavg getpgid "
    "getpgrp getuid killpg lchown mkfifo nice openpty pidfd_open posix_fadvise posix_fallocate "
    "posix_spawn pread preadv pwrite pwritev register_at_fork sched_getaffinity sched_yield "
    "sendfile setgid setpgid setsid setuid statvfs sysconf uname wait wait3 wait4 waitid WNOHANG "
    "O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK",
    mmap: "MAP_ANONYMOUS MAP_PRIVATE MAP_SHARED PROT_READ PROT_WRITE",
    select: "epoll kqueue poll",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm pause "
    "pthread_kill pthread_sigmask setitimer siginterrupt sigwait",
    socket: "AF_UNIX SO_REUSEPORT",
    time: "CLOCK_BOOTTIME CLOCK_MONOTONIC clock_gettime pthread_getcpuclockid tzset",
}

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r} (it is hidden by this test)", name=name)

sys.meta_path.insert(0, Missing())
for name in MODULES:
    sys.modules.pop(name, None)
for module, names in FUNCTIONS.items():
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "win32"
os.name = "nt"

from nephew import Nephew

huey = Nephew("shop", f"sqlite:///{sys.argv[1]}")

@huey.task()
def add(a, b):
    return a + b

first, second = add(1, 2), add.schedule((3, 4), delay=3600)
print(huey.pending_count(), huey.scheduled_count(), huey.job(first.id).state)
"""


def test_importing_and_enqueueing_need_nothing_that_only_unix_has(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, tmp_path / "jobs.db"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)

    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["1", "1", "queued"]
