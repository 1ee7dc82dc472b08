"""Jobs that must rather be lost than begun twice."""

from __future__ import annotations

import pytest
from huey.api import chord
from huey.exceptions import RetryTask, TaskException

from nephew import ConfigError, Nephew, current_job
from nephew.backends.records import Died
from nephew.recovery import Reaper
from tests.contract.conftest import Work
from tests.contract.jobs import Hand, fails


def begun(huey: Nephew, hand: Hand, job_id: str) -> None:
    """The job has been begun by a worker."""
    (claimed,) = hand.claim(ids=[job_id])
    assert huey.backend.begin_once(hand.number, claimed.seq, claimed.claim, huey.backend.now())


def test_it_is_written_down_before_the_function_is_called(huey: Nephew, work: Work):
    seen: list[str] = []

    @huey.task(at_most_once=True)
    def dial() -> str:
        seen.append(huey.job(current_job().id).state)
        return "dialled"

    result = dial()
    work(huey)

    assert seen == ["running"]
    assert (result.state, result.get()) == ("succeeded", "dialled")
    assert [attempt.outcome for attempt in huey.job(result.id).attempts] == ["succeeded"]


def test_a_claim_that_was_lost_begins_nothing(huey: Nephew):
    hand, other = Hand(huey.backend), Hand(huey.backend)
    result = huey.task(at_most_once=True)(lambda: None)()
    (claimed,) = hand.claim(ids=[result.id])
    hand.dies()

    assert not huey.backend.begin_once(hand.number, claimed.seq, claimed.claim, 1.0)
    assert [taken.id for taken in other.claim()] == [result.id]


def test_it_is_never_given_back_once_it_was_begun(huey: Nephew, work: Work):
    hand = Hand(huey.backend)
    dial = huey.task(name="dial", at_most_once=True)(lambda: None)
    handled: list[str] = []
    handler = huey.task(name="handler")(lambda error: handled.append(str(error)))
    then = huey.task(name="then")(lambda value: None)
    total = huey.task(name="total")(len)
    member = dial.s().error(handler)
    called = huey.enqueue(chord([member, dial.s()], total.s()))
    first, following = huey.enqueue(dial.s().then(then))
    for job_id in (member.id, first.id):
        begun(huey, hand, job_id)

    huey.backend.retire(hand.number)
    work(huey)
    held = [huey.job(job_id).state for job_id in (member.id, first.id)]
    Reaper(huey).reap()
    work(huey)

    assert held == ["running", "running"]
    for job_id in (member.id, first.id):
        job = huey.job(job_id)
        assert job.state == "failed"
        assert [attempt.outcome for attempt in job.attempts] == ["lost"]
        assert job.attempts[0].started_at is not None
        assert "it may be begun only once: whether it was done is not known" in str(job.reason)
    assert following.state == "cancelled"
    assert called.callback.get() == 2
    assert len(handled) == 1
    with pytest.raises(TaskException, match="it was begun, its worker ended"):
        first.get(blocking=True, timeout=5)


@pytest.mark.parametrize("charged", [True, False])
def test_a_worker_that_dies_beside_it_gives_it_to_whoever_ends_it(huey: Nephew, charged: bool):
    hand, heir = Hand(huey.backend), Hand(huey.backend)
    task = huey.task(at_most_once=True)(lambda: None)
    lost, waiting = task(), task()
    begun(huey, hand, lost.id)
    hand.claim(ids=[waiting.id])

    evidence = {} if not charged else None
    doomed = hand.is_reaped(Died(hand.number, evidence, "gone", charged), heir)

    assert [(claimed.id, claimed.once) for claimed in doomed] == [(lost.id, True)]
    assert waiting.state == "queued"
    assert huey.job(lost.id).crashes == 0


def test_a_call_that_asks_for_retries_gets_none(huey: Nephew, work: Work):
    task = huey.task(at_most_once=True)(fails)

    result = task.schedule(delay=-1, retries=3)
    work(huey)

    assert result.state == "failed"
    assert len(huey.job(result.id).attempts) == 1


def test_a_function_may_itself_ask_to_be_run_again(huey: Nephew, work: Work):
    @huey.task(at_most_once=True)
    def twice() -> int:
        if current_job().attempt == 1:
            raise RetryTask
        return current_job().attempt

    result = twice()
    work(huey)

    assert result.get() == 2


def test_it_runs_again_when_somebody_says_so(huey: Nephew, work: Work):
    hand = Hand(huey.backend)
    result = huey.task(at_most_once=True)(lambda: "done")()
    begun(huey, hand, result.id)
    huey.backend.retire(hand.number)
    Reaper(huey).reap()

    again = huey.retry(result.id)
    work(huey)

    assert again
    assert (result.state, result.get()) == ("succeeded", "done")
    assert [attempt.outcome for attempt in huey.job(result.id).attempts] == ["lost", "succeeded"]


def test_it_can_be_run_by_hand(huey: Nephew):
    result = huey.task(at_most_once=True)(lambda: "done")()

    assert huey.execute(huey.dequeue()) == "done"
    assert result.state == "succeeded"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"at_most_once": 1}, "expected at_most_once to be True or False, got 1"),
        ({"at_most_once": True, "retries": 2}, "expected no retries beside at_most_once, got 2"),
    ],
)
def test_it_is_refused_where_it_makes_no_sense(huey: Nephew, options: dict[str, object], words: str):
    with pytest.raises(ConfigError, match=words):
        huey.task(**options)(lambda: None)  # type: ignore[arg-type]
