"""The ways in which a claim may end, by name."""

from __future__ import annotations

from nephew.backends.records import ChordMark, Claimed, Outcome
from nephew.job import ENDED, State
from tests.contract.jobs import again, failed, job, parked, succeeded
from tests.contract.model import LATER, Model

#: How claims end.
WAYS = (
    "succeeded", "succeeded", "failed", "again", "later", "crashed", "lost", "cancelled", "expired", "parked", "back",
    "back", "back",
)  # fmt: skip
#: How much later (seconds) an attempt follows.
PAUSE = 1800.0


def end_of(model: Model, claimed: Claimed, way: str) -> Outcome:
    """How a claim ends in this way, with what it means for its chord: as a member, or called with its values."""
    outcome, row = _plain_end(model, claimed, way), model.rows.get(claimed.id)
    if row is not None and row.member is not None and outcome.state in ENDED:
        cid, position = row.id.split(":")
        callback = job(f"{cid}:callback", chord=cid)
        return outcome._replace(chord_mark=ChordMark(cid, int(position), 2, b"value", callback))
    if outcome.state is State.SUCCEEDED or outcome.payload is not None:
        return outcome._replace(chord_done=claimed.chord)
    return outcome


def _plain_end(model: Model, claimed: Claimed, way: str) -> Outcome:
    row = model.rows.get(claimed.id)
    state = State.QUEUED if row is None or row.state not in LATER else State(row.state)
    plain = Outcome(claimed.seq, claimed.id, claimed.claim, state, finished_at=7.0, reason=way)
    forget = (f"r:{claimed.id}",)
    match way:
        case "succeeded":
            return succeeded(claimed, forget=forget)
        case "failed":
            return failed(claimed, forget=forget)
        case "again":
            return again(claimed)
        case "later":
            eta = model.now + PAUSE
            return again(claimed, state=State.RETRYING, eta=eta, result=b"an error")
        case "crashed":
            return plain._replace(state=State.FAILED)
        case "lost":
            return failed(claimed, attempt="lost")
        case "parked":
            return parked(claimed, "unknown")
        case "back":
            return plain if row is None or row.state != State.PARKED else parked(claimed, "unknown")
        case _:
            return plain._replace(state=State(way), forget=forget)
