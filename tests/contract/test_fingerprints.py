"""Failures of one kind have one fingerprint, by which they are counted and found."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from huey.exceptions import TaskTimeout

from nephew import Nephew, fingerprint
from nephew.errors import RemoteError
from nephew.job import State
from tests.contract.conftest import Work

ROOT = Path(__file__).resolve().parents[2]


def parse(text: str) -> int:
    return int(text)


def price(text: str) -> int:
    if text == "later":
        text = "x"
    return parse(text)


def raised(function: Any, *args: Any) -> BaseException:
    with pytest.raises(BaseException) as caught:  # whatever it raises
        function(*args)
    return caught.value


def of(function: Any, *args: Any) -> str:
    return fingerprint.of_error("shop.sell", raised(function, *args))


# -- one kind or two -----------------------------------------------------------------------------------
def test_the_same_place_and_class_are_one_kind_whatever_the_values():
    assert len({of(price, text) for text in ("x", "y" * 5000, "later")}) == 1


def test_another_place_or_class_is_another_kind():
    assert len({of(price, "x"), of(parse, "x"), of(price, None), of(price, [])}) == 3


def test_how_deep_a_function_calls_itself_does_not_matter():
    def dig(depth: int) -> None:
        if not depth:
            raise ValueError("bottom")
        dig(depth - 1)

    assert of(dig, 1) == of(dig, 50)


def test_the_last_functions_of_a_long_way_count():
    def way(name: str) -> Any:
        code = "\n".join(f"def {name}{n}(): {f'{name}{n - 1}' if n else 'last'}()" for n in range(3))
        names: dict[str, Any] = {"__name__": "shop", "last": last}
        exec(code, names)
        return names[f"{name}2"]

    def last() -> None:
        last_but(3)

    def last_but(n: int) -> None:
        raise ValueError(n) if n == 0 else _call(last_but, n)

    assert of(way("a")) != of(lambda: last_but(0))


def _call(function: Any, n: int) -> Exception:
    function(n - 1)
    return ValueError()


def test_a_timeout_is_told_by_its_task_wherever_it_struck():
    def here() -> None:
        raise TaskTimeout

    def there() -> None:
        here()

    assert of(here) == of(there) != fingerprint.of_error("shop.give", raised(here))


def test_an_error_from_elsewhere_is_told_by_its_class():
    errors = [
        RemoteError(name, text, f"{name}({text})") for name, text in (("Sold", "7"), ("Sold", "8"), ("Lost", "7"))
    ]

    first, second, other = (fingerprint.of_error("shop.sell", error) for error in errors)

    assert first == second != other


def test_a_crash_is_told_by_its_cause_without_numbers():
    one, two = (fingerprint.of_crash("demo", f"no heartbeat from web1 for {n} s") for n in (31, 44))

    assert one == two != fingerprint.of_crash("demo", "it was killed by SIGKILL (signal 9)")


def test_another_process_comes_to_the_same():
    code = f"import {__name__} as here; print(here.of(here.price, 'other'))"

    process = subprocess.run([sys.executable, "-O", "-c", code], text=True, capture_output=True, check=True, cwd=ROOT)

    assert process.stdout.strip() == of(price, "mine")


# -- in the record -------------------------------------------------------------------------------------
def test_a_job_tells_the_kind_of_its_failure_until_it_succeeds(huey: Nephew, work: Work):
    failing = [False, True]

    @huey.task(retries=1)
    def sell() -> None:
        if failing.pop():
            raise ValueError("sold out")

    result = sell()
    huey.execute(huey.dequeue())
    waiting = huey.job(result.id)
    work(huey)
    succeeded = huey.job(result.id)

    assert waiting is not None and succeeded is not None
    assert (waiting.state, len(waiting.fingerprint or "")) == (State.QUEUED, fingerprint.LENGTH)
    assert (succeeded.state, succeeded.fingerprint) == (State.SUCCEEDED, None)


def test_failures_are_counted_by_kind(huey: Nephew, work: Work):
    sell = huey.task(name="sell")(price)
    give = huey.task(name="give")(parse)
    for text in ("a", "b", "c"):
        sell(text)
    last = give("d")
    work(huey)
    for job in huey.jobs(task="give"):
        huey.retry(job.id)
    work(huey)

    often, once = huey.inspection.failures()

    assert (often.jobs, often.task.rpartition(".")[2]) == (3, "sell")
    assert (once.jobs, once.task.rpartition(".")[2], once.id) == (1, "give", last.id)
    assert often.error == "ValueError(\"invalid literal for int() with base 10: 'c'\")"
    assert once.last_at >= often.last_at
    assert [kind.jobs for kind in huey.inspection.failures(task="give")] == [1]
    assert [kind.jobs for kind in huey.inspection.failures(limit=1)] == [3]


def test_jobs_are_found_by_fingerprint_and_by_the_text_of_their_error(huey: Nephew, work: Work):
    sell = huey.task(name="sell")(price)
    failed = [sell(text) for text in ("a_c", "abc", "xyz")]
    work(huey)
    kind = huey.inspection.failures()[0].fingerprint
    sell("waits")

    def found(error: str, **more: Any) -> list[str]:
        return [job.id for job in reversed(huey.jobs(error=error, **more))]

    assert kind is not None
    assert found(kind) == [result.id for result in failed]
    assert found("base 10: 'a_c'") == [failed[0].id]
    assert found("BASE 10") == found("nothing") == found(kind, task="give") == []
