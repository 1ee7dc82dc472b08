"""The stock consumer as a process of its own, as `./run_consumer.sh` starts it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from app.config import PROJECT

#: How long the consumer may take to finish what it is doing.
STOP_SECONDS = 15

HELD_BACK = (signal.SIGINT, signal.SIGTERM)


class Consumer:
    """A running `huey_consumer app.main.huey` with two worker processes."""

    def __init__(self, log: Path, variables: dict[str, str]) -> None:
        self.log = log
        command = Path(sys.executable).with_name("huey_consumer")
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [command, "app.main.huey", "-k", "process", "-w", "2"],
                cwd=PROJECT,
                env=os.environ | variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C goes to the demonstration, which then ends the consumer in order.
                start_new_session=True,
            )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def stop(self) -> int | None:
        """End it with SIGTERM; returns its exit code, or None when it goes on."""
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """End what is left of it, its workers included."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def last_lines(self, count: int) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])


@contextmanager
def consuming(log: Path, variables: dict[str, str]) -> Iterator[Consumer]:
    """A consumer that does not outlive the block, even when nobody stopped it."""
    consumer = None
    try:
        with _signals_held_back():
            consumer = Consumer(log, variables)
        yield consumer
    finally:
        if consumer is not None:
            _end(consumer)


def _end(consumer: Consumer) -> None:
    try:
        if consumer.alive:
            consumer.stop()
    finally:  # also when Ctrl-C is pressed again meanwhile
        consumer.kill()


@contextmanager
def _signals_held_back() -> Iterator[None]:
    """Obey SIGINT and SIGTERM after the block: amid the start of a process nobody would know yet whom to end.

    They are not blocked, since the process that is started would inherit that.
    """
    held: list[int] = []
    before = {number: signal.signal(number, lambda number, _: held.append(number)) for number in HELD_BACK}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        if held:
            signal.raise_signal(held[0])
