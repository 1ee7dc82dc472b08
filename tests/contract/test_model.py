"""Random steps of several workers, compared with a model in plain dictionaries after each of them."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from nephew.backends.records import Change, Claimed, Died, Never, NewJob, Outcome
from nephew.backends.schedules import Decision, NewTick
from nephew.job import ENDED, WAITING, State
from tests.contract.choices import STEPS, Choices, step
from tests.contract.ends import WAYS, end_of
from tests.contract.jobs import job, record
from tests.contract.model import LATER
from tests.contract.pair import Pair
from tests.contract.player import Player

#: How often a job of this task may take its worker down.
CAPS = {"demo": 2, "killer": 1}
QUEUES = ("default", "mail")
KEYS = (None, "one", "two")
#: Seconds: a step of time, and how far away moments are, which are never met exactly.
HOUR = 3600.0
DELAYS = (None, -HOUR / 2, HOUR / 2, 3 * HOUR / 2, 5 * HOUR / 2)
#: How many examples, of 60 steps each, on each backend, in CI and at full size.
EXAMPLES = {"memory": (40, 1000), "sqlite": (16, 700), "postgresql": (8, 250), "redis": (20, 500)}


class Steps(RuleBasedStateMachine):
    """What workers, callers and consumers do to one instance, on a backend and on the model."""

    def __init__(self, url: str, reached: Counter[str]) -> None:
        super().__init__()
        self.reached = reached
        self.pair = Pair(url)
        self.backend, self.model = self.pair.backend, self.pair.model
        self.hands: list[Player] = []
        self.gone: list[Player] = []
        self.fences: dict[str, int] = {}
        self.last_reap: tuple[Any, ...] = ()
        self.numbers = itertools.count(1)
        for _ in range(2):
            self.a_worker_signs_on(Choices(b"\0"))

    @rule(drawn=st.binary(min_size=16, max_size=16))
    def something_happens(self, drawn: bytes) -> None:
        choices = Choices(drawn)
        one = choices.one([one for one, when in STEPS if when(self)])
        note(f"  {one.__name__}")
        self.reached["steps"] += 1
        one(self, choices)

    # -- the way in ---------------------------------------------------------------------------------
    def new_job(self, choices: Choices, **changes: Any) -> NewJob:
        task, queue, urgent = choices.one(("demo", "killer", "demo")), choices.one(QUEUES), choices.one_in(3)
        fresh = job(f"{next(self.numbers)}", task=task, queue=queue, priority=float(urgent))
        return fresh._replace(**changes)

    def moment(self, choices: Choices) -> float | None:
        delay = choices.one(DELAYS)
        return None if delay is None else self.model.now + delay

    @step(3)
    def plain_jobs(self, choices: Choices) -> None:
        self.pair.both("enqueue", [self.new_job(choices) for _ in range(choices.number(3) + 1)])

    @step(4)
    def a_job_with_options(self, choices: Choices) -> None:
        eta, expires_at = self.moment(choices), self.moment(choices) if choices.one_in(3) else None
        new = self.new_job(choices, unique_key=choices.one(KEYS), eta=eta, expires_at=expires_at)
        (entry,) = self.pair.both("enqueue", [new])
        self.reach("an enqueue that is a duplicate", entry.duplicate)

    @step(1, lambda self: self.pair.rows())
    def a_job_whose_id_there_is(self, choices: Choices) -> None:
        row = choices.one(self.pair.rows(*ENDED) or self.pair.rows())
        if row.chord is None:
            self.pair.both(
                "enqueue", [self.new_job(choices, id=row.id, unique_key=choices.one(KEYS), member=row.member)]
            )
            self.reach("an ended job that is enqueued again", row.state in ENDED)

    @step(1)
    def a_chord(self, _: Choices) -> None:
        chord = f"chord-{next(self.numbers)}"
        self.pair.both("enqueue", [job(f"{chord}:{position}", member=chord) for position in range(2)])

    @step(1)
    def a_tick(self, choices: Choices) -> None:
        seen, its_job = max(0.0, self.model.seen - choices.number(2)), self.new_job(choices)
        given = Decision("nightly", seen, seen + 1.0, "allow", (NewTick(seen + 1.0, its_job, "enqueued"),))
        self.reach("a tick that was decided before", not self.pair.both("decide", [given])[0].taken)

    # -- claims -------------------------------------------------------------------------------------
    @step(8, lambda self: self.model.in_turn())
    def a_claim(self, choices: Choices) -> None:
        queues = choices.one(((), (), QUEUES[:1], QUEUES))
        self.claim(choices.one(self.hands), choices.number(4) + 1, queues)

    @step(2, lambda self: self.pair.rows())
    def a_claim_by_id(self, choices: Choices) -> None:
        aside = self.pair.rows(*LATER, State.PARKED)
        ids = [row.id for row in choices.some(aside if aside and choices.one_in(2) else self.pair.rows())]
        self.claim(choices.one(self.hands), len(ids), ids=ids)

    def claim(self, hand: Player, limit: int, queues: Sequence[str] = (), ids: Sequence[str] = ()) -> list[Claimed]:
        hand.last_claim = (hand.number, next(hand.claims), limit, queues, ids)
        return self.claim_again(hand)

    def claim_again(self, hand: Player) -> list[Claimed]:
        claimed: list[Claimed] = self.pair.both("claim", *hand.last_claim)
        hand.holds += [each for each in claimed if each not in hand.holds]
        self.reach("a claim of two or more", len(claimed) > 1)
        self.reach("the callback of a chord with its values", any(each.chord_values for each in claimed))
        self.reach("a claim of a revoked job", any(each.revokes for each in claimed))
        self.reach("a claim of a suspect", any(each.alone for each in claimed))
        return claimed

    @step(2, lambda self: self.everybody("last_claim"))
    def a_claim_whose_reply_was_lost(self, choices: Choices) -> None:
        hand = choices.one(self.everybody("last_claim"))
        self.reach("a claim that is repeated", bool(self.claim_again(hand)))
        self.reach("a claim of a worker that was reaped", hand in self.gone)

    @step(7, lambda self: self.everybody("holds"))
    def a_begin(self, choices: Choices) -> None:
        hand = choices.one(self.everybody("holds"))
        for claimed in choices.some(hand.holds):
            hand.running[claimed.seq, claimed.claim] = 50.0
            if not choices.one_in(3):
                self.pair.both("mark_running", hand.number, [(claimed.seq, claimed.claim, 50.0)])

    @step(1, lambda self: self.everybody("holds"))
    def a_begin_once(self, choices: Choices) -> None:
        hand = choices.one(self.everybody("holds"))
        claimed = choices.one(hand.holds)
        if self.pair.both("begin_once", hand.number, claimed.seq, claimed.claim, 60.0):
            hand.running[claimed.seq, claimed.claim] = 60.0

    # -- the ends of claims -------------------------------------------------------------------------
    @step(10, lambda self: self.everybody("holds"))
    def a_settle(self, choices: Choices) -> None:
        hand = choices.one(self.everybody("holds"))
        stale = hand.confuses() if choices.one_in(2) else []
        self.reach("a settle by an earlier claim of what is held again", bool(stale))
        chosen = sorted(choices.some(stale or hand.holds), key=lambda claimed: claimed.seq)
        members = [claimed for claimed in chosen if ":" in claimed.id][1:]
        chosen = [claimed for claimed in chosen if claimed not in members]
        outcomes = [end_of(self.model, claimed, choices.one(WAYS)) for claimed in chosen]
        if not any(outcome.chord_mark for outcome in outcomes):  # whose callback is first is not laid down
            outcomes[-1] = self.with_extras(outcomes[-1], choices)
        if choices.one_in(6):  # it ended while it was being given back, or the other way round
            outcomes.append(end_of(self.model, chosen[-1], choices.one(("back", "succeeded"))))
        self.settle(hand, outcomes)

    def end_each(self, hand: Player, claims: Sequence[Claimed], way: str) -> None:
        for claimed in list(claims):
            self.settle(hand, [end_of(self.model, claimed, way)])

    def settle(self, hand: Player, outcomes: list[Outcome]) -> None:
        hand.last_settle = (hand.number, next(hand.settles), outcomes)
        capped = {row.id for row in self.model.rows.values() if row.crashes >= CAPS[row.task]}
        settled = self.pair.both("settle", *hand.last_settle)
        for outcome in outcomes:
            key = (outcome.seq, outcome.claim)
            if key in settled.stopped:
                self.reach("an end that somebody had asked to be another")
                continue
            lost = key in settled.lost
            self.reach("a late settle of a worker that was reaped", lost and hand in self.gone)
            self.reach(f"settled as {outcome.state}", not lost)
            self.reach("a job at its cap that is failed", outcome.id in capped and outcome.state is State.FAILED)
            hand.let_go(*key)
        self.reach("the last member of a chord", any("callback" in id for id in settled.enqueued))

    @step(3, lambda self: self.everybody("last_settle"))
    def a_settle_whose_reply_was_lost(self, choices: Choices) -> None:
        hand = choices.one(self.everybody("last_settle"))
        self.pair.both("settle", *hand.last_settle)
        self.reach("a settle that is repeated", hand in self.hands)
        self.reach("a settle that is repeated by a worker that was reaped", hand in self.gone)

    @step(1, lambda self: self.everybody("last_settle"))
    def a_settle_that_was_overtaken_by_the_next_one(self, choices: Choices) -> None:
        number, last, outcomes = choices.one(self.everybody("last_settle")).last_settle
        self.pair.both("settle", number, last - 1, outcomes)

    def with_extras(self, outcome: Outcome, choices: Choices) -> Outcome:
        """What follows from an end."""
        ends, runs_again = outcome.state in ENDED, outcome.payload is not None
        if (ends or runs_again) and choices.one_in(3):
            outcome = outcome._replace(follow_ups=(self.new_job(choices, unique_key=choices.one(KEYS)),))
        if ends and choices.one_in(4):
            later = Never(f"{next(self.numbers)}", "demo", "default", b"step", b"why", "behind a failure")
            outcome = outcome._replace(never=(later,))
        return outcome

    # -- workers come and go ------------------------------------------------------------------------
    @step(4, lambda self: len(self.hands) < 3)
    def a_worker_signs_on(self, _: Choices) -> None:
        hand = Player(self.backend.register(record()))
        assert hand.number not in self.model.workers
        self.model.register(hand.number)
        self.hands.append(hand)

    @step(1, lambda self: len(self.hands) > 1)
    def a_worker_retires(self, choices: Choices) -> None:
        hand = choices.one(self.hands)
        self.hands.remove(hand)
        self.gone.append(hand)
        self.pair.both("retire", hand.number)
        hand.holds, hand.last_claim = [], ()  # it knows that it has given up

    @step(5, lambda self: len(self.hands) > 1)
    def a_worker_dies(self, choices: Choices) -> None:
        hand = choices.one([hand for hand in self.hands if hand.running] or self.hands)
        self.hands.remove(hand)
        self.gone.append(hand)
        died = Died(hand.number, dict(hand.running), "killed by a test")
        how = choices.number(8)
        if how == 5:
            died = died._replace(charged=False)
        elif how == 6:
            died = died._replace(running=None)
        elif how == 7:  # one of them is to blame, and nobody knows which
            died = died._replace(running={}, suspects=frozenset(hand.running))
        heir = choices.one(self.hands)
        self.last_reap = (died, heir.number, next(heir.claims), CAPS.__getitem__)
        self.reach("a death that nobody is charged for", not died.charged)
        self.reach("a death without evidence", died.running is None)
        self.reach("a death with suspects", bool(died.suspects))
        self.inherit(heir, self.pair.both("reap", *self.last_reap))

    def inherit(self, heir: Player, doomed: list[Claimed]) -> None:
        heir.holds += [each for each in doomed if each not in heir.holds]
        self.reach("a job at its cap", any(not each.once for each in doomed))
        self.reach("a job that may begin only once and whose worker died", any(each.once for each in doomed))

    @step(1, lambda self: self.last_reap and self.last_reap[1] in self.model.workers)
    def a_reap_whose_reply_was_lost(self, _: Choices) -> None:
        self.reach("a reap that is repeated", bool(self.pair.both("reap", *self.last_reap)))

    @step(2, lambda self: self.model.has_lost())
    def the_lost_are_taken_over(self, choices: Choices) -> None:
        heir = choices.one(self.hands)
        lost = self.pair.both("take_over", heir.number, next(heir.claims))
        self.inherit(heir, lost)
        self.reach("a lost job that is taken over", bool(lost))

    # -- steering -----------------------------------------------------------------------------------
    @step(2, lambda self: self.pair.held())
    def a_held_job_is_told_to_stop(self, choices: Choices) -> None:
        self.pair.both("ask_to_stop", choices.one(self.pair.held()).id, choices.one(("enough", "no more")))

    @step(2, lambda self: self.pair.rows(*ENDED))
    def an_ended_job_is_put_back(self, choices: Choices) -> None:
        ended = self.pair.rows(*ENDED)
        telling = [row for row in ended if row.crashes or row.member]
        row = choices.one(telling if telling and choices.one_in(2) else ended)
        self.reach("an ended job that is put back", self.pair.both("requeue", row.id))
        self.reach("a member of a chord that is put back", row.member is not None)

    @step(2, lambda self: self.pair.rows(State.PARKED))
    def a_parked_job_is_put_back(self, choices: Choices) -> None:
        self.reach(
            "a parked job that is put back",
            bool(self.pair.both("unpark", [choices.one(self.pair.rows(State.PARKED)).id])),
        )

    @step(1, lambda self: any(row.member is None for row in self.pair.rows()))
    def something_of_a_job_goes(self, choices: Choices) -> None:
        id = choices.one([row for row in self.pair.rows() if row.member is None]).id
        verb, *args = choices.one((("take_result", id), ("delete_jobs", [id], True), ("delete_jobs", [id])))
        self.reach(f"{verb} that did something", bool(self.pair.both(verb, *args)))

    @step(1, lambda self: self.pair.rows())
    def a_job_or_a_task_is_revoked_or_restored(self, choices: Choices) -> None:
        key = choices.one((f"r:{choices.one(self.pair.rows()).id}", "rt:killer"))
        if choices.one_in(3):
            self.pair.both("pop", key)
        else:
            self.pair.both("put", key, b"revoked")

    @step(2, lambda self: self.pair.rows(*WAITING))
    def a_job_is_changed(self, choices: Choices) -> None:
        eta, expires_at = self.moment(choices), self.moment(choices) or float("inf")
        priority, queue = 1.0 - choices.number(3), choices.one(QUEUES)
        change = choices.one((Change(priority), Change(queue=queue), Change(eta=eta), Change(expires_at=expires_at)))
        if change != Change():
            self.reach("a change", self.pair.both("change", choices.one(self.pair.rows(*WAITING)).id, change))

    @step(1, lambda self: self.pair.rows(*WAITING, State.PARKED))
    def a_waiting_job_is_cancelled(self, choices: Choices) -> None:
        hand, row = choices.one(self.hands), choices.one(self.pair.rows(*WAITING, State.PARKED))
        self.end_each(hand, self.claim(hand, 1, ids=[row.id]), "cancelled")

    # -- time ---------------------------------------------------------------------------------------
    @step(3)
    def time_passes(self, choices: Choices) -> None:
        hours = choices.number(2) + 1
        self.pair.pass_time(hours * HOUR)

    @step(1)
    def the_due_are_moved(self, _: Choices) -> None:
        self.reach("a job that came due", bool(self.pair.both("promote")))

    @step(2, lambda self: self.model.expired())
    def the_expired_are_ended(self, choices: Choices) -> None:
        hand, ids = choices.one(self.hands), self.model.expired()
        self.end_each(hand, self.claim(hand, len(ids), ids=ids), "expired")

    # -- locks --------------------------------------------------------------------------------------
    @step(2)
    def a_lock_is_wanted(self, choices: Choices) -> None:
        lock, owner = choices.one("ab"), choices.one("xy")
        ttl = choices.one((HOUR / 2, 0.0))
        fence = self.backend.acquire_lock(lock, owner, "label", ttl)
        assert (fence is not None) == self.model.acquire_lock(lock, owner, ttl)
        assert fence is None or fence > self.fences.get(lock, 0)
        self.fences[lock] = fence or self.fences[lock]
        self.reach("a lock that is another's", fence is None)

    @step(3, lambda self: self.model.held_locks)
    def a_lock_is_renewed_or_released(self, choices: Choices) -> None:
        lock = choices.one(sorted(self.model.held_locks))
        owner = choices.one((self.model.held_locks[lock][0], self.model.held_locks[lock][0], "x"))
        if choices.one_in(2):
            self.reach("a lock that is renewed", self.pair.both("renew_lock", lock, owner, HOUR / 2))
        else:
            broken = None if choices.one_in(4) else owner
            self.reach("a lock that is released", self.pair.both("release_lock", lock, broken))

    @invariant()
    def all_is_as_the_model_says(self) -> None:
        self.pair.compare()

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None:  # not when a step has failed
                self.drain()
        finally:
            self.backend.close()

    def drain(self) -> None:
        """Let all that is left come to its end, and delete it."""
        first = Choices(b"\0")
        while len(self.hands) > 1:
            self.a_worker_retires(first)
        hand = self.hands[0]
        self.end_each(hand, hand.holds, "cancelled")
        self.the_lost_are_taken_over(first)
        self.end_each(hand, hand.holds, "lost")
        self.pair.both("unpark", list(self.model.rows) or ["none"])
        for _ in range(3):
            self.time_passes(first)
        self.the_due_are_moved(first)
        self.pair.compare()
        while self.claim(hand, 1000):
            self.end_each(hand, hand.holds, "cancelled")
            self.pair.compare()
        assert {row.state for row in self.model.rows.values()} <= ENDED
        assert self.backend.release_orphans() == 0
        for id, attempts in self.model.attempts.items():
            assert [(attempt.number, attempt.outcome) for attempt in self.backend.attempts(id)] == attempts
            assert self.backend.outcome(id) == self.model.outcome(id)
        self.reach("a job with a crash", any("crashed" in str(attempts) for attempts in self.model.attempts.values()))
        self.pair.both("delete_jobs", list(self.model.rows))
        self.pair.both("retire", hand.number)
        self.pair.compare()

    # -- who and what -------------------------------------------------------------------------------
    def everybody(self, with_: str) -> list[Player]:
        """The workers that have such a thing, those that are gone and do not know it included, less often."""
        alive, gone = ([hand for hand in hands if getattr(hand, with_)] for hands in (self.hands, self.gone))
        return alive * 2 + gone[-2:]

    def reach(self, what: str, is_true: bool = True) -> None:
        self.reached[what] += bool(is_true)


@pytest.mark.timeout(900)
def test_every_sequence_of_steps_leaves_what_plain_dictionaries_say(url: str, long: bool):
    reached: Counter[str] = Counter()
    examples = EXAMPLES[url.split(":")[0]][long]
    run_state_machine_as_test(
        lambda: Steps(url, reached),
        settings=settings(max_examples=examples, stateful_step_count=60, suppress_health_check=[HealthCheck.too_slow]),
    )

    if long:
        print(*(f"{count:8,} {what}" for what, count in sorted(reached.items())), sep="\n")
        assert not [what for what, count in reached.items() if not count]
