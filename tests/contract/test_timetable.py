"""`huey.schedules`: looking at schedules and steering them at run time, from any process."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Callable
from typing import Any

import pytest
from huey import signals

from nephew import Nephew, cron, every
from nephew.codec import Codec
from nephew.consumer import Consumer
from nephew.errors import ConfigError, EncodeError, NephewError
from nephew.job import Relation, State
from nephew.plans import Plan
from nephew.redaction import HIDDEN
from tests.contract.conftest import Work
from tests.contract.timekeeping import DAY, HOUR, MINUTE, NOON, Clock, at, reasons, rows, ticker, write

HOURLY, QUARTERS = cron("0 * * * *"), every(minutes=15)
MODULE = __name__


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hourly(huey: Nephew) -> list[str]:
    """A schedule of the code's; what its jobs leave."""
    ran: list[str] = []
    huey.periodic_task(HOURLY, name="hourly", overlap="allow")(lambda: ran.append("ran"))
    return ran


@pytest.fixture
def report(huey: Nephew) -> Any:
    """A task that has no schedule."""
    return huey.task(name="report")(lambda number, loud=False: (number, loud))


# -- looking ------------------------------------------------------------------------------------------
@pytest.mark.usefixtures("hourly")
def test_the_codes_schedules_are_there_before_any_consumer_was(huey: Nephew):
    plan = huey.schedules.get("hourly")

    assert [*huey.schedules] == huey.schedules.list() == [plan]
    assert (plan.name, plan.task, plan.schedule) == (f"{MODULE}.hourly", f"{MODULE}.hourly", HOURLY)
    assert (plan.policy.overlap, plan.trouble, plan.row) == ("allow", None, None)
    assert not (plan.added or plan.changed or plan.paused_at)
    assert (huey.schedules.next("hourly", 2), huey.schedules.ticks("hourly")) == (coming(huey, 2), [])


def coming(huey: Nephew, count: int) -> list[dt.datetime]:
    """The next full hours."""
    hour = at(huey.backend.now()).replace(minute=0, second=0, microsecond=0)
    return [hour + dt.timedelta(hours=number + 1) for number in range(count)]


@pytest.mark.usefixtures("hourly")
def test_the_ledger_tells_the_latest_first_and_how_the_jobs_ended(huey: Nephew, clock: Clock, work: Work):
    keeper = ticker(huey, clock)
    for hour in range(3):
        clock.now = NOON + hour * HOUR
        write(keeper)
        if hour < 2:
            work(huey)
    keeper.close()

    ticks = huey.schedules.ticks("hourly", 2)
    earlier = huey.schedules.ticks("hourly")[2]

    assert [(tick.due, tick.fate, tick.state) for tick in ticks] == [
        (at(NOON + 2 * HOUR), "enqueued", State.QUEUED),
        (at(NOON + HOUR), "enqueued", State.SUCCEEDED),
    ]
    job = huey.job(str(earlier.job))
    assert job is not None and (job.relation, job.parents) == (Relation.SCHEDULE, (f"{MODULE}.hourly",))
    assert earlier.ended_at == job.finished_at
    assert huey.schedules.get("hourly").succeeded_at == huey.job(str(ticks[1].job)).finished_at  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hourli", "expected the name of a schedule, got 'hourli', which there is none of; did you mean 'hourly'?"),
        ("twice", "expected one schedule called 'twice', got a.twice, b.twice"),
    ],
)
def test_a_name_that_means_no_schedule_says_which_there_are(huey: Nephew, report: Any, name: str, message: str):
    for each in ("hourly", "a.twice", "b.twice"):
        huey.schedules.add(each, report, HOURLY, (1,))

    with pytest.raises(ConfigError) as caught:
        huey.schedules.get(name)

    assert message in str(caught.value)


def test_arguments_that_are_hidden_are_not_shown(huey: Nephew):
    login = huey.task(name="login", redact="secret")(lambda user, secret: None)

    plan = huey.schedules.add("nightly", login, HOURLY, ("me", "hunter2"))

    assert huey.schedules.shown(plan) == (("me", HIDDEN), {})
    assert "hunter2" not in repr(plan)


# -- pause, resume, run -------------------------------------------------------------------------------
@pytest.mark.usefixtures("hourly")
def test_a_paused_schedules_ticks_are_skipped_until_it_is_resumed(huey: Nephew, clock: Clock):
    keeper = ticker(huey, clock)

    paused = [huey.schedules.pause("hourly"), huey.schedules.pause("hourly")]
    clock.now = NOON
    write(keeper)
    since = huey.schedules.get("hourly").paused_at
    resumed = [huey.schedules.resume("hourly"), huey.schedules.resume("hourly")]
    clock.now = NOON + HOUR
    write(keeper)

    assert (paused, resumed) == ([True, False], [True, False])
    assert since is not None and huey.schedules.get("hourly").paused_at is None
    assert (rows(huey), reasons(huey)) == ([(0, "skipped"), (HOUR, "enqueued")], ["paused", ""])


@pytest.mark.usefixtures("hourly")
def test_a_schedule_may_be_paused_before_any_consumer_was(huey: Nephew, clock: Clock):
    huey.schedules.pause("hourly")
    clock.now = huey.backend.now()
    keeper = ticker(huey, clock)

    clock.now += HOUR
    write(keeper)

    assert reasons(huey) == ["paused"]


def test_a_schedule_runs_by_hand_also_while_it_is_paused_and_busy(huey: Nephew, hourly: list[str], work: Work):
    told: list[str] = []
    huey.signal(signals.SIGNAL_ENQUEUED)(lambda signal, task: told.append(task.id))
    huey.schedules.pause("hourly")

    results = [huey.schedules.run("hourly"), huey.schedules.run("hourly")]
    work(huey)

    assert (len(hourly), told) == (2, [result.id for result in results])
    assert [(tick.fate, tick.reason) for tick in huey.schedules.ticks("hourly")] == [("enqueued", "by hand")] * 2


def test_in_immediate_mode_it_runs_at_once(name: str):
    huey = Nephew(name, "memory://", immediate=True)
    report = huey.task(name="report")(lambda number: number + 1)
    huey.schedules.add("report-7", report, HOURLY, (7,))

    assert huey.schedules.run("report-7").get() == 8
    huey.sign_off()


def test_a_run_by_hand_that_an_unfinished_job_stands_for_says_so(huey: Nephew):
    huey.periodic_task(HOURLY, name="hourly", unique=True)(lambda: None)
    huey.schedules.run("hourly")

    with pytest.raises(NephewError, match="was not run: an unfinished job has the unique key"):
        huey.schedules.run("hourly")


# -- added at run time --------------------------------------------------------------------------------
def test_a_schedule_that_is_added_is_gone_by_at_once_and_after_a_restart(
    huey: Nephew, report: Any, clock: Clock, work: Work
):
    clock.now = huey.backend.now()
    keeper = ticker(huey, clock)

    plan = huey.schedules.add("report-7", report, every(minutes=15, jitter=60), (7,), {"loud": True}, catch_up="all")
    clock.now += 16 * MINUTE
    write(keeper)
    work(huey)
    clock.now += 15 * MINUTE
    ticker(huey, clock)

    assert (plan.added, plan.policy.catch_up, plan.args, plan.kwargs) == (True, "all", (7,), {"loud": True})
    assert [tick.fate for tick in huey.schedules.ticks("report-7")] == ["enqueued"] * 2
    jobs = huey.jobs(task="report")
    assert {(job.args, tuple(job.kwargs or {}), job.relation) for job in jobs} == {((7,), ("loud",), Relation.SCHEDULE)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"name": "report-6"},
            f"expected a name that no other has, got that of one of the task {MODULE}.report, cron(",
        ),
        ({"name": " x"}, "expected a schedule's name to be a text of 1 to 200 characters, got ' x'"),
        ({"task": "nobody"}, "expected a task that is registered here, got 'nobody' (known:"),
        ({"schedule": lambda moment: True}, "expected cron(...) or every(...), which can be stored"),
        ({"args": (1, 2, 3)}, "schedule 'report-7': expected report(number, loud=False), got 3 by place"),
        ({"catch_up": "most"}, "schedule 'report-7': expected catch_up to be 'none', 'last', 'all', got 'most'"),
    ],
    ids=lambda value: "" if isinstance(value, str) else next(iter(value)),
)
def test_what_cannot_be_added_is_refused(huey: Nephew, report: Any, given: dict[str, Any], message: str):
    huey.schedules.add("report-6", report, HOURLY, (6,))
    call = {"name": "report-7", "task": report, "schedule": HOURLY, "args": (7,)} | given

    with pytest.raises(ConfigError) as caught:
        huey.schedules.add(**call)

    assert message in str(caught.value)
    assert [plan.name for plan in huey.schedules] == ["report-6"]


def test_an_argument_that_cannot_be_stored_is_refused(huey: Nephew, report: Any):
    with pytest.raises(EncodeError):
        huey.schedules.add("report-7", report, HOURLY, (object(),))


@pytest.mark.usefixtures("hourly")
def test_one_that_was_added_can_be_removed_and_the_codes_cannot(huey: Nephew, report: Any, clock: Clock):
    clock.now = huey.backend.now()
    keeper = ticker(huey, clock)
    huey.schedules.add("report-7", report, QUARTERS, (7,))

    huey.schedules.remove("report-7")
    clock.now += HOUR
    write(keeper)

    assert [plan.name for plan in huey.schedules] == [f"{MODULE}.hourly"]
    assert huey.jobs(task="report") == []
    with pytest.raises(ConfigError, match="expected one that the code does not have"):
        huey.schedules.remove("hourly")


# -- changed at run time ------------------------------------------------------------------------------
@pytest.mark.usefixtures("hourly")
def test_a_changed_schedule_counts_from_now_on_until_it_is_restored(huey: Nephew, clock: Clock):
    clock.now = start = huey.backend.now()
    keeper = ticker(huey, clock)
    daily = every(days=1, anchor=at(start + 5.0))

    changed = huey.schedules.change("hourly", daily, catch_up="none")
    clock.now = start + 2 * HOUR
    write(keeper)
    by_the_change = len(huey.schedules.ticks("hourly"))
    restored = huey.schedules.restore("hourly")
    clock.now = start + 4 * HOUR
    write(keeper, ticker(huey, clock))

    assert (changed.schedule, changed.policy.catch_up, changed.policy.overlap, changed.changed) == (
        daily, "none", "allow", True,
    )  # fmt: skip
    assert by_the_change == 1, "due after five seconds, and missed"
    assert (restored.schedule, restored.policy.catch_up, restored.changed) == (HOURLY, "last", False)
    assert len(huey.schedules.ticks("hourly")) in (5, 6)


def test_what_is_decided_while_a_schedule_changes_is_decided_by_the_new_one(huey: Nephew, clock: Clock):
    clock.now = start = huey.backend.now()
    changes = [lambda: huey.schedules.change("report-7", every(seconds=60, anchor=at(start + 30)))]
    report = huey.task(name="report", unique=lambda: changes and changes.pop()())(lambda: None)
    huey.schedules.add("report-7", report, every(seconds=60, anchor=at(start)), overlap="allow")
    keeper = ticker(huey, clock)

    clock.now = start + 100
    write(keeper)  # the change comes when the job of a tick is made

    assert {tick.due for tick in huey.schedules.ticks("report-7")} == {at(start + 30), at(start + 90)}


@pytest.mark.usefixtures("hourly")
def test_a_change_of_policy_leaves_the_due_times_alone(huey: Nephew, clock: Clock):
    ticker(huey, clock)
    clock.now = NOON + 3 * HOUR

    huey.schedules.change("hourly", catch_up="all")
    ticker(huey, clock)

    assert rows(huey) == [(hour * HOUR, "enqueued") for hour in range(4)]


@pytest.mark.usefixtures("hourly")
def test_due_times_that_nobody_had_decided_before_a_change_are_missed(huey: Nephew, clock: Clock):
    ticker(huey, clock)

    huey.schedules.change("hourly", QUARTERS)

    missed = huey.schedules.ticks("hourly", 1000)
    assert {(tick.fate, tick.reason) for tick in missed} == {
        ("missed", "the schedule was changed before anybody looked"),
    }
    assert (missed[-1].due, missed[0].due) == (at(NOON), coming(huey, 1)[0] - dt.timedelta(hours=1))


@pytest.mark.usefixtures("hourly")
def test_after_a_clock_was_far_ahead_a_schedule_counts_from_now_on_when_it_is_restored(huey: Nephew, clock: Clock):
    now = huey.backend.now()
    clock.now = now + 365 * DAY
    ticker(huey, clock)
    clock.now += HOUR
    keeper = ticker(huey, clock)
    clock.now = now

    write(keeper)
    huey.schedules.restore("hourly")
    clock.now = huey.backend.now() + HOUR
    write(keeper)

    assert len([tick for tick in huey.schedules.ticks("hourly") if tick.due < at(now + DAY)]) == 1


@pytest.mark.usefixtures("hourly")
def test_what_is_changed_together_has_to_go_together(huey: Nephew):
    huey.schedules.change("hourly", within=60)

    with pytest.raises(ConfigError, match="expected within only beside"):
        huey.schedules.change("hourly", catch_up="none")
    with pytest.raises(ConfigError, match="expected a schedule or a part of its policy to change"):
        huey.schedules.change("hourly")

    assert huey.schedules.change("hourly", catch_up="none", within=None).policy.catch_up == "none"


# -- several versions of the code ---------------------------------------------------------------------
def test_what_the_code_does_not_know_is_left_to_consumers_that_do(
    make_huey: Callable[..., Nephew], work: Work, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    older, newer, clock = make_huey(), make_huey(), Clock()
    clock.now = older.backend.now()
    old = older.task(name="old")(lambda: None)
    older.periodic_task(HOURLY, name="gone")(lambda: None)
    ticker(older, clock)
    older.schedules.add("of-old", old, QUARTERS)

    clock.now += 2 * HOUR
    ticker(newer, clock)
    left = {plan.name: plan.trouble for plan in newer.schedules}
    ticker(older, clock)

    assert left == {
        f"{MODULE}.gone": "the code has no such schedule here: removed, or another version's",
        "of-old": f"its task {MODULE}.old is not registered here",
    }
    assert caplog.text.count("is left to other consumers") == 2
    assert {tick.fate for name in left for tick in newer.schedules.ticks(name)} == {"missed", "enqueued"}
    with pytest.raises(NephewError, match="cannot be used here"):
        newer.schedules.run("of-old")


def test_a_schedule_that_was_removed_from_the_code_leaves_jobs_that_are_seen_to_the_end(
    make_huey: Callable[..., Nephew], work: Work
):
    """Its jobs are parked as those of any unknown task; what waits in the ledger is let go of with it."""
    older, newer, clock = make_huey(), make_huey(), Clock()
    older.periodic_task(HOURLY, name="hourly", overlap="queue")(lambda: None)
    keeper = ticker(older, clock)
    for hour in range(2):
        clock.now = NOON + hour * HOUR
        write(keeper)
    successor = ticker(newer, clock)

    work(newer)
    successor.release()
    parked = newer.schedules.ticks("hourly")
    newer.schedules.remove("hourly")
    newer.cancel(str(parked[1].job))
    successor.close()

    assert [(tick.fate, tick.state) for tick in parked] == [("waiting", None), ("enqueued", State.PARKED)]
    left = newer.backend.ticks(f"{MODULE}.hourly")
    assert [(tick.fate, tick.state) for tick in left] == [("skipped", None), ("enqueued", State.CANCELLED)]


def test_two_schedules_with_one_name_keep_a_consumer_from_starting(make_huey: Callable[..., Nephew]):
    older, newer = make_huey(), make_huey()
    older.schedules.add(f"{MODULE}.hourly", older.task(name="report")(lambda: None), QUARTERS)
    newer.task(name="report")(lambda: None)
    newer.periodic_task(HOURLY, name="hourly")(lambda: None)

    with pytest.raises(ConfigError) as caught:
        Consumer(newer).start()

    both = f"the code's, of the task {MODULE}.hourly, and one that was added at run time, of the task {MODULE}.report"
    assert f"two schedules are called '{MODULE}.hourly': {both}" in str(caught.value)
    newer.stop_consuming()


def test_two_schedules_of_the_code_with_one_name_are_an_error_at_import():
    huey = Nephew("shop", "memory://")
    huey.periodic_task(HOURLY, name="nightly")(lambda: None)

    with pytest.raises(ConfigError, match=r"nightly: expected one function of this name, got .*:\d+ and .*:\d+; give"):
        huey.periodic_task(QUARTERS, name="nightly")(lambda: None)


def test_what_cannot_be_read_is_listed_with_the_reason(huey: Nephew, report: Any, clock: Clock):
    huey.schedules.add("of-a-newer-one", report, HOURLY, (1,))
    huey.backend.define_schedule("of-a-newer-one", '{"schedule": {"moon": 1}, "policy": {}}', None, True, clock.now)

    plan = huey.schedules.get("of-a-newer-one")
    ticker(huey, clock)

    assert isinstance(plan, Plan) and "cannot be read here" in str(plan.trouble)
    assert huey.schedules.next("of-a-newer-one") == []


def test_a_renamed_tasks_schedule_is_found_by_its_names_and_kept_under_the_first(huey: Nephew):
    huey.periodic_task(HOURLY, name="tidy", aliases=f"{MODULE}.sweep")(lambda: None)

    names = ["tidy", "sweep", f"{MODULE}.tidy", f"{MODULE}.sweep"]
    plans = [huey.schedules.get(name) for name in names]
    huey.schedules.pause("tidy")

    assert {(plan.name, plan.task) for plan in plans} == {(f"{MODULE}.sweep", f"{MODULE}.tidy")}
    assert all(huey.schedules.get(name).paused_at for name in names)


def test_arguments_are_kept_as_the_codec_keeps_them(make_huey: Callable[..., Nephew]):
    huey, other = make_huey(), make_huey(serializer=Codec())
    for each in (huey, other):
        each.task(name="report")(lambda day: None)
    day = dt.date(2026, 3, 1)

    huey.schedules.add("report-7", "tests.contract.test_timetable.report", HOURLY, (day,))

    assert other.schedules.get("report-7").args == (day,)
