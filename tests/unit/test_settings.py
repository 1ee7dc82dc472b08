"""Settings: defaults, then the environment, then arguments; all problems are told together."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from nephew import clock
from nephew.errors import ConfigError
from nephew.settings import Keep, Settings, names, url_from


def test_the_defaults_are_those_of_the_design():
    found = Settings.load({}, {})

    assert (found.lease, found.heartbeat, found.reaper, found.drain) == (30, 10, 5, 8)
    assert (found.max_crashes, found.prefetch, found.prefetch_seconds, found.settle_after) == (3, 128, 0.02, 0.01)
    assert (found.keep_succeeded, found.keep_failed) == (Keep(7 * 86400), Keep(30 * 86400))
    assert (found.keep_cancelled, found.keep_expired) == (Keep(30 * 86400), Keep(30 * 86400))
    assert (found.warn_bytes, found.max_bytes, found.results_read_once) == (1 << 20, 16 << 20, False)


def test_an_argument_wins_over_the_environment_and_that_over_the_default():
    found = Settings.load({"NEPHEW_LEASE": "60", "NEPHEW_DRAIN": "20"}, {"lease": 90})

    assert (found.lease, found.drain, found.heartbeat) == (90.0, 20.0, 10.0)


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("MAX_CRASHES", "7", 7),
        ("SETTLE_AFTER", "0", 0.0),
        ("RESULTS_READ_ONCE", "yes", True),
        ("RESULTS_READ_ONCE", "OFF", False),
        ("QUEUES", "mail, slow ,,", ("mail", "slow")),
        ("RUN_DIR", "/run/nephew", "/run/nephew"),
        ("LOG", "json", "json"),
        ("LEASE", "", 30.0),
    ],
)
def test_each_kind_is_read_from_the_environment(variable: str, text: str, value: Any):
    found = Settings.load({f"NEPHEW_{variable}": text}, {})

    assert getattr(found, variable.lower()) == value


@pytest.mark.parametrize("given", ["mail, slow", ["mail", "slow"], ("mail", " slow ")])
def test_queues_are_given_as_text_or_as_a_list(given: Any):
    assert Settings.load({}, {"queues": given}).queues == ("mail", "slow")


@pytest.mark.parametrize(
    ("given", "keep"),
    [
        ("7d", Keep(7 * 86400)),
        ("12h", Keep(12 * 3600)),
        ("90", Keep(90)),
        (90, Keep(90)),
        (0, Keep(0)),
        ("1000 jobs", Keep(most=1000)),
        ("30d, 1 job", Keep(30 * 86400, 1)),
        ("forever", Keep()),
        (Keep(1.5, 2), Keep(1.5, 2)),
    ],
)
def test_what_is_kept_is_given_as_a_time_a_number_of_jobs_or_both(given: Any, keep: Keep):
    assert Settings.load({}, {"keep_cancelled": given}).keep_cancelled == keep


@pytest.mark.parametrize(("text", "keep"), [("7d", Keep(7 * 86400)), ("1000 jobs", Keep(most=1000)), ("0", Keep(0))])
def test_what_is_kept_can_be_said_in_the_environment(text: str, keep: Keep):
    assert Settings.load({"NEPHEW_KEEP_EXPIRED": text}, {}).keep_expired == keep


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5s", 1.5), ("2m", 120), ("12h", 43200), (" 7 d ", 604800), ("2w", 1209600)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float):
    assert clock.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "d", "-1", "1e9", "7 days", "1h30m", "nan"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValueError, match="a number of seconds, or one with a unit such as 90s, 15m, 12h, 7d or 2w"):
        clock.seconds(text)


@pytest.mark.parametrize(
    ("environ", "options", "message"),
    [
        ({"NEPHEW_LEASE": "long"}, {}, "expected NEPHEW_LEASE to be a number of seconds, got 'long'"),
        ({}, {"lease": True}, "expected lease to be a number of seconds, got True"),
        ({"NEPHEW_DRAIN": "nan"}, {}, "expected NEPHEW_DRAIN to be a number of seconds, got 'nan'"),
        ({"NEPHEW_MAX_CRASHES": "2.5"}, {}, "expected NEPHEW_MAX_CRASHES to be a whole number, got '2.5'"),
        ({"NEPHEW_AUTO_MIGRATE": "maybe"}, {}, "expected NEPHEW_AUTO_MIGRATE to be yes or no, got 'maybe'"),
        ({}, {"queues": 5}, "expected queues to be names, separated by commas, got 5"),
        ({}, {"run_dir": 5}, "expected run_dir to be a text, got 5"),
        ({}, {"lease": 0}, "expected lease to be greater than 0, got 0"),
        ({}, {"drain": -1}, "expected drain to be 0 or more, got -1"),
        ({}, {"prefetch": 0}, "expected prefetch to be greater than 0, got 0"),
        ({}, {"lease": 10}, "expected lease to be greater than heartbeat (10), got 10"),
        ({}, {"log": "xml"}, "expected log to be text or json, got 'xml'"),
        ({}, {"alert_webhook": "hooks.example.org/x"}, "expected alert_webhook to be a URL that begins with http"),
        ({"NEPHEW_KEEP_FAILED": "7 days"}, {}, "expected NEPHEW_KEEP_FAILED to be a time such as 7d, a number such as"),
        ({}, {"keep_failed": -1}, "or forever, got -1"),
        ({}, {"keep_failed": True}, "or forever, got True"),
        ({}, {"keep_failed": "7d, 12h"}, "or forever, got '7d, 12h'"),
        ({}, {"keep_failed": Keep(most=2.5)}, "or forever, got Keep(seconds=None, most=2.5)"),
    ],
)
def test_an_unusable_value_is_named_with_what_was_expected(environ: dict, options: dict, message: str):
    with pytest.raises(ConfigError) as caught:
        Settings.load(environ, options)

    assert message in str(caught.value)


def test_all_problems_are_told_at_once():
    with pytest.raises(ConfigError) as caught:
        Settings.load({"NEPHEW_DRAIN": "soon"}, {"reaper": -1, "log": "xml"})

    assert str(caught.value).count("expected") == 3


def test_a_webhook_which_is_often_a_secret_is_not_shown():
    assert "secret" not in repr(Settings.load({"NEPHEW_ALERT_WEBHOOK": "https://hooks.example.org/secret"}, {}))


def test_settings_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().lease = 5  # type: ignore[misc]


def test_their_names_are_the_arguments_of_an_instance():
    assert {"lease", "queues", "results_read_once"} <= names()


def test_where_the_jobs_live_may_be_said_by_the_environment():
    assert url_from({"NEPHEW_URL": "memory://"}) == "memory://"
    assert url_from({"NEPHEW_URL": ""}) is None
    assert url_from({}) is None
