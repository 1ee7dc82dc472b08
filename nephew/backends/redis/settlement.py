"""The end of a claim: everything that an outcome brings becomes true in one script, or nothing does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from nephew.backends.records import ChordMark, Holder, Outcome, Settled
from nephew.backends.redis import packing
from nephew.backends.redis.queue import Queue
from nephew.backends.redis.steps import Value
from nephew.job import State


class Settlement(Queue):
    """Outcomes, applied."""

    def settle(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Settled:
        """Apply outcomes; see the contract."""
        return self.settle_ahead(worker, number, outcomes)()

    def settle_ahead(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Callable[[], Settled]:
        """Send outcomes and do not wait; see the contract."""
        values = packing.plain_ends(worker, outcomes, self.now())
        if values is None:
            return self._settle_ahead(worker, number, outcomes)
        answer = self.run_ahead("settle_plain", worker, number, *self._limits(), *values)
        return lambda: _ALL_WELL if answer() else self._settle_ahead(worker, number, outcomes)()

    def _settle_ahead(self, worker: int, number: int, outcomes: Sequence[Outcome]) -> Callable[[], Settled]:
        now = self.now()
        claims = [value for outcome in outcomes for value in _claim(worker, outcome, now)]
        more = [
            value
            for index, outcome in enumerate(outcomes)
            for what, values in _also(outcome, now)
            for value in (index, what, len(values), *values)
        ]
        answer = self.run_ahead("settle", worker, number, *self._limits(), len(outcomes), *claims, *more)
        return lambda: _settled(answer(), outcomes)

    def _limits(self) -> tuple[Value, ...]:
        """How much is kept, and for how long."""
        return self.keep_events, self.most, self.ttl, self.ttl_others


def _settled(reply: Sequence[Any], outcomes: Sequence[Outcome]) -> Settled:
    known, lost, enqueued, stopped = reply
    if known and not lost and not enqueued and not stopped:
        return _ALL_WELL
    keys = [(outcome.seq, outcome.claim) for outcome in outcomes]
    return Settled(
        {
            keys[index]: Holder(int(worker), int(claim)) if worker else None
            for index, worker, claim in zip(lost[::3], lost[1::3], lost[2::3], strict=True)
        },
        tuple(job_id.decode() for job_id in enqueued),
        known=bool(known),
        stopped={keys[index]: why.decode() for index, why in zip(stopped[::2], stopped[1::2], strict=True)},
    )


_ALL_WELL = Settled({}, ())


def _claim(worker: int, outcome: Outcome, now: float) -> tuple[Any, ...]:
    """What every claim brings; see `lua/settle.lua`."""
    if packing.has_ended(outcome):
        how, body = "own" if _is_own_end(outcome) else "end", packing.end(worker, outcome, now)
    elif outcome.payload is not None:
        how, body = "again", packing.again(outcome).encode()
    else:
        how, body = "park" if outcome.state is State.PARKED else "back", packing.again(outcome).encode()
    told = how != "back" or outcome.counted
    event = packing.happened(outcome.id, outcome.task, outcome.state, outcome.worker, outcome.error) if told else ""
    return outcome.seq, outcome.id, outcome.claim, how, outcome.state, body, event


def _is_own_end(outcome: Outcome) -> bool:
    """Whether the function itself came to this end, which does not count once the job was told to stop."""
    if outcome.state is State.FAILED:
        return outcome.attempt not in (None, "lost")
    return outcome.state is State.SUCCEEDED


def _also(outcome: Outcome, now: float) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What few claims bring: names of `lua/settle.lua`, and their values."""
    if outcome.payload is not None:
        yield "payload", (outcome.payload,)
        if outcome.result is not None:
            yield "interim", (outcome.result,)
    elif outcome.started_at is None and packing.has_ended(outcome):
        yield "since", ()
    own = f"r:{outcome.id}"  # nearly every end forgets it: what is told is that one does not
    if own not in outcome.forget:
        yield "remember", ()
    for key in outcome.forget:
        if key != own:
            yield "forget", (key,)
    for step in outcome.never:
        yield "never", packing.never(step, now)
    if outcome.chord_done is not None:
        yield "done", (outcome.chord_done,)
    if outcome.attempt is not None:
        yield "attempt", packing.attempt(outcome)
    if outcome.log is not None:
        yield "log", packing.log(outcome.log)
    for job in outcome.follow_ups:
        yield "follow", packing.new_job(job)
    if outcome.chord_mark is not None:
        yield "chord", _chord(outcome.chord_mark, now)


def _chord(mark: ChordMark, now: float) -> tuple[Any, ...]:
    counted = (mark.cid, mark.position, mark.size, mark.value)
    if mark.callback is not None:
        return (*counted, "job", *packing.new_job(mark.callback))
    if mark.never is not None:
        return (*counted, "never", *packing.never(mark.never, now))
    return (*counted, "")
