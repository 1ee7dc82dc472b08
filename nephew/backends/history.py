"""What a backend says of jobs, and how it forgets those that have ended. Part of the contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from nephew.backends.records import EVERY, AttemptRow, Failures, Filter, LogLines, Row


class History(ABC):
    """Records of jobs, ended ones and others."""

    @abstractmethod
    def row(self, job_id: str) -> Row | None:
        """A job's record."""

    @abstractmethod
    def rows(
        self,
        wanted: Filter = EVERY,
        limit: int | None = 100,
        oldest_first: bool = False,
        longest: int | None = None,
    ) -> list[Row]:
        """Records of jobs, the latest first.

        :param longest: payloads and results of more bytes are left out: they are empty. None: all are whole.
        """

    @abstractmethod
    def count(self, wanted: Filter) -> int:
        """How many jobs are meant."""

    @abstractmethod
    def ids(self, wanted: Filter, after: int = 0, limit: int = 500) -> list[tuple[int, str]]:
        """Places and ids of the jobs that are meant, behind the place `after`, in order."""

    @abstractmethod
    def relatives(self, job_id: str) -> tuple[list[str], list[str]]:
        """The ids of the jobs that a job follows from, and of those that follow from it."""

    @abstractmethod
    def failures(self, task: str | None = None, limit: int = 100) -> list[Failures]:
        """Failed jobs by their fingerprints, the most frequent first."""

    @abstractmethod
    def logs(self, job_id: str) -> list[LogLines]:
        """What a job's attempts have logged, the first attempt first."""

    @abstractmethod
    def attempts(self, job_id: str) -> list[AttemptRow]:
        """The stored attempts of a job, oldest first."""

    @abstractmethod
    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""

    @abstractmethod
    def waiting_count(self) -> int:
        """How many jobs wait in the queue and are not claimed."""

    @abstractmethod
    def oldest_waiting(self) -> float | None:
        """When the oldest job that waits for a worker was enqueued."""

    @abstractmethod
    def delete_jobs(self, ids: Sequence[str], ended: bool = False) -> int:
        """Delete jobs and all that belongs to them; how many.

        :param ended: only those that have ended or are parked.
        """

    @abstractmethod
    def latest(self, state: str, below: int | None = None, limit: int = 500) -> tuple[list[int], int | None]:
        """The places of jobs that ended in this state, the latest first, from one small look.

        :param below: look before this place; None: from the end.
        :param limit: the most rows looked at, of whatever job.
        :returns: the places, and below which to look next; None: there are no more.
        """

    @abstractmethod
    def outdated(
        self, state: str, before: float, upto: int, after: int = 0, limit: int = 500
    ) -> tuple[list[int], int | None]:
        """The places of jobs that ended in this state too long ago, or are too many, from one small look.

        It ends at the first row that is too young for anything behind it to be outdated.

        :param before: those that ended before this moment,
        :param upto: and those up to this place.
        :param after: look behind this place.
        :param limit: the most rows looked at, of whatever job.
        :returns: the places, and behind which to look next; None: nothing there is outdated.
        """

    @abstractmethod
    def delete_ended(self, places: Sequence[int]) -> tuple[int, float]:
        """Delete the jobs at these places with all that belongs to them, where they are still ended.

        :returns: how many, and the seconds that it took, without the wait for others.
        """
