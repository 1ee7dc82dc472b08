"""What a task is told at its decoration, checked at import."""

from __future__ import annotations

from typing import Any

import pytest

from nephew import Nephew, cron
from nephew.errors import ConfigError
from tests.contract.conftest import Work
from tests.contract.jobs import fails


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"uniqe": True}, "task f: unknown option 'uniqe'; did you mean unique\\? \\(known: aliases, at_most_once,"),
        ({"colour": 1}, "attributes of your own go into attrs="),
        ({"queue": ""}, "expected queue to be a name, got ''"),
        ({"unique": "yes"}, "expected unique to be True or a function, got 'yes'"),
        ({"retry_jitter": 2}, "expected retry_jitter from 0.0 to 1.0, got 2"),
        ({"retry_max_delay": 0}, "expected retry_max_delay to be greater than 0, got 0"),
        ({"max_crashes": -1}, "expected max_crashes to be a whole number greater than 0, got -1"),
        ({"retry_on": "ValueError"}, "expected retry_on to be exception classes, got 'ValueError'"),
        ({"no_retry_on": [1]}, "expected no_retry_on to be exception classes, got 1"),
        ({"attrs": [1]}, "expected attrs to be a dict, got \\[1\\]"),
        ({"retries": "3"}, "expected retries to be a whole number, 0 or more, got '3'"),
        ({"retry_delay": -1}, "expected retry_delay to be a number of seconds, 0 or more, got -1"),
    ],
)
def test_an_unusable_option_fails_at_import(huey: Nephew, options: dict, message: str):
    def f() -> None:
        pass

    with pytest.raises(ConfigError, match=message):
        huey.task(**options)(f)


def test_an_unknown_option_of_a_periodic_task_fails_at_import(huey: Nephew):

    with pytest.raises(ConfigError, match="did you mean retries"):
        huey.periodic_task(cron("0 2 * * *"), retrys=1)(fails)


def test_free_attributes_are_found_on_the_job(huey: Nephew, work: Work):
    found = []

    @huey.task(attrs={"team": "mail"}, context=True)
    def look(task: Any = None) -> None:
        found.append(task.team)

    look()
    work(huey)

    assert found == ["mail"]
