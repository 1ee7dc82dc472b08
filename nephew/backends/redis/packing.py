"""Jobs and their ends as the server keeps them; see `lua/lib/job.lua` and `lua/lib/ends.lua`."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any

from nephew.backends.records import Claimed, LogLines, Never, NewJob, Outcome, Row
from nephew.backends.texts import storable
from nephew.errors import Refused
from nephew.job import ENDED, State

#: The head of a record, in this order.
HEAD = (
    "task", "queue", "priority", "eta", "unique_key", "chord", "expires_at", "parent", "relation", "member", "tags",
    "redacted",
)  # fmt: skip
#: Most jobs have no revocation.
NOTHING: dict[str, bytes] = {}

_dump = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def body(head: tuple[Any, ...], payload: bytes) -> bytes:
    """Head and payload of a record.

    :raises Refused: when they cannot be stored.
    """
    return _written(head) + b"\n" + _bytes(payload)


def _bytes(payload: bytes) -> bytes:
    if not isinstance(payload, bytes):
        raise Refused(f"expected the payload of a job to be bytes, got {payload!r}; nothing was stored")
    return payload


@functools.lru_cache(maxsize=128)
def _written(head: tuple[Any, ...]) -> bytes:
    """A head without the nulls at its end; those of most jobs of a task are the same."""
    last = len(head)
    while last and head[last - 1] is None:
        last -= 1
    return _encoded(head[:last])


def _encoded(value: Any) -> bytes:
    try:
        return _dump(value).encode()
    except UnicodeError as error:
        raise Refused(f"expected text that is Unicode, got {value!r} ({error}); nothing was stored") from error


def new_job(job: NewJob) -> tuple[Any, ...]:
    """A job's values, as `lua/lib/store.lua` reads them."""
    return (
        job.id, job.queue, job.priority, _text(job.eta), job.unique_key or "", _text(job.expires_at),
        _kin(job.parent, job.relation), job.member or "", body(_head(job), job.payload),
    )  # fmt: skip


def is_plain(job: NewJob) -> bool:
    """Whether it only waits in its queue."""
    later, bound = job.eta is not None or job.expires_at is not None, job.unique_key or job.parent or job.member
    return not later and not bound


def plain(job: NewJob) -> tuple[Any, ...]:
    """The values of a plain job, as `lua/enqueue_one.lua` reads them."""
    return job.id, job.queue, -job.priority, body(_head(job), job.payload)


def plain_runs(jobs: Sequence[NewJob]) -> Iterator[Any]:
    """The values of plain jobs, as `lua/enqueue_plain.lua` reads them."""
    for head, run in groupby(jobs, _head):
        told = [value for job in run for value in (job.id, _bytes(job.payload))]
        _, queue, priority, *_ = head
        yield from (queue, -priority, _written(head), len(told) // 2)
        yield from told


def _head(job: NewJob) -> tuple[Any, ...]:
    return (
        job.task, job.queue, job.priority, job.eta, job.unique_key, job.chord, job.expires_at, job.parent,
        job.relation, job.member, job.tags, job.redacted,
    )  # fmt: skip


def _text(value: float | None) -> str | float:
    return "" if value is None else value


def _kin(parent: str | None, relation: str | None) -> str:
    """What a job is found by as a relative; a schedule has far too many."""
    return "" if parent is None or relation == "schedule" else parent


def claimed(id: bytes, record: bytes, claim: int, marks: bytes = b"", stop: bytes = b"") -> Claimed:
    """A claimed job; one whose record is none has its bytes as the payload, of no task, and will be parked."""
    try:
        first, head, payload = record.split(b"\n", 2)
        place = int(first.partition(b" ")[0])
        task, queue, priority, chord, expires_at, tags = _standing(head)
        job = Claimed._make((place, id.decode(), task, queue, payload, priority, 0, 0, False, claim, chord, expires_at,
                             tags, None, False, (), NOTHING))  # fmt: skip
        return _marked(job, marks, stop) if marks or stop else job
    except (ValueError, TypeError):
        return Claimed(0, id.decode(errors="replace"), "", "default", record, 0.0, 0, 0, False, claim, None)


@functools.lru_cache(maxsize=128)
def _standing(head: bytes) -> tuple[Any, ...]:
    """What of a head concerns a worker; those of most jobs of a task are the same."""
    values = json.loads(head)
    task, queue, priority, _, _, chord, expires_at, _, _, _, tags, _ = values + [None] * (len(HEAD) - len(values))
    return task, queue, priority, chord, expires_at, tags


def _marked(job: Claimed, marks: bytes, stop: bytes) -> Claimed:
    """A claimed job with what has changed since it was stored."""
    changed = _changed(marks)
    return job._replace(
        queue=changed.get("queue", job.queue),
        priority=float(changed.get("priority", job.priority)),
        attempts=int(changed.get("attempts", 0)),
        crashes=int(changed.get("crashes", 0)),
        alone=bool(changed.get("alone")),
        chord=None if changed.get("chord") is False else job.chord,
        expires_at=expiry(changed, job.expires_at),
        cancelling=stop.decode() or None,
    )


def _changed(marks: bytes | None) -> dict[str, Any]:
    """What has changed since a job was stored; nothing when that cannot be read."""
    try:
        changed = json.loads(marks or b"{}")
    except ValueError:
        return {}
    return changed if isinstance(changed, dict) else {}


def expiry(marks: dict[str, Any], stored: float | None) -> float | None:
    """When a job expires: as it was changed, else as it was stored."""
    changed = marks.get("expires_at")
    return stored if changed is None else float(changed)


def are_plain(outcomes: Sequence[Outcome]) -> bool:
    """Whether all of them are successes that bring nothing but a result, with ids that JSON has as they are."""
    ids = {outcome.id for outcome in outcomes}
    text = "".join(ids)
    return 0 < len(ids) == len(outcomes) and len(_dump(text)) == len(text) + 2 and all(map(_is_plain_end, outcomes))


def _is_plain_end(outcome: Outcome) -> bool:
    return (
        outcome.state is State.SUCCEEDED
        and outcome.counted
        and outcome.started_at is not None
        and outcome.payload is None
        and not outcome.follow_ups
        and not outcome.never
        and outcome.chord_mark is None
        and outcome.chord_done is None
        and outcome.attempt is None
        and outcome.error is None
        and outcome.reason is None
        and outcome.fingerprint is None
        and outcome.progress is None
        and outcome.log is None
        and outcome.forget == (f"r:{outcome.id}",)
    )


def plain_ends(worker: int, outcomes: Sequence[Outcome], now: float) -> Iterator[Any]:
    """Plain ends in runs of the same claim, task and place, as `lua/settle_plain.lua` reads them."""
    for (claim, task, label), run in groupby(outcomes, attrgetter("claim", "task", "worker")):
        where = "" if label is None else f'"worker":{_encoded(label).decode()},'
        by = f'{where}"by":[{worker},{claim}]}}'
        told = [value for outcome in run for value in (outcome.id, outcome.seq, _plain_end(outcome, now, by))]
        yield from (claim, happened("", task, State.SUCCEEDED, label, None).removeprefix('["'), len(told) // 3)
        yield from told


def _plain_end(outcome: Outcome, now: float, by: str) -> bytes:
    """The same as `end`; `by`: what is the same in the ends of a run."""
    told = (
        f'{{"place":{outcome.seq},"state":"succeeded","counted":true,"started_at":{outcome.started_at!r},'
        f'"finished_at":{outcome.finished_at or now!r},{by}'
    ).encode()
    return told if outcome.result is None else told + b"\n" + outcome.result


def end(worker: int, outcome: Outcome, now: float) -> bytes:
    """What is kept of an end, its result included, and by whose claim it came."""
    told: dict[str, Any] = {
        "place": outcome.seq,  # first: see `lua/lib/ends.lua`
        "state": outcome.state,
        "counted": outcome.counted,
        "started_at": outcome.started_at,
        "finished_at": outcome.finished_at or now,
        "worker": outcome.worker,
        "error": storable(outcome.error),
        "fingerprint": outcome.fingerprint,
        "reason": storable(outcome.reason),
        "by": (worker, outcome.claim),
    }
    if outcome.progress is not None:
        told["progress"], told["message"] = outcome.progress[0], storable(outcome.progress[1])
    return joined(told, outcome.result)


def never(step: Never, now: float) -> tuple[Any, ...]:
    """The values of a step that will not run, as `lua/settle.lua` reads them."""
    head = (
        step.task, step.queue, 0.0, None, None, step.chord, None, step.parent, step.relation, step.member, step.tags,
        step.redacted,
    )  # fmt: skip
    kept = joined({"state": State.CANCELLED, "finished_at": now, "reason": storable(step.reason)}, step.result)
    event = happened(step.id, step.task, State.CANCELLED, None, None)
    return step.id, body(head, step.payload), kept, _kin(step.parent, step.relation), step.member or "", event


def joined(told: dict[str, Any], result: bytes | None) -> bytes:
    """An end without what is empty, and its result behind it."""
    text = _encoded({name: value for name, value in told.items() if value is not None})
    return text if result is None else text + b"\n" + result


def happened(job: str, task: str, state: str, worker: str | None, error: str | None) -> str:
    """An event."""
    return _dump((job, task, state, worker, storable(error)))


def attempt(outcome: Outcome) -> tuple[Any, ...]:
    """An attempt that did not end well, as `lua/settle.lua` reads it: its number and its begin come first there."""
    rest = (outcome.finished_at, outcome.worker, outcome.attempt, storable(outcome.error), storable(outcome.traceback))
    return _text(outcome.started_at), _dump(rest)[1:-1], "1" if outcome.counted else ""


def log(lines: LogLines) -> tuple[int, str]:
    """The log of an attempt: its number, and what was logged."""
    return lines.attempt, _dump((storable(lines.lines), lines.dropped))


def again(outcome: Outcome) -> str:
    """How a claim is given back, as `lua/settle.lua` reads it."""
    told = {
        "eta": None if outcome.eta is None else repr(outcome.eta),
        "counted": outcome.counted or None,
        "error": storable(outcome.error),
        "fingerprint": outcome.fingerprint,
        "reason": storable(outcome.reason),
    }
    return _dump({name: value for name, value in told.items() if value is not None})


def has_ended(outcome: Outcome) -> bool:
    """Whether the job is over with it."""
    return outcome.state in ENDED


def ending(kept: bytes | None) -> tuple[dict[str, Any], bytes | None]:
    """What is kept of an end: what it tells (nothing, while it is the error of an attempt), and the result."""
    if kept is None:
        return {}, None
    told, has_result, result = kept.partition(b"\n")
    return json.loads(told), result if has_result else None


def row(
    id: bytes, state: bytes, record: bytes, marks: bytes | None, kept: bytes | None, worker: bytes | None,
    claim: bytes | None, since: bytes | None, registration: bytes | None, stop: bytes | None,
) -> Row:  # fmt: skip
    """All that is known of a job, as `lua/rows.lua` returns it."""
    place, enqueued, head, payload = _parts(record)
    changed = _changed(marks)
    told, result = ending(kept)
    lasting = told or changed  # what the last attempt came to
    return Row(
        seq=place,
        id=id.decode(errors="replace"),
        task=head["task"] or "",
        queue=changed.get("queue", head["queue"] or "default"),
        state=state.decode(),
        priority=float(changed.get("priority", head["priority"] or 0.0)),
        eta=_eta(changed, head["eta"]),
        payload=payload,
        result=result,
        error=lasting.get("error"),
        attempts=int(changed.get("attempts", 0)) + bool(told.get("counted")),
        crashes=int(changed.get("crashes", 0)),
        worker=_number(worker),
        claim=_number(claim),
        worker_label=told.get("worker") if registration is None else _where(registration),
        enqueued_at=enqueued,
        started_at=_started(told, changed, since),
        finished_at=told.get("finished_at"),
        progress=_float(told.get("progress", changed.get("progress"))),
        progress_message=(told if "progress" in told else changed).get("message"),
        reason=lasting.get("reason"),
        unique_key=head["unique_key"],
        expires_at=expiry(changed, head["expires_at"]),
        parent=head["parent"],
        relation=head["relation"],
        member=head["member"],
        tags=head["tags"],
        redacted=head["redacted"],
        fingerprint=lasting.get("fingerprint"),
        cancelling=None if stop is None else stop.decode(),
        chord=None if changed.get("chord") is False else head["chord"],
    )


def _parts(record: bytes) -> tuple[int, float, dict[str, Any], bytes]:
    """Place, time of enqueueing, head and payload of a record; what is none is all payload, of no task."""
    try:
        first, head, payload = record.split(b"\n", 2)
        place, enqueued = first.split(b" ")
        values = json.loads(head)
        return int(place), float(enqueued), dict(zip(HEAD, values + [None] * len(HEAD), strict=False)), payload
    except (ValueError, TypeError):
        return 0, 0.0, dict.fromkeys(HEAD), record


def _eta(marks: dict[str, Any], stored: float | None) -> float | None:
    changed = marks.get("eta")
    return stored if changed is None else None if changed == "-" else float(changed)


def _started(told: dict[str, Any], marks: dict[str, Any], since: bytes | None) -> float | None:
    if since is not None:
        return float(since)
    return _float(told.get("started_at", marks.get("started_at")))


def _where(registration: bytes) -> str:
    """The host and process of a worker."""
    worker = json.loads(registration)
    return f"{worker['host']}:{worker['pid']}"


def _number(text: bytes | None) -> int | None:
    return None if text is None else int(text)


def _float(value: str | float | None) -> float | None:
    return None if value is None else float(value)
