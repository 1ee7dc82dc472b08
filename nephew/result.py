"""The handle of a job: Huey's `Result`, which also knows the state, waits rightly for None, and can be awaited."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Generator
from functools import cached_property
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar, cast, overload

from huey.api import ResultGroup
from huey.api import Task as HueyTask
from huey.constants import EmptyData
from huey.exceptions import ResultTimeout, TaskException
from huey.utils import Error

from nephew.errors import BackendError, JobEnded, Unanswered
from nephew.job import Progress, State

if TYPE_CHECKING:
    import datetime as dt

    from nephew.instance import Nephew

    class HueyResult:
        """What is inherited. Huey has no annotations, and a handle of unknown base would pass for any value."""

        task: Any
        revoke_id: str
        _result: Any

        def __init__(self, huey: Nephew, task: HueyTask) -> None: ...
        def __call__(self, *args: Any, **options: Any) -> Any: ...
        def get(self, *args: Any) -> Any: ...
        def is_ready(self) -> bool: ...
        def is_revoked(self) -> bool: ...
        def revoke(self, revoke_once: bool = True) -> None: ...
        def restore(self) -> bool: ...
        def reschedule(
            self,
            eta: dt.datetime | None = None,
            delay: float | dt.timedelta | None = None,
            expires: float | dt.datetime | dt.timedelta | None = None,
            priority: float | None = None,
            preserve_pipeline: bool = True,
        ) -> Any: ...
        def reset(self) -> None: ...
        def _get(self, preserve: bool = False) -> Any: ...
else:
    from huey.api import Result as HueyResult

R = TypeVar("R")

log = logging.getLogger("huey.nephew.result")

#: Seconds between two tries to read a result while the store is away.
AWAY_SECONDS = 0.1


class Result(HueyResult, Generic[R]):
    """What a call of a task returns.

    :ivar duplicate: True when an unfinished job with the same unique key stood for this call.
    """

    huey: Nephew

    def __init__(self, huey: Nephew, task: HueyTask, duplicate: bool = False) -> None:
        HueyResult.__init__(self, huey, task)  # not by super(): one is made for each of a million calls
        self.duplicate = duplicate

    def __repr__(self) -> str:
        return f"<Result: job {self.id}{' (duplicate)' if self.duplicate else ''}>"

    @property
    def id(self) -> str:
        """The job's id."""
        return str(self.task.id)

    @property
    def state(self) -> State | None:
        """The job's state; None when it is not known (yet)."""
        found = self.huey.backend.outcome(self.id)
        return None if found is None else State(found[0])

    @property
    def progress(self) -> Progress | None:
        """How far the job is, as it said itself."""
        row = self.huey.history.row(self.id)
        if row is None or row.progress is None:
            return None
        return Progress(row.progress, row.progress_message)

    def cancel(self) -> bool:
        """End the job with all that hangs on it, stop it if it runs; False when it has ended."""
        return self.huey.cancel(self.id)

    @overload
    def get(
        self,
        blocking: Literal[True],
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
        revoke_on_timeout: bool = False,
        preserve: bool = False,
    ) -> R: ...

    @overload
    def get(
        self,
        blocking: bool = False,
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
        revoke_on_timeout: bool = False,
        preserve: bool = False,
    ) -> R | None: ...

    def get(
        self,
        blocking: bool = False,
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
        revoke_on_timeout: bool = False,
        preserve: bool = False,
    ) -> R | None:
        """The value that the function returned.

        :param blocking: wait until the job has ended; else return None while it has not.
        :param timeout: seconds to wait at most; None: for ever.
        :param backoff: has no effect: the store tells of the end at once.
        :param max_delay: the longest pause between two looks, in seconds, should no word of the end come; at most 1.
        :param revoke_on_timeout: revoke the job when the time is over.
        :param preserve: keep the result where `results_read_once` would delete it.
        :raises huey.exceptions.TaskException: when the job failed.
        :raises JobEnded: (blocking) when it ended without a value: cancelled, expired, or parked at the timeout.
        :raises huey.exceptions.ResultTimeout: (blocking) when it has not ended in time.
        """
        return cast(
            "R | None",
            super().get(blocking, timeout, backoff, max_delay, revoke_on_timeout, preserve),
        )

    def get_raw_result(
        self,
        blocking: bool = False,
        timeout: float | None = None,
        backoff: float = 1.15,
        max_delay: float = 1.0,
        revoke_on_timeout: bool = False,
        preserve: bool = False,
    ) -> Any:
        """The stored result, errors as Huey's `Error` value; see `get`."""
        if not blocking:
            found = self._get(preserve)
            return None if found is EmptyData else found
        self.huey.refuse_open_transaction(self.id)
        deadline = None if timeout is None else time.monotonic() + timeout
        if not (self._ends_soon(deadline) or self._ends(deadline, max_delay)):
            self._give_up(revoke_on_timeout)
        told = False
        while True:
            try:
                return self._final(preserve)
            except Unanswered:
                raise  # what was read once is gone now, and None would be another value
            except BackendError as error:
                if deadline is not None and time.monotonic() >= deadline:
                    raise ResultTimeout(f"timed out reading the result of job {self.id}: {error}") from error
                if not told:
                    log.warning("The result of job %s cannot be read (%s); it is tried again.", self.id, error)
                told = True
                time.sleep(AWAY_SECONDS)

    def _get(self, preserve: bool = False) -> Any:
        return super()._get(preserve or not self.huey.settings.results_read_once)

    def _ends_soon(self, deadline: float | None) -> bool:
        """Whether it ends before it is worth a connection that listens, as far as the store can be asked."""
        if self._result is not EmptyData:
            return True
        left = math.inf if deadline is None else deadline - time.monotonic()
        try:
            ended = self.huey.backend.ends_soon(self.id, left)
        except BackendError:  # whoever waits may have the time until the store is back
            return False
        if ended is not None and ended.result is not None and not self.huey.settings.results_read_once:
            self._result = self.huey.serializer.deserialize(ended.result)
        return ended is not None

    def _ends(self, deadline: float | None, max_delay: float) -> bool:
        """Whether it ends in time."""
        left = None if deadline is None else deadline - time.monotonic()
        return not self.huey.waiting_room.wait([self.id], left, max_delay)

    def _final(self, preserve: bool) -> Any:
        value = self._get(preserve)
        if value is not EmptyData:
            return value
        found = self.huey.backend.outcome(self.id)
        if found is not None and found[0] in (State.CANCELLED, State.EXPIRED):
            raise JobEnded(self.id, found[0], found[2])
        if found is not None and found[0] == State.FAILED:
            # Its result was read or never kept; its record still says what happened.
            row = self.huey.history.row(self.id)
            raise TaskException({"error": row.error if row else None, "task_id": self.id})
        return None

    def _give_up(self, revoke: bool) -> None:
        try:
            found = self.huey.backend.outcome(self.id)
        except BackendError as error:
            raise ResultTimeout(f"timed out waiting for the result of job {self.id}: {error}") from error
        if revoke:
            self.revoke()
        if found is not None and found[0] == State.PARKED:
            raise JobEnded(self.id, found[0], found[2])
        state = f"it is {found[0]}" if found is not None else "nothing is known of it"
        raise ResultTimeout(f"timed out waiting for the result of job {self.id}: {state}")

    async def _wait(self) -> R:
        self.huey.refuse_open_transaction(self.id)
        if self._result is EmptyData:
            await self.huey.waiting_room.wait_async([self.id])
        value = await self._read()
        if isinstance(value, Error):
            raise TaskException(value.metadata)
        return cast("R", value)

    async def _read(self) -> Any:
        while True:
            try:
                return await self.huey.errands.run(lambda: self._final(False))
            except Unanswered:
                raise
            except BackendError:
                await asyncio.sleep(AWAY_SECONDS)

    def __await__(self) -> Generator[Any, None, R]:
        """Wait for the job's end; the event loop goes on meanwhile."""
        return self._wait().__await__()


class Mapped(ResultGroup):
    """The handles of a mapped task's jobs. They are made when one is asked for: of most batches none ever is."""

    def __init__(self, size: int, make: Callable[[], list[Result[Any]]]) -> None:
        self._size, self._make = size, make

    @cached_property
    def _results(self) -> list[Result[Any]]:
        return self._make()

    def __len__(self) -> int:
        return self._size
