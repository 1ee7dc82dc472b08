"""Right and wrong uses as type checkers see them: a line is an error to both of them, or to neither.

Never run; `test_typing.py` has it checked. A wrong line says so in a comment behind it.
"""

from __future__ import annotations

import datetime as dt
from typing import assert_type

from huey import crontab

from nephew import Job, Nephew, Result, cron, current_job, every
from nephew.job import Progress, State

huey = Nephew("shop", "memory://", lease=20.0, immediate=True)

Nephew("shop", leese=1)  # wrong: no such setting
Nephew("shop", lease="long")  # wrong: not a number
Nephew(name=1)  # wrong: not a text


# -- tasks -------------------------------------------------------------------------------------------


@huey.task(queue="mail", retries=5, unique=lambda todo, loud=False: todo, aliases="shop.remind")
def send_reminder(todo: int, loud: bool = False) -> None: ...


@huey.task(expires=dt.timedelta(hours=1), retry_on=(OSError, ValueError))
def add(a: int, b: int) -> int:
    assert_type(current_job().attempt, int)
    assert_type(current_job().id, str)
    current_job().progress(0.5, "half")
    current_job().progress("half")  # wrong: not a number
    assert current_job().attempts  # wrong: no such attribute
    return a + b


@huey.task(uniqe=True)  # wrong: no such option
def misspelt() -> None: ...


@huey.task(retries="5")  # wrong: not a number
def mistaken() -> None: ...


@huey.task  # wrong: without brackets
def bare() -> None: ...


@huey.periodic_task(cron("0 2 * * *"), queue="nightly")
def nightly() -> str:
    return "cleaned"


@huey.periodic_task(every(minutes=15), catch_up="all", within=dt.timedelta(hours=1), overlap="queue")
def often() -> None: ...


@huey.periodic_task(every(minutes=15), overlap="perhaps")  # wrong: no such policy
def unsure() -> None: ...


@huey.task(catch_up="all")  # wrong: it has no schedule
def unscheduled() -> None: ...


huey.schedules.add("report-7", add, cron("0 7 * * 1"), (1, 2), expect_within=dt.timedelta(days=8))
huey.schedules.change("report-7", every(hours=1), catchup="all")  # wrong: no such part of a policy
assert_type([plan.name for plan in huey.schedules], list[str])


@huey.periodic_task(crontab(minute="0"))
def hourly() -> None: ...


@huey.periodic_task(lambda moment: moment.day == 1)
def monthly() -> None: ...


@huey.periodic_task("0 2 * * *")  # wrong: a text is no schedule
def misplanned() -> None: ...


@huey.periodic_task(every(minutes=15), retrys=1)  # wrong: no such option
def misconfigured() -> None: ...


# -- calls -------------------------------------------------------------------------------------------

assert_type(send_reminder(42), Result[None])
assert_type(send_reminder(42, loud=True), Result[None])
assert_type(send_reminder.delay(todo=42), Result[None])
assert_type(add(1, 2), Result[int])
assert_type(nightly(), Result[str])
assert_type(add.call_local(1, 2), int)
assert_type(add.schedule((1, 2), delay=60), Result[int])
assert_type(add.schedule([1], {"b": 2}, eta=dt.datetime(2030, 1, 1), priority=5, id="sum"), Result[int])
assert_type(nightly.schedule(dt.timedelta(hours=1)), Result[str])
add.map([(1, 2), (3, 4)])

send_reminder("42")  # wrong: not a number
send_reminder()  # wrong: an argument is missing
send_reminder(42, False, 43)  # wrong: one too many
send_reminder(42, lout=True)  # wrong: no such argument
send_reminder.delay("42")  # wrong: not a number
send_reminder.delay(todos=42)  # wrong: no such argument
send_reminder.call_local()  # wrong: an argument is missing
nightly(1)  # wrong: it takes none
add.schedule((1, 2), delay="soon")  # wrong: not a number of seconds
add.schedule((1, 2), dalay=60)  # wrong: no such argument
add.map(5)  # wrong: nothing to go through


# -- results -----------------------------------------------------------------------------------------

result = add(1, 2)
assert_type(result.get(), int | None)
assert_type(result.get(blocking=True, timeout=10), int)
assert_type(result.get(True), int)
assert_type(result.id, str)
assert_type(result.state, State | None)
assert_type(result.progress, Progress | None)
assert_type(result.cancel(), bool)
assert_type(result.duplicate, bool)
assert_type(huey.job(result.id), Job | None)
assert_type(huey.jobs(state="failed"), list[Job])

text: str = result.get(blocking=True)  # wrong: a number
number: int = result.get()  # wrong: it may not have ended
other: Result[str] = add(1, 2)  # wrong: of a number
result.get(blocking=True, timeout="10")  # wrong: not a number
huey.job(result)  # wrong: a handle is no id
now: int = add(1, 2)  # wrong: a handle is no value
result.wait()  # wrong: no such method


async def total() -> int:
    assert_type(await add(1, 2), int)
    words: str = await add(1, 2)  # wrong: a number
    return await add(1, len(words))
