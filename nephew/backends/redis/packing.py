"""Jobs and their ends as the server keeps them; see `lua/lib/job.lua` and `lua/lib/ends.lua`."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from operator import itemgetter
from typing import Any

from nephew.backends.records import Claimed, LogLines, Never, NewJob, Outcome, Row
from nephew.backends.texts import storable
from nephew.errors import Refused
from nephew.job import ENDED, State
from nephew.tuples import maker

#: The head of a record, in this order.
HEAD = (
    "task", "queue", "priority", "eta", "unique_key", "chord", "expires_at", "parent", "relation", "member", "tags",
    "redacted",
)  # fmt: skip
_head = itemgetter(*map(NewJob._fields.index, HEAD))
_id_and_payload = itemgetter(*map(NewJob._fields.index, ("id", "payload")))
#: What plain ends of the same claim have in common, and what is an end's own.
_in_common = itemgetter(*map(Outcome._fields.index, (
    "claim", "task", "worker", "state", "counted", "attempt", "error", "reason", "payload", "progress", "follow_ups",
    "never", "chord_mark", "chord_done", "fingerprint", "log",
)))  # fmt: skip
_NOTHING_ELSE = [State.SUCCEEDED, True, None, None, None, None, None, (), (), None, None, None, None]
_its_own = itemgetter(*map(Outcome._fields.index, ("id", "seq", "started_at", "finished_at", "result", "forget")))
_new_claimed = maker(Claimed)
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


def plain(job: NewJob) -> tuple[Any, ...] | None:
    """The values of a job as `lua/enqueue_one.lua` reads them; None when it is not plain."""
    head = _head(job)
    return (job.id, job.queue, -job.priority, body(head, job.payload)) if _is_plain(head) else None


def plain_runs(jobs: Sequence[NewJob]) -> list[Any] | None:
    """The values of jobs as `lua/enqueue_plain.lua` reads them; None when one of them is not plain."""
    values: list[Any] = []
    for head, run in groupby(jobs, _head):
        if not _is_plain(head):
            return None
        told = list(chain.from_iterable(map(_id_and_payload, run)))
        if {*map(type, told[1::2])} != {bytes}:
            for payload in told[1::2]:
                _bytes(payload)
        _, queue, priority, *_ = head
        values += (queue, -priority, _written(head), len(told) // 2)
        values += told
    return values


def _is_plain(head: tuple[Any, ...]) -> bool:
    """Whether a job with this head only waits in its queue."""
    _, _, _, eta, unique_key, _, expires_at, parent, _, member, *_ = head
    return eta is None and expires_at is None and not (unique_key or parent or member)


def _text(value: float | None) -> str | float:
    return "" if value is None else value


def _kin(parent: str | None, relation: str | None) -> str:
    """What a job is found by as a relative; a schedule has far too many."""
    return "" if parent is None or relation == "schedule" else parent


def claimed(id: bytes, record: bytes, claim: int, marks: bytes = b"", stop: bytes = b"") -> Claimed:
    """A claimed job; one whose record is none has its bytes as the payload, of no task, and will be parked."""
    try:
        place, rest = record.split(b" ", 1)
        _, head, payload = rest.split(b"\n", 2)
        task, queue, priority, chord, expires_at, tags = _standing(head)
        job = _new_claimed((int(place), id.decode(), task, queue, payload, priority, 0, 0, False, claim, chord,
                            expires_at, tags, None, False, (), NOTHING))  # fmt: skip
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


def plain_ends(worker: int, outcomes: Sequence[Outcome], now: float) -> list[Any] | None:
    """Ends in runs of the same claim, task and place, as `lua/settle_plain.lua` reads them.

    :returns: None unless all are plain: successes that bring nothing but a result, with ids that JSON has as they are.
    """
    ids = {outcome.id for outcome in outcomes}
    text = "".join(ids)
    if not ids or len(ids) < len(outcomes) or len(_dump(text)) != len(text) + 2:
        return None
    values: list[Any] = []
    for (claim, task, label, *rest), run in groupby(outcomes, _in_common):
        event, where = _succeeded(task, label)
        told = _plain_run(run, now, f'{where}"by":[{worker},{claim}]}}') if rest == _NOTHING_ELSE else None
        if told is None:
            return None
        values += (claim, event, len(told) // 3)
        values += told
    return values


@functools.lru_cache(maxsize=128)
def _succeeded(task: str, label: str | None) -> tuple[str, str]:
    """What events of successes say behind their ids, and ends of where the jobs ran."""
    where = "" if label is None else f'"worker":{_encoded(label).decode()},'
    return happened("", task, State.SUCCEEDED, label, None).removeprefix('[""'), where


def _plain_run(outcomes: Iterable[Outcome], now: float, by: str) -> list[Any] | None:
    """Of each end its id, its place and what `end` says; `by`: what all of them say. None: one is not plain."""
    values: list[Any] = []
    for id, seq, started_at, finished_at, result, forget in map(_its_own, outcomes):
        if started_at is None or forget != (f"r:{id}",):
            return None
        told = (
            f'{{"place":{seq},"state":"succeeded","counted":true,"started_at":{started_at!r},'
            f'"finished_at":{finished_at or now!r},{by}'
        ).encode()
        values += (id, seq, told if result is None else told + b"\n" + result)
    return values


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


def events(of: bytes) -> list[list[Any]]:
    """What an entry of the stream tells: of each event id, task, state, worker and error."""
    told = json.loads(b"[" + of + b"]")
    return [[job, *what] for ids, *what in told for job in (ids if isinstance(ids, list) else (ids,))]


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
