"""Middleware: what is around the running and the enqueueing of jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from huey.api import chord
from huey.exceptions import TaskException

from nephew import ConfigError, Middleware, Nephew, every
from nephew.draft import Draft
from nephew.middleware import Enqueue, Run
from tests.contract.conftest import Work, end
from tests.contract.jobs import fails
from tests.stored import count

Make = Callable[..., Nephew]


@pytest.fixture
def make(url: str, name: str):
    """Makes instances with middleware."""
    made: list[Nephew] = []

    def make(*middleware: Any, **options: Any) -> Nephew:
        made.append(Nephew(name, url, middleware=list(middleware), **options))
        return made[-1]

    yield make
    for huey in made:
        end(huey)


def test_middleware_is_around_each_run_the_outermost_first(make: Make, work: Work):
    seen: list[Any] = []

    def outer(job: Any, call_next: Run) -> Any:
        seen.append(("outer", job.task, job.args, job.attempt))
        value = call_next(job)
        seen.append(("outer ends", value))
        return value

    def inner(job: Any, call_next: Run) -> Any:
        seen.append("inner")
        return call_next(job)

    huey = make(outer, inner)
    result = huey.task(name="double")(lambda number: 2 * number)(21)
    work(huey)

    assert result.get() == 42
    name = huey.job(result.id).task
    assert seen == [("outer", name, (21,), 1), "inner", ("outer ends", 42)]


def test_middleware_may_change_what_a_job_comes_to(make: Make, work: Work):
    def rescue(job: Any, call_next: Run) -> Any:
        try:
            return call_next(job)
        except ValueError as error:
            return f"rescued from {error}"

    def upper(job: Any, call_next: Run) -> Any:
        job.args = tuple(str(arg).upper() for arg in job.args)
        return call_next(job)

    def refuse(job: Any, call_next: Run) -> Any:
        if "bad" in job.tags:
            raise PermissionError("not today")
        return call_next(job)

    huey = make(rescue, upper, refuse)
    rescued = huey.task(name="a")(fails)("x")
    shouted = huey.task(name="b")(lambda text: text)("tea")
    refused = huey.task(name="c", tags=("bad",))(lambda: "never")()
    work(huey)

    assert rescued.get() == "rescued from oops"
    assert shouted.get() == "TEA"
    with pytest.raises(TaskException, match="not today"):
        refused.get()


def test_middleware_that_does_not_go_on_stands_for_the_function(make: Make, work: Work):
    ran: list[int] = []
    huey = make(lambda job, call_next: "cached")

    result = huey.task()(ran.append)(1)
    work(huey)

    assert (result.get(), ran) == ("cached", [])


class Tenant(Middleware):
    options = {"tenant": "nobody"}

    def __init__(self) -> None:
        self.seen: list[str] = []

    def check(self, task: str, options: Any) -> None:
        if not isinstance(options["tenant"], str):
            raise ConfigError(f"task {task}: expected tenant to be a text, got {options['tenant']!r}")

    def run(self, job: Any, call_next: Run) -> Any:
        self.seen.append(job.options["tenant"])
        return call_next(job)

    def enqueue(self, job: Draft, call_next: Enqueue) -> Any:
        job.tags = (*job.tags, f"tenant:{job.options['tenant']}")
        job.queue = job.options["tenant"]
        return call_next(job)


def test_middleware_owns_options_of_tasks(make: Make, work: Work):
    tenant = Tenant()
    huey = make(tenant)
    mine = huey.task(name="mine", tenant="acme")(lambda: None)  # type: ignore[call-arg]
    other = huey.task(name="other")(lambda: None)

    results = [mine(), other()]
    work(huey)

    assert sorted(tenant.seen) == ["acme", "nobody"]
    assert [huey.job(result.id).queue for result in results] == ["acme", "nobody"]
    assert huey.job(results[0].id).tags == ("tenant:acme",)


def test_an_option_that_its_middleware_refuses_is_an_error_at_import(make: Make):
    huey = make(Tenant())

    with pytest.raises(ConfigError, match="expected tenant to be a text, got 3"):
        huey.task(tenant=3)(lambda: None)  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match=r"unknown option 'tennant'; did you mean tenant\?"):
        huey.task(tennant="acme")(lambda: None)  # type: ignore[call-arg]


async def asynchronous(job: Any, call_next: Run) -> Any:
    return call_next(job)


def generating(job: Any, call_next: Run) -> Iterator[Any]:
    yield call_next(job)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([42], r"expected a function (job, call_next) or an instance of nephew.Middleware, got 42"),
        ([Tenant], "give an instance, not the class"),
        ([asynchronous], "got an asynchronous one or a generator; nobody would run its body"),
        ([generating], "got an asynchronous one or a generator; nobody would run its body"),
        ([Tenant(), Tenant()], "expected one owner of the task option 'tenant'"),
        ("abc", "expected middleware to be a list of middleware, got 'abc'"),
        (3, "expected middleware to be a list of middleware, got 3"),
    ],
)
def test_unusable_middleware_is_refused(given: Any, words: str):
    with pytest.raises(ConfigError, match=re.escape(words)):
        Nephew("test", "memory://", middleware=given)


def test_no_middleware_owns_an_option_that_is_there_already():
    class Greedy(Middleware):
        options = {"retries": 0}

    with pytest.raises(ConfigError, match="expected the task option 'retries' to be free"):
        Nephew("test", "memory://", middleware=[Greedy()])


class Door(Middleware):
    """Lets in what it is told to."""

    def __init__(self) -> None:
        self.passed: list[tuple[str, Any]] = []

    def enqueue(self, job: Draft, call_next: Enqueue) -> Any:
        if job.kwargs.get("kept_out"):
            return None
        if job.kwargs.get("refused"):
            raise PermissionError("refused at the door")
        job.kwargs["stamped"] = True
        handle = call_next(job)
        self.passed.append((job.task.rpartition(".")[2], handle))
        return handle


def test_middleware_is_around_the_enqueueing(make: Make, work: Work):
    door = Door()
    huey = make(door)
    task = huey.task(name="task")(lambda *args, **kwargs: kwargs)

    result = task(1)
    kept_out = task(kept_out=True)
    with pytest.raises(PermissionError, match="refused at the door"):
        task(refused=True)
    work(huey)

    assert result.get() == {"stamped": True}
    assert kept_out is None
    assert [handle.id for _, handle in door.passed] == [result.id]
    assert len(huey.jobs()) == 1


def test_what_is_enqueued_in_one_step_passes_one_by_one(make: Make, work: Work):
    door = Door()
    huey = make(door)
    task = huey.task(name="task")(lambda *args, **kwargs: args)

    results = huey.enqueue_many([task.s(1), task.s(2, kept_out=True), task.s(3)])
    with pytest.raises(PermissionError):
        huey.enqueue_many([task.s(4), task.s(5, refused=True)])
    work(huey)

    assert results.get() == [(1,), (3,)]
    assert len(huey.jobs()) == 2


def test_ticks_next_steps_handlers_and_callbacks_pass_as_well(make: Make, work: Work):
    door = Door()
    huey = make(door)

    @huey.periodic_task(every(seconds=60))
    def tick(**_: Any) -> None:
        pass

    first = huey.task(name="first")(lambda **_: 1)
    then = huey.task(name="then")(lambda value, **_: value + 1)
    bad = huey.task(name="bad")(lambda **_: 1 / 0)
    handler = huey.task(name="handler")(lambda error, **_: "handled")
    total = huey.task(name="total")(lambda values, **_: sum(values))

    huey.schedules.run("tick")
    huey.enqueue(first.s().then(then))
    huey.enqueue(bad.s().error(handler))
    huey.enqueue(chord([first.s(), first.s()], total.s()))
    work(huey)

    # Any member may be the last to end, so a chord's callback passes with each of them; it is stored once.
    passed = sorted(name for name, _ in door.passed)
    assert passed == sorted(["tick", "first", "then", "bad", "handler", "first", "first", "total", "total"])
    assert {job.task.rpartition(".")[2]: str(job.state) for job in huey.jobs()} == {
        "tick": "succeeded", "first": "succeeded", "then": "succeeded", "bad": "failed", "handler": "succeeded",
        "total": "succeeded",
    }  # fmt: skip


def test_a_next_step_that_is_not_let_pass_ends_cancelled(make: Make, work: Work):
    huey = make(Door())
    first = huey.task(name="first")(lambda **_: 1)
    then = huey.task(name="then")(lambda value, **_: value)

    group = huey.enqueue(first.s().then(then, kept_out=True).then(then))
    work(huey)

    assert [result.state for result in group] == ["succeeded", "cancelled", "cancelled"]
    assert "a middleware did not let it pass" in str(huey.job(list(group)[1].id).reason)


def test_middleware_is_around_jobs_run_by_hand_and_at_once(make: Make):
    seen: list[str] = []

    def note(job: Any, call_next: Run) -> Any:
        seen.append(job.id)
        return call_next(job)

    huey = make(note)
    task = huey.task()(lambda: "value")
    by_hand = task()

    assert huey.execute(huey.dequeue()) == "value"
    huey.immediate = True
    at_once = task()

    assert at_once.get() == "value"
    assert seen == [by_hand.id, at_once.id]
    assert task.call_local() == "value"
    assert len(seen) == 2


def test_a_callback_that_is_not_let_pass_ends_cancelled(make: Make, work: Work):
    huey = make(Door())
    member = huey.task(name="member")(lambda **_: 1)
    total = huey.task(name="total")(lambda values, **_: values)

    called = huey.enqueue(chord([member.s(), member.s()], total.s(kept_out=True)))
    work(huey)

    assert called.callback.state == "cancelled"
    assert "a middleware did not let it pass" in str(huey.job(called.callback.id).reason)


def test_a_callback_that_was_not_let_pass_keeps_its_values_for_as_long_as_it_is_kept(make: Make, work: Work):
    huey = make(Door())
    member = huey.task(name="member")(lambda **_: 1)
    total = huey.task(name="total")(lambda values, **_: sum(values))
    called = huey.enqueue(chord([member.s(), member.s()], total.s(kept_out=True)))
    work(huey)

    assert huey.retry(called.callback.id)
    work(huey)
    assert (called.callback.state, called.callback.get(), count(huey, "chord values")) == ("succeeded", 2, 0)


def test_with_a_callback_that_was_not_let_pass_its_values_are_deleted(make: Make, work: Work):
    huey = make(Door())
    member = huey.task(name="member")(lambda **_: 1)
    total = huey.task(name="total")(lambda values, **_: sum(values))
    called = huey.enqueue(chord([member.s(), member.s()], total.s(kept_out=True)))
    work(huey)

    huey.backend.delete_jobs([called.callback.id])

    assert count(huey, "chord values") == 0


def test_a_member_of_a_chord_that_is_not_let_pass_counts_as_cancelled(make: Make, work: Work):
    huey = make(Door())
    ran: list[Any] = []
    member = huey.task(name="member")(lambda **given: ran.append(given))
    then = huey.task(name="then")(lambda value, **_: value)
    total = huey.task(name="total")(lambda values, **_: len(values))

    called = huey.enqueue(chord([member.s(), member.s(kept_out=True).then(then)], total.s()))
    work(huey)

    assert called.callback.get() == 2
    assert len(ran) == 1
    kept_out = next(job for job in huey.jobs(state="cancelled", task="member"))
    assert "a middleware did not let it pass" in str(kept_out.reason)


def test_the_names_of_a_middlewares_parameters_do_not_matter(make: Make, work: Work):
    class Terse(Middleware):
        def run(self, j: Any, go_on: Run) -> Any:  # type: ignore[override]
            return go_on(j) + 1

        def enqueue(self, d: Draft, go_on: Enqueue) -> Any:  # type: ignore[override]
            return go_on(d)

    huey = make(lambda j, go_on: go_on(j) + 1, Terse())

    result = huey.task()(lambda: 40)()
    work(huey)

    assert result.get() == 42
