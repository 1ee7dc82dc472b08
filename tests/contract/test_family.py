"""What a job follows from and what follows from it, on every backend."""

from __future__ import annotations

import pytest
from huey.api import chord
from huey.exceptions import TaskException

from nephew import Job, Nephew, current_job, every
from nephew.errors import JobNotFound, NephewError
from nephew.job import Relation
from tests.contract.conftest import Work
from tests.contract.jobs import fails


def the(huey: Nephew, job_id: str) -> Job:
    found = huey.job(job_id)
    assert found is not None
    return found


def family(huey: Nephew, job_id: str) -> tuple[str | None, tuple[str, ...], tuple[str, ...]]:
    job = the(huey, job_id)
    return job.relation, job.parents, job.children


def test_a_call_from_outside_follows_from_nothing(huey: Nephew):
    job = huey.task()(lambda: None)()

    assert family(huey, job.id) == (None, (), ())


def test_a_step_of_a_pipeline_follows_from_the_one_before(huey: Nephew, work: Work):
    add = huey.task(name="add")(lambda a, b: a + b)
    first, second, third = huey.enqueue(add.s(1, 2).then(add, 3).then(add, 4))

    work(huey)

    assert third.get() == 10
    assert family(huey, first.id) == (None, (), (second.id,))
    assert family(huey, second.id) == (Relation.CHAIN, (first.id,), (third.id,))
    assert family(huey, third.id) == (Relation.CHAIN, (second.id,), ())


def test_a_step_that_never_runs_follows_from_the_one_before_as_well(huey: Nephew, work: Work):
    second = huey.task(name="second", tags="step", redact="token")(lambda token: None)
    first, never, last = huey.enqueue(huey.task(name="first")(fails).s().then(second, token="x").then(second))

    work(huey)

    assert family(huey, never.id) == (Relation.CHAIN, (first.id,), (last.id,))
    assert (the(huey, never.id).tags, the(huey, never.id).kwargs) == (("step",), {"token": "[redacted]"})


def test_the_callback_of_a_chord_follows_from_all_members(huey: Nephew, work: Work):
    double = huey.task(name="double")(lambda value: value * 2)
    total = huey.task(name="total")(sum)
    done = huey.enqueue(chord([double.s(1), double.s(2).then(double)], total.s()))

    work(huey)

    assert done.get() == 2 + 8
    members = [result.id for result in done.results]
    relation, parents, _ = family(huey, done.callback.id)
    assert (relation, sorted(parents)) == (Relation.CHORD, sorted(members))
    assert [the(huey, member).children for member in members] == [(done.callback.id,)] * 2


def test_of_a_chord_the_members_that_are_kept_are_told(huey: Nephew, work: Work):
    echo = huey.task(name="echo")(lambda value: value)
    done = huey.enqueue(chord([echo.s(1), echo.s(2)], huey.task(name="total")(sum).s()))
    first, second = (result.id for result in done.results)
    work(huey)

    huey.delete_jobs(first)
    assert family(huey, done.callback.id)[1] == (second,)

    huey.delete_jobs(second)
    assert family(huey, done.callback.id)[1] == ()


def test_an_error_handler_follows_from_each_attempt_that_it_handles(huey: Nephew, work: Work):
    handle = huey.task(name="handle")(lambda error: None)
    failing = huey.enqueue(huey.task(name="failing")(fails).s().error(handle))

    work(huey)

    (handler,) = the(huey, failing.id).children
    assert family(huey, handler) == (Relation.ERROR, (failing.id,), ())


def test_a_job_that_a_function_enqueues_follows_from_its_job(huey: Nephew, work: Work):
    inner = huey.task(name="inner")(lambda: None)

    @huey.task(name="outer")
    def outer() -> list[str]:
        return [inner().id, *(result.id for result in inner.map([(), ()]))]

    result = outer()
    work(huey)

    assert the(huey, result.id).children == tuple(result.get())
    assert {family(huey, child)[:2] for child in result.get()} == {(Relation.CALL, (result.id,))}


def test_a_job_of_immediate_mode_has_its_family_too(name: str):
    huey = Nephew(name, "memory://", immediate=True)
    inner = huey.task(name="inner")(lambda: current_job().id)
    outer = huey.task(name="outer")(lambda: [inner().get(), inner().get()])

    result = outer()

    assert the(huey, result.id).children == tuple(result.get())
    huey.sign_off()


def test_a_tick_follows_from_its_schedule(huey: Nephew):
    nightly = huey.periodic_task(every(hours=1), name="nightly")(lambda: None)
    schedule = huey._registry.task_to_string(nightly.task_class)

    huey.schedules.run("nightly")

    (tick,) = huey.jobs()
    assert family(huey, tick.id) == (Relation.SCHEDULE, (schedule,), ())


def test_lists_leave_the_family_out(huey: Nephew, work: Work):
    add = huey.task(name="add")(lambda a, b: a + b)
    huey.enqueue(add.s(1, 2).then(add, 3))
    work(huey)

    assert {(job.parents, job.children) for job in huey.jobs()} == {((), ())}
    assert {job.relation for job in huey.jobs()} == {None, Relation.CHAIN}


# -- the same call once more --------------------------------------------------------------------------
def test_a_rerun_is_a_new_job_with_the_same_call(huey: Nephew, work: Work):
    @huey.task(name="sell", retries=1, priority=3, tags=lambda item, pieces: [item])
    def sell(item: str, pieces: int) -> str:
        if current_job().attempt == 1:
            raise ValueError("not yet")
        return f"{pieces} {item}"

    first = sell("tea", pieces=2)
    work(huey)
    again = huey.rerun(first.id)
    work(huey)

    assert again.id != first.id
    assert again.get() == first.get() == "2 tea"
    assert family(huey, again.id) == (Relation.RETRY, (first.id,), ())
    assert the(huey, first.id).children == (again.id,)
    new, old = the(huey, again.id), the(huey, first.id)
    assert (new.args, new.kwargs, new.priority, new.tags) == (old.args, old.kwargs, old.priority, old.tags)
    assert len(new.attempts) == 2  # with all of its task's retries


def test_a_rerun_pipeline_runs_all_its_steps_again(huey: Nephew, work: Work):
    add = huey.task(name="add")(lambda a, b: a + b)
    first, second = huey.enqueue(add.s(1, 2).then(add, 3))
    work(huey)

    again = huey.rerun(first.id)
    work(huey)

    (step,) = the(huey, again.id).children
    assert step != second.id
    assert the(huey, step).result == 6


def test_the_member_of_a_chord_is_run_again_without_it(huey: Nephew, work: Work):
    counted: list[int] = []
    member = huey.task(name="member")(lambda: 1)
    done = huey.enqueue(chord([member.s()], huey.task(name="count")(counted.extend).s()))
    work(huey)

    (result,) = done.results
    huey.rerun(result.id)
    work(huey)

    assert counted == [1]


def test_the_callback_of_a_chord_is_not_called_again_without_its_values(huey: Nephew, work: Work):
    done = huey.enqueue(chord([huey.task(name="one")(lambda: 1).s()], huey.task(name="total")(sum).s()))
    work(huey)

    with pytest.raises(NephewError, match=r"huey\.retry puts it back"):
        huey.rerun(done.callback.id)


def test_what_is_not_there_cannot_be_run_again(huey: Nephew):
    with pytest.raises(JobNotFound, match="no job nothing"):
        huey.rerun("nothing")


def test_a_rerun_of_a_unique_job_stands_for_the_one_that_waits(huey: Nephew, work: Work):
    once = huey.task(unique=True, name="once")(lambda: None)
    first = once()
    work(huey)
    waiting = once()

    again = huey.rerun(first.id)

    assert (again.id, again.duplicate) == (waiting.id, True)


def test_a_failed_result_is_still_told_after_a_rerun(huey: Nephew, work: Work):
    failing = huey.task(name="failing")(fails)()
    work(huey)

    again = huey.rerun(failing.id)
    work(huey)

    for result in (failing, again):
        with pytest.raises(TaskException, match="oops"):
            result.get(blocking=True)
