"""What goes wrong during a soak: at random, one thing after the other, each over before the next one comes."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from tests.consumers import Bench
from tests.eventually import eventually

#: The application, by the kind of workers.
APPS = {"thread": "tests.soak.app", "process": "tests.soak.app", "greenlet": "tests.soak.green"}

#: How long (seconds) a process is stopped or a database locked.
MOMENT = (0.2, 1.0)

#: The fewest kinds of faults, however slow the machine is.
FEWEST = 3

Fault = Callable[[], None]


class Victim:
    """A consumer that is killed, stopped and replaced by one of another kind.

    :ivar killed: when which of its processes were killed.
    """

    def __init__(self, bench: Bench, kinds: Sequence[str], rng: random.Random) -> None:
        self._bench, self._kinds, self._rng = bench, list(kinds), rng
        self.killed: dict[int, float] = {}
        self.start()

    def start(self) -> None:
        """Start it, or the one that comes after it."""
        self._kinds.append(self._kinds.pop(0))
        self.consumer = self._bench.consumer(self._kinds[-1], 2, app=APPS[self._kinds[-1]])

    def kill_worker(self) -> None:
        """SIGKILL one of its workers; with threads that is all of it."""
        if self.consumer.kind != "process":
            self.kill()
            return
        pid = self._rng.choice(self.consumer.worker_pids())
        self._note([pid])
        os.kill(pid, signal.SIGKILL)
        eventually(lambda: len(self.consumer.worker_pids()) == self.consumer.workers, 30)

    def kill(self) -> None:
        """SIGKILL all of its processes, and start another one."""
        self._note(self.consumer.group())
        self.consumer.kill()
        self.start()

    def _note(self, pids: Iterable[int]) -> None:
        self.killed |= dict.fromkeys(pids, time.time())

    def terminate(self) -> None:
        """SIGTERM, and start another one."""
        self.end()
        self.start()

    def end(self) -> None:
        """SIGTERM."""
        code = self.consumer.stop()
        assert code == 0, f"exit code {code}\n{self.consumer.log()}"

    def hang_up(self) -> None:
        """SIGHUP: it starts anew in the same process."""
        starts = self.consumer.log().count(" started: ")
        self.consumer.send(signal.SIGHUP)
        eventually(lambda: self.consumer.log().count(" started: ") > starts, 30)
        self.consumer.await_ready()

    def stop_for_a_moment(self) -> None:
        """SIGSTOP one of its processes, then SIGCONT."""
        pid = self._rng.choice(self.consumer.group())
        os.kill(pid, signal.SIGSTOP)
        time.sleep(self._rng.uniform(*MOMENT))
        os.kill(pid, signal.SIGCONT)

    def faults(self) -> list[Fault]:
        """What may happen to it."""
        return [self.kill_worker, self.stop_for_a_moment, self.kill, self.terminate, self.hang_up]


class Faults:
    """Each kind once, then any at random.

    :ivar counts: how often each kind came.
    """

    def __init__(self, faults: Sequence[Fault], rng: random.Random, pauses: tuple[float, float]) -> None:
        self._faults, self._rng, self._pauses = list(faults), rng, pauses
        self.counts: Counter[str] = Counter()

    def go_on(self, until: float) -> None:
        """Until that time, in monotonic seconds, and until there were a few kinds."""
        first = self._rng.sample(self._faults, len(self._faults))
        while time.monotonic() < until or len(self.counts) < FEWEST:
            time.sleep(self._rng.uniform(*self._pauses))
            fault = first.pop() if first else self._rng.choice(self._faults)
            began, name = time.monotonic(), fault.__name__.replace("_", " ")
            fault()
            self.counts[name] += 1
            print(f"{name}: {time.monotonic() - began:.1f} s")
