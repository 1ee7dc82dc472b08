"""Moving jobs over from a plain Huey: its waiting and scheduled messages become jobs here, with the same ids.

A message is first stored here and only then taken out there, so a kill at any moment loses nothing; repeated, a
move finds by its id what is here already. What cannot be moved stays where it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from huey.exceptions import HueyException
from huey.registry import Message
from huey.serializer import Serializer

from nephew import clock
from nephew.backends.records import Enqueued, NewJob
from nephew.errors import ConfigError, DecodeError, NephewError, Refused
from nephew.message import check_size, new_job
from nephew.sources import Kept, Source

if TYPE_CHECKING:
    from nephew.instance import Nephew

T = TypeVar("T")

#: How many messages are stored, or taken out, in one step.
BATCH = 200

#: How what Huey's own serializer writes begins: a pickle, gzip, zlib.
_PICKLE, _GZIP, _ZLIB = b"\x80", b"\x1f", b"\x78"


class Left(NamedTuple):
    """A message that stays in the old queue. `id`: empty when it cannot be read."""

    id: str
    reason: str


@dataclass
class Report:
    """What became of the messages.

    :ivar waiting: new jobs here that wait for a worker.
    :ivar scheduled: new jobs here that wait for their time.
    :ivar known: messages whose job was here before, or for which one with the same unique key stands.
    :ivar snatched: messages that somebody else took out while they were moved.
    :ivar left: what stays in the old queue, and why.
    :ivar unknown: how many of the new jobs need a task that is not registered here, by its name.
    """

    waiting: int = 0
    scheduled: int = 0
    known: int = 0
    snatched: int = 0
    left: list[Left] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)


class Reader:
    """Turns the old queue's bytes into values, pickles only if they are trusted."""

    def __init__(self, huey: Nephew, serializer: Any = None, trust_pickle: bool = False) -> None:
        """
        :param serializer: what the old instance wrote with; None: Huey's own, or that of `huey`.
        :param trust_pickle: whether nobody but the user can have written to the old queue.
        """
        self._own, self._given, self._trusts = huey.serializer, serializer, trust_pickle

    def needs_trust(self, data: bytes) -> bool:
        """Whether reading these bytes may run code that they name."""
        serializer = self._serializer(data)
        return isinstance(serializer, Serializer) and type(serializer)._deserialize is Serializer._deserialize

    def read(self, data: bytes) -> Any:
        """The value.

        :raises DecodeError: when it is a pickle that is not trusted.
        :raises Exception: any, when the bytes cannot be read.
        """
        if self.needs_trust(data) and not self._trusts:
            raise DecodeError("it is a pickle, which is read only with --trust-pickle")
        return self._serializer(data).deserialize(data)

    def message(self, data: bytes) -> Any:
        """The message; raises as `read` does."""
        found = self.read(data)
        if not (isinstance(found, Message) and isinstance(found.id, str) and isinstance(found.name, str)):
            raise DecodeError(f"expected a message of Huey, got a {type(found).__name__}")
        return found

    def refuse_untrusted(self, kept: Sequence[Kept]) -> None:
        """Say no before anything is done, if there are pickles that are not trusted.

        :raises ConfigError: telling what to do.
        """
        count = 0 if self._trusts else sum(self.needs_trust(each.data) for each in kept)
        if count:
            raise ConfigError(
                f"{count} of the {len(kept)} messages there are pickles, as Huey writes them, and none was read: a "
                "pickle can run any code of whoever wrote it. If only your own programs can write to that queue, "
                "repeat the command with --trust-pickle"
            )

    def _serializer(self, data: bytes) -> Any:
        if self._given is not None:
            return self._given
        if (mark := data[:1]) in (_PICKLE, _GZIP, _ZLIB):
            return Serializer(compression=mark != _PICKLE, use_zlib=mark == _ZLIB)
        return self._own


class _Call(NamedTuple):
    """A message that can be moved: the job it becomes, its places in chords, the ids and tasks of all its steps."""

    kept: Kept
    job: NewJob
    seats: frozenset[tuple[str, int, int]]
    steps: frozenset[tuple[str, str]]


class Import:
    """One move from an old queue into an instance."""

    def __init__(self, huey: Nephew, source: Source, reader: Reader) -> None:
        self._huey, self._source, self._reader = huey, source, reader
        self._report = Report()
        self._has_tables = huey.backend.schema().found > 0

    def look(self) -> Report:
        """What `run` would do now; changes nothing.

        :raises ConfigError: when the messages are pickles and not trusted.
        :raises BackendError: when one of the two stores cannot be reached.
        """
        for call in self._calls():
            self._count(call, known=self._is_known(call))
        return self._report

    def run(self) -> Report:
        """Move what is there, and what is added meanwhile; raises as `look` does.

        :raises ConfigError: also when the jobs of this instance are in memory.
        """
        if not self._huey.backend.shared:
            raise ConfigError("expected an instance whose jobs are kept: those in memory would end with this command")
        self._huey.prepare_store()
        self._has_tables = True
        while self._move():
            pass
        return self._report

    def _move(self) -> int:
        """Move what is there now; how many messages were taken out.

        All are stored before the first is taken out: a chord whose move was cut off is then seen whole again.
        """
        calls = self._calls()
        stored = [call for batch in _batches(calls) for call in self._store(batch)]
        return sum(self._take_out(batch) for batch in _batches(stored))

    # -- reading ------------------------------------------------------------------------------------
    def _calls(self) -> list[_Call]:
        kept = [*self._source.waiting(), *self._source.scheduled()]
        self._reader.refuse_untrusted(kept)
        self._report.left.clear()
        return self._without_broken_chords([call for each in kept if (call := self._read(each)) is not None])

    def _read(self, kept: Kept) -> _Call | None:
        job_id = ""
        try:
            message = self._reader.message(kept.data)
            job_id = message.id
            steps = frozenset((step.id, step.name) for step in _steps(message))
            return _Call(kept, self._job(message), frozenset(_seats(message)), steps)
        except Exception as error:  # a pickle, and the user's classes and unique keys, can raise any
            self._leave(job_id, error)
            return None

    def _job(self, message: Any) -> NewJob:
        try:
            task = self._huey._registry.create_task(message)
        except HueyException:  # a task of it is not registered here: a consumer parks the job
            payload = bytes(self._huey.serializer.serialize(message))
            check_size(self._huey, payload, f"the arguments of {message.name}")
            eta = clock.to_epoch(message.eta, self._huey.utc)
            return NewJob(message.id, message.name, "default", payload, float(message.priority or 0), eta)
        return new_job(self._huey, task)

    def _without_broken_chords(self, calls: list[_Call]) -> list[_Call]:
        """Without those whose chord would never be complete here: other members of it have run there."""
        while True:
            taken = {(cid, index) for call in calls for cid, _, index in call.seats}
            present = Counter(cid for cid, _ in taken)
            whole: list[_Call] = []
            broken: list[_Call] = []
            for call in calls:
                complete = all(present[cid] >= size for cid, size, _ in call.seats)
                (whole if complete or self._is_known(call) else broken).append(call)
            if not broken:
                return whole
            for call in broken:
                self._leave(call.job.id, DecodeError("not all members of its chord can be moved"))
            calls = whole

    def _leave(self, job_id: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, NephewError) else f"{type(error).__name__}: {error}"
        self._report.left.append(Left(job_id, reason))

    # -- storing ------------------------------------------------------------------------------------
    def _is_known(self, call: _Call) -> bool:
        return self._has_tables and self._huey.backend.outcome(call.job.id) is not None

    def _store(self, calls: Sequence[_Call]) -> list[_Call]:
        """Make jobs of these messages; those for which there is one now."""
        known: list[_Call] = []
        new: list[_Call] = []
        for call in calls:
            (known if self._is_known(call) else new).append(call)
        self._bring_revocations(new)
        stored = [(call, Enqueued(call.job.id, True)) for call in known] + self._enqueue(new)
        for call, enqueued in stored:
            self._count(call, known=enqueued.duplicate)
        return [call for call, _ in stored]

    def _bring_revocations(self, calls: Sequence[_Call]) -> None:
        """What was revoked there must not run here."""
        keys = {key for call in calls for step, task in call.steps for key in (f"r:{step}", f"rt:{task}")}
        for batch in _batches(sorted(keys)):
            for key, data in self._source.values(batch).items():
                self._huey.backend.put_new(key, self._revocation(key, data))

    def _revocation(self, key: str, data: bytes) -> bytes:
        try:
            return bytes(self._huey.serializer.serialize(self._reader.read(data)))
        except Exception as error:
            raise DecodeError(
                f"the revocation {key} there cannot be read ({error}), and what it revokes must not run here; "
                "restore it there, or revoke its jobs here, and repeat the command"
            ) from error

    def _enqueue(self, calls: Sequence[_Call]) -> list[tuple[_Call, Enqueued]]:
        if not calls:
            return []
        try:
            stored = self._huey.backend.enqueue([call.job for call in calls])
        except Refused as error:
            if len(calls) > 1:
                return [pair for call in calls for pair in self._enqueue([call])]
            self._leave(calls[0].job.id, error)
            return []
        return list(zip(calls, stored, strict=True))

    def _count(self, call: _Call, known: bool) -> None:
        if known:
            self._report.known += 1
            return
        if call.job.eta is not None and call.job.eta > clock.now():
            self._report.scheduled += 1
        else:
            self._report.waiting += 1
        registered = self._huey._registry._registry
        self._report.unknown.update({task for _, task in call.steps} - registered.keys())

    def _take_out(self, calls: Sequence[_Call]) -> int:
        count = self._source.take_out([call.kept for call in calls])
        self._report.snatched += len(calls) - count
        return count


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _pipeline(message: Any) -> Iterator[Any]:
    while message is not None:
        yield message
        message = message.on_complete


def _steps(message: Any) -> Iterator[Any]:
    """A message and all that may follow from it."""
    for step in _pipeline(message):
        yield step
        if step.on_error is not None:
            yield from _steps(step.on_error)
        if step.chord_config is not None:
            yield from _steps(step.chord_config[3])


def _seats(message: Any) -> Iterator[tuple[str, int, int]]:
    """Of each chord that waits for this message: its id, its size and the place that the message has in it."""
    for step in _pipeline(message):
        if step.chord_config is not None:
            cid, size, index, callback = step.chord_config
            yield cid, size, index
            yield from _seats(callback)
