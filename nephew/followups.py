"""What follows from a job's end: its result as bytes, its next step, its error handler, its chord."""

from __future__ import annotations

import copy
import traceback
from typing import TYPE_CHECKING, Any

from huey import signals as S
from huey.api import Task as HueyTask
from huey.utils import Error

from nephew.backends.records import ChordMark, Never, NewJob
from nephew.errors import EncodeError
from nephew.job import Relation
from nephew.message import check_size, encode, options_of, task_name
from nephew.options import tags_text
from nephew.redaction import hide, hide_error, places_of

if TYPE_CHECKING:
    from nephew.instance import Nephew

News = tuple[tuple[Any, ...], ...]

#: Why a step is cancelled that was to follow.
KEPT_OUT = "a middleware did not let it pass"


def encode_result(huey: Nephew, value: Any) -> bytes:
    """A result as bytes.

    :raises EncodeError: when it cannot be stored or is too large.
    """
    result = bytes(huey.serializer.serialize(value))
    check_size(huey, result, "the result")
    return result


def described(huey: Nephew, task: HueyTask, error: BaseException) -> dict[str, Any]:
    """An exception as Huey describes it (`build_error_result`), whatever its class does, without what is hidden."""
    return {key: hide(value) for key, value in _described(huey, task, error).items()}


def _described(huey: Nephew, task: HueyTask, error: BaseException) -> dict[str, Any]:
    try:
        return dict(huey.build_error_result(task, error))
    except Exception as trouble:  # the user's class cannot be shown
        shown = f"<{type(error).__qualname__}, whose repr() raised {type(trouble).__name__}>"
        trace = "".join(traceback.format_exception(trouble))
        return {"error": shown, "retries": task.retries, "traceback": trace, "task_id": task.id}


def encode_error(huey: Nephew, metadata: dict[str, Any]) -> bytes:
    """An error as bytes; what cannot be stored of it becomes text."""
    try:
        return bytes(huey.serializer.serialize(Error(metadata)))
    except EncodeError:  # a subclass of the user's put something else into it
        plain = {key: value if isinstance(value, int) else str(value) for key, value in metadata.items()}
        return bytes(huey.serializer.serialize(Error(plain)))


def follow_up(huey: Nephew, task: HueyTask, parent: str, relation: Relation) -> tuple[tuple[NewJob, ...], News]:
    """A call that is enqueued with the outcome, and the signal that tells of it; nothing if no middleware lets it."""
    job = huey.intake.following(task, follows=True, parent=parent, relation=relation)
    return ((job,), ((S.SIGNAL_ENQUEUED, task),)) if job is not None else ((), ())


def error_handler(task: HueyTask, error: BaseException, attempt: int) -> HueyTask:
    """The error handler of one attempt; each attempt's is a job of its own."""
    handler = extended(task.on_error, hide_error(error))
    if attempt > 1:
        handler.id = f"{handler.id}-{attempt}"
        handler.revoke_id = f"r:{handler.id}"
    return handler


def extended(task: HueyTask, data: Any) -> HueyTask:
    """A call with what went before it; the original stays as it was, should the job end otherwise after all."""
    following = _copy_of(task)
    following.extend_data(data)
    return following


def _copy_of(task: HueyTask) -> HueyTask:
    copied = copy.copy(task)
    copied.kwargs = dict(task.kwargs)
    return copied


def chord_mark(huey: Nephew, config: Any, value: Any, encoded: bytes | None = None) -> ChordMark:
    """That a member of a chord has ended with `value`."""
    data = encoded if encoded is not None else encode_result(huey, value)
    family = {"parent": config.cid, "relation": Relation.CHORD}
    callback = _copy_of(config.callback)
    job = huey.intake.following(callback, chord=config.cid, follows=True, **family)
    never = None if job else _never(huey, callback, callback)._replace(reason=KEPT_OUT, chord=config.cid, **family)
    return ChordMark(config.cid, config.idx, config.size, data, job, never)


def abort_mark(huey: Nephew, task: HueyTask, value: Any) -> ChordMark | None:
    """The rest of a pipeline will not run, so its chord is told here."""
    config = _chord_config(task)
    if config is None:
        return None
    encoded = encode_error(huey, value.metadata) if isinstance(value, Error) else None
    return chord_mark(huey, config, value, encoded)


def _chord_config(task: HueyTask) -> Any:
    """The chord that the last step of this pipeline counts for."""
    step: HueyTask | None = task
    while step is not None:
        if step.chord_config is not None:
            return step.chord_config
        step = step.on_complete
    return None


def chord_callback(task: HueyTask) -> HueyTask | None:
    """The callback of the chord that the last step of this pipeline counts for."""
    config = _chord_config(task)
    return None if config is None else config.callback


def never_steps(huey: Nephew, task: HueyTask, result: bytes | None, reason: str) -> tuple[Never, ...]:
    """The steps after this one, which will not run."""
    steps = []
    before, step = task, task.on_complete
    while step is not None:
        steps.append(_never(huey, before, step)._replace(result=result, reason=reason))
        before, step = step, step.on_complete
    return tuple(steps)


def _never(huey: Nephew, before: HueyTask, step: HueyTask) -> Never:
    options = options_of(step)
    return Never(
        step.id,
        task_name(huey, step),
        options.queue,
        encode(huey, step),
        parent=before.id,
        relation=Relation.CHAIN,
        member=None if step.chord_config is None else step.chord_config.cid,
        tags=None if callable(options.tags) else tags_text(options.tags),
        redacted=places_of(type(step), step.args, step.kwargs),
    )
