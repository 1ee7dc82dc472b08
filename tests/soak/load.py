"""What producers do during a soak: calls of every kind, no more than are worked off."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from huey.api import chord

from nephew import Nephew
from nephew.errors import BackendError
from tests.soak.books import Books

#: How many jobs may be open at once, and the pause (seconds) of a producer between two calls.
BACKLOG, PAUSE = 300, 0.005


class Load:
    """Producers, each a thread with a connection of its own, while this is entered.

    :ivar calls: how many calls of each kind there were.
    """

    def __init__(self, huey: Nephew, books: Books, tasks: SimpleNamespace, seed: int, producers: int = 2) -> None:
        self._huey, self._books, self._tasks = huey, books, tasks
        self._over = threading.Event()
        self._threads = [
            threading.Thread(target=self._produce, args=(random.Random(seed + number),), name=f"Producer {number}")
            for number in range(producers)
        ]
        self.calls: Counter[str] = Counter()
        self.trouble: list[BaseException] = []

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _produce(self, rng: random.Random) -> None:
        producer = Producer(self._huey, self._books, self._tasks, rng)
        kinds, weights = list(producer.kinds), list(producer.kinds.values())
        try:
            while not self._over.wait(PAUSE):
                if self._books.open < BACKLOG:
                    (kind,) = rng.choices(kinds, weights)
                    kind()
                    self.calls[kind.__name__.strip("_")] += 1
        except BaseException as error:
            self.trouble.append(error)
        finally:
            self._huey.backend.leave()


class Producer:
    """One who calls tasks, and says to the books what was accepted.

    :ivar kinds: its kinds of calls, and how frequent each one is.
    """

    def __init__(self, huey: Nephew, books: Books, tasks: SimpleNamespace, rng: random.Random) -> None:
        self._huey, self._books, self._tasks, self._rng = huey, books, tasks, rng
        self._lingering: str | None = None
        self.kinds: dict[Callable[[], None], float] = {
            self._many: 20,
            self._plain: 30,
            self._answer: 20,
            self._failure: 10,
            self._pipeline: 10,
            self._chord: 5,
            self._unique: 10,
            self._delayed: 10,
            self._expiring: 5,
            self._locked: 5,
            self._talking: 5,
            self._at_most_once: 5,
            self._cancelled_waiting: 5,
            self._cancelled_running: 0.2,
            self._timed_out: 0.5,
        }

    def _call(self, task: Any, *args: Any, **options: Any) -> Any:
        return task.s(*args, id=self._books.new_id(), **options)

    def _enqueue(self, calls: Any, *ids: str) -> bool:
        """Store something of which these jobs come; whether that is certain.

        After an error of the store nobody knows: the books then only look that nothing ends twice.
        """
        try:
            self._huey.enqueue_many(calls) if isinstance(calls, list) else self._huey.enqueue(calls)
        except BackendError:
            self._books.unsure += len(ids)
            return False
        self._books.accept(*ids)
        return True

    def _one(self, task: Any, *args: Any, **options: Any) -> str | None:
        """Store a call; its job's id, if that is certain."""
        call = self._call(task, *args, **options)
        return call.id if self._enqueue(call, call.id) else None

    def _many(self) -> None:
        calls = [self._call(self._tasks.plain) for _ in range(10)]
        self._enqueue(calls, *(call.id for call in calls))

    def _plain(self) -> None:
        self._one(self._tasks.plain)

    def _answer(self) -> None:
        self._one(self._tasks.answer, self._rng.choice((1, 100, 10_000)))

    def _failure(self) -> None:
        """With retries now or later, which help or do not."""
        self._one(self._rng.choice((self._tasks.stumble, self._tasks.stumble_later)), self._rng.choice((1, 2, 9)))

    def _pipeline(self) -> None:
        steps = [self._call(self._tasks.step, 1), *(self._call(self._tasks.step) for _ in range(2))]
        self._enqueue(steps[0].then(steps[1]).then(steps[2]), *(step.id for step in steps))

    def _chord(self) -> None:
        members = [self._call(self._tasks.step, number) for number in range(self._rng.randint(2, 6))]
        callback = self._call(self._tasks.add_up)
        self._enqueue(chord(members, callback), *(call.id for call in (*members, callback)))

    def _unique(self) -> None:
        """Of one key at most one job is unfinished."""
        name = str(self._rng.randrange(5))
        call = self._call(self._tasks.only, name)
        try:
            result = self._huey.enqueue(call)
        except BackendError:
            self._books.unsure += 1
            return
        if not result.duplicate:
            self._books.accept(call.id)

    def _delayed(self) -> None:
        self._one(self._tasks.plain, delay=self._rng.random())

    def _expiring(self) -> None:
        """Some run in time, some are ended by the worker that claims them, some by a scheduler while they wait."""
        self._one(self._tasks.plain, expires=self._rng.choice((0.01, 0.1, 60)), delay=self._rng.choice((None, 2.0)))

    def _locked(self) -> None:
        self._one(self._tasks.guarded, str(self._rng.randrange(5)))

    def _talking(self) -> None:
        self._one(self._tasks.talk)

    def _at_most_once(self) -> None:
        self._one(self._tasks.once)

    def _cancelled_waiting(self) -> None:
        if job_id := self._one(self._tasks.plain, delay=0.5):
            self._cancel(job_id)

    def _cancelled_running(self) -> None:
        """The one of last time, which has begun meanwhile."""
        if self._lingering is not None:
            self._cancel(self._lingering)
        self._lingering = self._one(self._tasks.linger, 1.0)

    def _cancel(self, job_id: str) -> None:
        try:
            self._huey.cancel(job_id)
        except BackendError:
            pass  # then it runs

    def _timed_out(self) -> None:
        self._one(self._tasks.oversleep, 20.0)
