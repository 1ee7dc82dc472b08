"""The options of a task: one frozen record, checked when the task is decorated."""

from __future__ import annotations

import dataclasses

import pytest

from nephew.errors import ConfigError
from nephew.options import TaskOptions


def test_nothing_given_is_the_default():
    options = TaskOptions.parse("f", {})

    assert options == TaskOptions()
    assert (options.queue, options.unique, options.retry_jitter, options.retry_max_delay) == ("default", False, 0, None)


def test_options_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        TaskOptions().queue = "mail"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("wrong", "right"), [("retry_jiter", "retry_jitter"), ("Queue", "queue"), ("retrys", "retries")]
)
def test_a_misspelt_option_is_told_the_right_one(wrong: str, right: str):
    with pytest.raises(ConfigError, match=f"task f: unknown option '{wrong}'; did you mean {right}"):
        TaskOptions.parse("f", {wrong: 1})


def test_an_option_like_no_other_is_told_all_known_ones():
    with pytest.raises(ConfigError) as caught:
        TaskOptions.parse("f", {"xyzzy": 1})

    assert "did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in ("queue", "retries", "unique", "attrs={...}"))


@pytest.mark.parametrize("given", [KeyError, (KeyError, OSError), [KeyError]])
def test_exceptions_are_given_alone_or_as_a_list(given: object):
    options = TaskOptions.parse("f", {"retry_on": given})

    assert options.retries_after(KeyError("x"))
    assert not options.retries_after(ValueError())


def test_a_subclass_counts_as_its_base():
    options = TaskOptions.parse("f", {"retry_on": LookupError, "no_retry_on": IndexError})

    assert options.retries_after(KeyError())
    assert not options.retries_after(IndexError())


def test_without_a_word_everything_is_retried():
    assert TaskOptions().retries_after(SystemExit())


@pytest.mark.parametrize("value", [True, "3", -1, 0])
def test_numbers_are_numbers(value: object):
    with pytest.raises(ConfigError, match="expected max_crashes to be a whole number greater than 0"):
        TaskOptions.parse("f", {"max_crashes": value})
