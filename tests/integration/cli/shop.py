"""A small application, and the command line in its folder."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from nephew import Nephew
from nephew.cli import nephew

ROOT = Path(__file__).resolve().parents[3]

SHOP = """\
import logging
import os
import signal
from nephew import Nephew, cron, current_job, every

huey = Nephew(os.environ["SHOP_NAME"], os.environ["SHOP_URL"])

@huey.task(queue="mail", retries=2)
def add(a, b=1):
    return a + b

@huey.task()
def fail(text):
    current_job().progress(0.5, "half way")
    raise ValueError(text)

@huey.task(unique=True)
def once(number):
    pass

@huey.task(tags=lambda user, token: f"user:{user}", redact="token")
def login(user, token):
    logging.getLogger("shop").warning("%s comes with %s", user, token)
    raise ValueError(f"{token} is wrong")

@huey.task(context=True)
def identify(task=None):
    return task.id

@huey.task()
def crash():
    logging.getLogger("shop").warning("the very last word")
    os.kill(os.getpid(), signal.SIGKILL)

@huey.periodic_task(every(hours=1))
def hourly():
    pass
"""

Done = subprocess.CompletedProcess[str]


class Shop:
    """A small application in a folder of its own, and the command line in that folder."""

    def __init__(self, folder: Path, name: str, url: str) -> None:
        self.folder, self.name, self.url = folder, name, url
        (folder / "shop.py").write_text(SHOP)

    def environment(self, **more: str) -> dict[str, str]:
        ours = {"SHOP_NAME": self.name, "SHOP_URL": self.url, "PYTHONPATH": str(ROOT), "NEPHEW_APP": "shop.huey"}
        return {**os.environ, **ours, **more}

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "nephew", *arguments],
            cwd=self.folder,
            env=self.environment(**more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **more: str) -> Done:
        return ended(self.start(*arguments, **more))

    def see(self, columns: int, *arguments: str) -> str:
        """What a terminal of that width shows, without colours."""
        ours, theirs = pty.openpty()
        with open(ours, "rb", buffering=0) as terminal:
            process = subprocess.Popen(
                [sys.executable, "-m", "nephew", *arguments],
                cwd=self.folder,
                env=self.environment(COLUMNS=str(columns), TERM="xterm"),
                stdin=subprocess.DEVNULL,
                stdout=theirs,
            )
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # Linux's way to say that the other side is closed
                while part := terminal.read(4096):
                    shown += part
            assert process.wait(timeout=30) == 0
        return re.sub(r"\x1b\[[\d;]*m", "", shown.decode()).replace("\r\n", "\n")

    def answer(self, line: str, *arguments: str) -> str:
        """What is said to somebody at a terminal who answers with that line."""
        ours, theirs = pty.openpty()
        with open(ours, "wb", buffering=0) as terminal:
            terminal.write(f"{line}\n".encode())
            done = subprocess.run(
                [sys.executable, "-m", "nephew", *arguments],
                cwd=self.folder,
                env=self.environment(),
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=30,
            )
            os.close(theirs)
        return done.stdout

    def json(self, *arguments: str) -> Any:
        return parsed(self.run(*arguments, "--json"))


def ended(process: subprocess.Popen[str]) -> Done:
    out, error = process.communicate(timeout=30)
    assert "Traceback (most recent call last)" not in error, error
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def parsed(done: Done) -> Any:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextlib.contextmanager
def opened(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The application's module in this process: to enqueue, and to run jobs without a consumer."""
    monkeypatch.setenv("SHOP_NAME", shop.name)
    monkeypatch.setenv("SHOP_URL", shop.url)
    monkeypatch.chdir(shop.folder)
    monkeypatch.syspath_prepend(shop.folder)
    monkeypatch.delitem(sys.modules, "shop", raising=False)
    module = importlib.import_module("shop")
    try:
        yield module
    finally:
        del sys.modules["shop"]
        module.huey.sign_off()
        module.huey.backend.close()


def here(*arguments: str) -> int:
    """Run a command in this process, for tests of what is said: half a second less for each."""
    return int(nephew.main(["-A", "shop.huey", *arguments], standalone_mode=False) or 0)


def refused(*arguments: str) -> str:
    """What a command says that makes no sense, which is exit code 2."""
    with pytest.raises(click.UsageError) as caught:
        here(*arguments)
    return caught.value.format_message()


def run_waiting_jobs(huey: Nephew) -> None:
    while (task := huey.dequeue()) is not None:
        huey.execute(task)
