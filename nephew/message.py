"""Between Huey's `Task` objects and the bytes and columns that a backend keeps."""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import logging
import math
from collections.abc import Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from huey.api import Task as HueyTask
from huey.exceptions import HueyException

from nephew import clock, redaction
from nephew.backends.records import Claimed, NewJob
from nephew.codec import Codec
from nephew.current import running
from nephew.errors import DecodeError, EncodeError, NephewError, UnknownTask
from nephew.job import Relation
from nephew.options import TaskOptions, as_tags, tags_text
from nephew.tuples import maker

if TYPE_CHECKING:
    from nephew.instance import Nephew

log = logging.getLogger("huey.nephew.message")

#: A unique key of more characters than this is kept as its hash; an index takes no long ones.
LONGEST_KEY = 200

_DEFAULTS = TaskOptions()
_new_job = maker(NewJob)
_PAYLOAD = NewJob._fields.index("payload")


def options_of(task: HueyTask) -> TaskOptions:
    """The options that a job's task was decorated with."""
    found: TaskOptions = getattr(task, "nephew_options", _DEFAULTS)
    return found


def task_name(huey: Nephew, task: HueyTask) -> str:
    """The stable name that jobs of this task are stored with."""
    name: str = huey._registry.task_to_string(type(task))
    return name


def new_job(
    huey: Nephew,
    task: HueyTask,
    *,
    chord: str | None = None,
    follows: bool = False,
    parent: str | None = None,
    relation: str | None = None,
) -> NewJob:
    """What is stored for a call.

    Uniqueness is for calls that stand alone: for a step of a pipeline or a member of a chord no other job can
    stand, since something waits for its very end.

    :param chord: the chord whose values it is called with.
    :param follows: whether it is enqueued by the end of another job.
    :param parent: what it follows from: a job's id, a chord's, or a schedule's name; `relation` says which way.
        None: the job that is running here, if there is one.
    :raises EncodeError: when an argument cannot be stored; it is named.
    :raises NephewError: when the priority is not a number, or the tags are none.
    """
    options = options_of(task)
    caller = running.get() if parent is None else None
    if caller is not None:
        parent, relation = caller.id, Relation.CALL
    joined = follows or task.on_complete is not None or task.chord_config is not None
    unique_key = None if options.unique is False or joined else _unique_key(huey, task, options)
    eta = None if task.eta is None else clock.to_epoch(task.eta, huey.utc)
    expires_at = None if task.expires_resolved is None else expires_epoch(task, huey.utc)
    member = None if task.chord_config is None else task.chord_config.cid
    tags = _tags(task, options, complete=chord is None, lenient=follows) if options.tags else None
    redacted = redaction.places_of(type(task), task.args, task.kwargs) if options.redact else None
    return _new_job(
        (task.id, task_name(huey, task), options.queue, encode(huey, task), _priority(task), eta, unique_key, chord,
         expires_at, parent, relation, member, tags, redacted)
    )  # fmt: skip


def are_alike(kind: type[HueyTask]) -> bool:
    """Whether all that is stored of a task's calls beside their ids and arguments is the same."""
    options = getattr(kind, "nephew_options", _DEFAULTS)
    return options.unique is False and not options.redact and not callable(options.tags)


def new_jobs(huey: Nephew, task: HueyTask, ids: Sequence[str], arguments: Sequence[tuple[Any, ...]]) -> list[NewJob]:
    """What is stored for calls that are like one but for their ids and arguments; see `new_job` and `are_alike`."""
    of_all = new_job(huey, task)
    payloads = _payloads(huey, task, ids, arguments)
    before, behind = of_all[1:_PAYLOAD], of_all[_PAYLOAD + 1 :]
    return list(map(_new_job, zip(ids, *map(repeat, before), payloads, *map(repeat, behind), strict=False)))


def _payloads(huey: Nephew, task: HueyTask, ids: Sequence[str], arguments: Sequence[tuple[Any, ...]]) -> list[bytes]:
    message = huey._registry.create_message(task)
    if type(huey.serializer) is Codec:
        payloads = huey.serializer.serialize_calls(message, ids, arguments)
    else:
        serialize = huey.serializer.serialize
        payloads = [
            bytes(serialize(message._replace(id=id_, args=args))) for id_, args in zip(ids, arguments, strict=True)
        ]
    if max(map(len, payloads), default=0) > huey.settings.warn_bytes:
        for payload in payloads:
            check_size(huey, payload, f"the arguments of {message.name}")
    return payloads


def _tags(task: HueyTask, options: TaskOptions, complete: bool, lenient: bool) -> str | None:
    """A call's tags, as they are stored.

    :param complete: whether all its arguments are there for a function to look at.
    :param lenient: whether it goes without tags when that function fails: the end of another job hangs on it.
    """
    if not callable(options.tags):
        return tags_text(options.tags)
    if not complete:
        return None
    name = type(task).__name__
    try:
        made = options.tags(*task.args, **task.kwargs)
        secrets = redaction.secrets_of(task)
        tags = () if made is None else as_tags(name, made)
        return tags_text(tags if secrets is None else list(map(secrets.hide, tags)))
    except Exception as error:
        if not lenient:
            raise
        log.warning("A job of %s goes without tags; its function for them failed: %r", name, error)
        return None


def _priority(task: HueyTask) -> float:
    given = task.priority
    if given is None:
        return 0.0
    if isinstance(given, bool) or not isinstance(given, int | float) or not math.isfinite(given):
        raise NephewError(f"expected priority to be a number, got {given!r}; nothing was enqueued")
    return float(given)


def encode(huey: Nephew, task: HueyTask) -> bytes:
    """A call as bytes.

    :raises EncodeError: when an argument cannot be stored, or all together are too large.
    """
    payload = bytes(huey.serialize_task(task))
    if len(payload) > huey.settings.warn_bytes:
        check_size(huey, payload, f"the arguments of {task_name(huey, task)}")
    return payload


def check_size(huey: Nephew, payload: bytes, what: str) -> None:
    """Warn about large values and refuse huge ones.

    :raises EncodeError: when the value is larger than the setting `max_bytes`.
    """
    size = len(payload)
    if size <= huey.settings.warn_bytes:
        return
    if size > huey.settings.max_bytes:
        raise EncodeError(
            f"expected {what} to take at most {huey.settings.max_bytes:,} bytes, got {size:,}; "
            "store large data elsewhere and pass its name"
        )
    log.warning("%s take %s bytes; a name of data that is stored elsewhere is faster.", what, f"{size:,}")


def call_in(huey: Nephew, payload: bytes) -> HueyTask:
    """The call that stored bytes are.

    :raises UnknownTask: when no task of that name is registered here.
    :raises DecodeError: when the bytes are not a call.
    """
    try:
        return huey.deserialize_task(payload)
    except NephewError:
        raise
    except HueyException as error:
        raise UnknownTask(str(error)) from error
    except Exception as error:
        raise DecodeError(f"these bytes are not a job: {error!r}") from error


def decode(huey: Nephew, claimed: Claimed) -> HueyTask:
    """The call that a claim holds, with what became of it since it was stored; raises what `call_in` does."""
    task = call_in(huey, claimed.payload)
    if claimed.expires_at is not None:  # it may have been changed while it waited
        never = claimed.expires_at == float("inf")
        task.expires_resolved = None if never else clock.to_naive(claimed.expires_at, huey.utc)
    if claimed.chord is not None:
        task.extend_data(([huey.serializer.deserialize(value) for value in claimed.chord_values],))
    return task


def _unique_key(huey: Nephew, task: HueyTask, options: TaskOptions) -> str:
    name = (task_name(huey, task), *options.aliases)[-1]  # consumers of all versions agree on the first
    if callable(options.unique):
        key = repr(options.unique(*task.args, **task.kwargs))
        secrets = redaction.secrets_of(task)
        if len(key) <= LONGEST_KEY and (secrets is None or secrets.hide(key) == key):
            return f"{name}:{key}"
        return f"{name}:{hashlib.sha256(key.encode(errors='backslashreplace')).hexdigest()}"
    arguments = huey.serializer.serialize(_ordered(_normalized(task)))
    return f"{name}:{hashlib.sha256(arguments).hexdigest()}"


def _normalized(task: HueyTask) -> tuple[Any, ...]:
    """The same for `f(1)` and `f(a=1)`."""
    function = getattr(type(task), "nephew_function", None)
    try:
        bound = inspect.signature(function).bind(*task.args, **task.kwargs)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return (tuple(task.args), sorted(task.kwargs.items()))
    bound.apply_defaults()
    return (bound.args, sorted(bound.kwargs.items()))


def _ordered(value: Any) -> Any:
    """The same for equal dicts that were filled in another order."""
    if type(value) is dict:
        return [(_ordered(key), _ordered(value[key])) for key in sorted(value, key=repr)]
    return type(value)(map(_ordered, value)) if type(value) in (list, tuple) else value


def expires_epoch(task: HueyTask, utc: bool) -> float | None:
    """When a call expires, in epoch seconds."""
    resolved = task.expires_resolved
    return clock.to_epoch(resolved, utc) if isinstance(resolved, dt.datetime) else None
