"""Words by which jobs are found: given to a task, or made of a call's arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from huey.api import chord

from nephew import Middleware, Nephew, current_job
from nephew.draft import Draft
from nephew.errors import ConfigError
from tests.contract.conftest import Work


def tags_of(huey: Nephew, job_id: str) -> tuple[str, ...]:
    job = huey.job(job_id)
    assert job is not None
    return job.tags


@pytest.mark.parametrize(
    ("given", "tags"),
    [
        ("billing", ("billing",)),
        (("billing", "eu"), ("billing", "eu")),
        (["twice", "twice"], ("twice",)),
        ((), ()),
        (lambda customer: f"customer:{customer}", ("customer:7",)),
        (lambda customer: ["a", f"b {customer}"], ("a", "b 7")),
        (lambda customer: None, ()),
    ],
)
def test_a_job_has_the_tags_of_its_task(huey: Nephew, given: Any, tags: tuple[str, ...]):
    bill = huey.task(tags=given)(lambda customer: None)

    assert tags_of(huey, bill(7).id) == tags
    assert huey.jobs()[0].tags == tags


@pytest.mark.parametrize(
    "given",
    ["", " padded", "a,b", "a\0b", "a\nb", "\ud800", "x" * 51, 7, [7], [f"tag{n}" for n in range(21)], {"a": 1}],
)
def test_what_cannot_be_a_tag_is_refused(huey: Nephew, given: Any):
    with pytest.raises(ConfigError, match="expected tags to be at most 20 texts of 1 to 50 characters without commas"):
        huey.task(tags=given)(lambda: None)

    made = huey.task(tags=lambda: given)(lambda: None)
    with pytest.raises(ConfigError, match="expected tags to be"):
        made()
    assert huey.jobs() == []


def test_jobs_are_found_by_a_whole_tag(huey: Nephew):
    bill = huey.task(name="bill", tags=lambda *tags: tags)(lambda *tags: None)
    bills = [bill("eu", "paid"), bill("eu"), bill("eu-west"), bill("paid", "late")]

    def found(tag: str) -> list[str]:
        return [job.id for job in reversed(huey.jobs(tag=tag))]

    assert found("eu") == [bills[0].id, bills[1].id]
    assert found("paid") == [bills[0].id, bills[3].id]
    assert found("EU") == found("e%") == found("") == found("eu,paid,x") == []


def test_a_running_job_knows_its_tags(huey: Nephew, work: Work):
    result = huey.task(tags=("a", "b"))(lambda: current_job().tags)()

    work(huey)

    assert result.get() == ("a", "b")


def test_tags_stay_through_retries(huey: Nephew, work: Work):
    @huey.task(tags="stays", retries=1)
    def fail() -> None:
        raise ValueError(current_job().tags)

    result = fail()
    work(huey)

    assert tags_of(huey, result.id) == ("stays",)
    job = huey.job(result.id)
    assert job is not None and job.error == "ValueError(('stays',))"


def test_a_step_is_tagged_by_what_it_was_given(huey: Nephew, work: Work):
    make = huey.task(name="make")(lambda: "tea")
    sell = huey.task(name="sell", tags=lambda item: item)(lambda item: None)

    _, sold = huey.enqueue(make.s().then(sell))
    work(huey)

    assert tags_of(huey, sold.id) == ("tea",)


def test_tags_that_cannot_be_made_do_not_hold_up_what_follows(huey: Nephew, work: Work):
    make = huey.task(name="make")(lambda: 1)
    sell = huey.task(name="sell", tags=lambda item: item.upper())(lambda item: item + 1)
    total = huey.task(name="total", tags=lambda values: str(values[0]))(sum)

    _, sold = huey.enqueue(make.s().then(sell))
    summed = huey.enqueue(chord([make.s(), make.s()], total.s()))
    work(huey)

    assert (sold.get(), tags_of(huey, sold.id)) == (2, ())
    assert (summed.callback.get(), tags_of(huey, summed.callback.id)) == (2, ())


class Tagger(Middleware):
    """Tags every job with what it is told."""

    def __init__(self, *tags: str) -> None:
        self.tags = tags

    def enqueue(self, job: Draft, call_next: Any) -> Any:
        job.tags = (*job.tags, *self.tags)
        return call_next(job)


def test_middleware_may_tag_jobs(make_huey: Callable[..., Nephew], work: Work):
    huey = make_huey(middleware=[Tagger("eu")])
    add = huey.task(name="add", tags="sum")(lambda a, b: a + b)

    first, second = huey.enqueue(add.s(1, 2).then(add, 3))
    work(huey)

    assert tags_of(huey, first.id) == tags_of(huey, second.id) == ("sum", "eu")


def test_what_middleware_makes_of_tags_is_looked_at_too(make_huey: Callable[..., Nephew]):
    huey = make_huey(middleware=[Tagger("a,b")])

    with pytest.raises(ConfigError, match="expected tags to be"):
        huey.task(name="add")(lambda: None)()
    assert huey.jobs() == []
