"""What a task hides of its arguments is seen nowhere: not in records, results, attempts, logs or messages."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from huey.api import chord
from huey.exceptions import CancelExecution, RetryTask, TaskException
from hypothesis import given
from hypothesis import strategies as st

from nephew import Middleware, Nephew, current_job
from nephew.draft import Draft
from nephew.errors import ConfigError, RemoteError
from nephew.expiry import Expiry
from nephew.logs import JsonFormatter, install
from nephew.redaction import HIDDEN, SHORT, Secrets
from nephew.settings import Settings
from tests.contract.conftest import Work

SECRET = "tok-\"7391'ümläut"
FORMS = (SECRET, repr(SECRET)[1:-1], json.dumps(SECRET)[1:-1])


def everything(huey: Nephew) -> str:
    """All that a face could show of all jobs."""
    shown = []
    for found in huey.jobs(limit=None):
        job = huey.job(found.id)
        shown += [repr(found), repr(job), repr(huey.logs(found.id))]
        shown += [stored.decode(errors="replace") for stored in huey.backend.peek([found.id]).values()]
    return "\n".join(shown)


def assert_hidden(text: str) -> None:
    assert not [form for form in FORMS if form in text], text
    assert HIDDEN in text


@contextmanager
def handler(name: str, formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """A handler as the consumer prepares them."""
    stream = io.StringIO()
    added = logging.StreamHandler(stream)
    logger = logging.getLogger(name)
    logger.addHandler(added)
    install(Settings())
    added.setFormatter(formatter)
    try:
        yield stream
    finally:
        logger.removeHandler(added)


# -- arguments ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("args", "kwargs", "shown"),
    [
        (("ann", SECRET), {}, (("ann", HIDDEN), {})),
        (("ann",), {"token": SECRET}, (("ann",), {"token": HIDDEN})),
        ((), {"token": [SECRET], "user": "ann"}, ((), {"token": HIDDEN, "user": "ann"})),
    ],
)
def test_an_argument_is_hidden_however_it_is_given(huey: Nephew, args: Any, kwargs: Any, shown: Any):
    login = huey.task(redact="token")(lambda user, token: None)

    job = huey.job(login(*args, **kwargs).id)

    assert job is not None
    assert (job.args, job.kwargs) == shown
    assert [(found.args, found.kwargs) for found in huey.jobs()] == [shown]


def test_what_a_function_takes_without_a_name_of_its_own_is_hidden_too(huey: Nephew):
    @huey.task(redact=("tokens", "options", "pin"))
    def call(first: str, *tokens: str, **options: str) -> None: ...

    @huey.task(redact="pin")
    def pay(amount: int, **options: str) -> None: ...

    called = huey.job(call("shown", SECRET, SECRET, password=SECRET).id)
    paid = huey.job(pay(7, pin=SECRET, note="shown").id)

    assert called is not None and paid is not None
    assert (called.args, called.kwargs) == (("shown", HIDDEN, HIDDEN), {"password": HIDDEN})
    assert (paid.args, paid.kwargs) == ((7,), {"pin": HIDDEN, "note": "shown"})


def test_a_name_that_the_function_does_not_take_is_refused_at_import(huey: Nephew):
    with pytest.raises(ConfigError, match=r"redact names 'tokn', which is no argument of its function \(token\)"):
        huey.task(redact=("tokn",))(lambda token: None)
    with pytest.raises(ConfigError, match="expected redact to be names of arguments, got 7"):
        huey.task(redact=7)(lambda token: None)  # type: ignore[arg-type]


def test_a_hidden_argument_arrives(huey: Nephew, work: Work):
    spell = huey.task(redact="token")(lambda token: list(token))

    result = spell(SECRET)
    work(huey)

    assert result.get() == list(SECRET)


def test_the_steps_of_a_pipeline_hide_what_they_name(huey: Nephew, work: Work):
    give = huey.task(name="give")(lambda: SECRET)
    take = huey.task(name="take", redact="token")(lambda token: len(token))
    _, taken = huey.enqueue(give.s().then(take))

    work(huey)

    job = huey.job(taken.id)
    assert job is not None
    assert (job.args, job.result) == ((HIDDEN,), len(SECRET))


def test_a_job_from_before_its_task_hid_something_hides_it_as_well(huey: Nephew, work: Work):
    login = huey.task(redact="token")(lambda user, token: None)
    huey.storage.enqueue(huey.serialize_task(login.s("ann", token=SECRET)))

    (job,) = huey.jobs()

    assert (job.args, job.kwargs) == (("ann",), {"token": HIDDEN})


# -- errors -------------------------------------------------------------------------------------------
def test_an_error_shows_nothing_of_it(huey: Nephew, work: Work):
    @huey.task(redact="token", retries=1)
    def login(token: str) -> None:
        try:
            raise KeyError(token)
        except KeyError as error:
            raise ValueError(f"{token} is wrong") from error

    result = login(SECRET)
    work(huey)

    with pytest.raises(TaskException) as caught:
        result.get(blocking=True)
    assert_hidden(repr(caught.value.metadata))
    assert_hidden(everything(huey))
    job = huey.job(result.id)
    assert job is not None
    assert len(job.attempts) == 2 and all("is wrong" in (attempt.traceback or "") for attempt in job.attempts)


class Rejected(Exception):
    """Keeps what it is made of."""

    def __init__(self, token: str) -> None:
        super().__init__("rejected")
        self.token = token


@pytest.mark.parametrize("raised", [ValueError(SECRET), Rejected(SECRET), RemoteError("x.Y", SECRET, f"Y({SECRET!r})")])
def test_an_error_handler_is_given_an_error_without_it(huey: Nephew, work: Work, raised: Exception):
    handled = []

    @huey.task(name="login", redact="token")
    def login(token: str) -> None:
        raise raised

    handle = huey.task(name="handle")(handled.append)
    huey.enqueue(login.s(SECRET).error(handle))
    work(huey)

    (error,) = handled
    assert isinstance(error, RemoteError)
    assert error.class_name.endswith(("ValueError", "Rejected", "x.Y"))
    assert not any(form in f"{error!r} {error} {error.traceback} {vars(error)}" for form in FORMS)
    assert not any(form in everything(huey) for form in FORMS)


def test_an_error_without_it_is_given_as_it_is(huey: Nephew, work: Work):
    handled = []

    @huey.task(name="login", redact="token")
    def login(token: str) -> None:
        raise ValueError("wrong")

    huey.enqueue(login.s(SECRET).error(huey.task(name="handle")(handled.append)))
    work(huey)

    assert [(type(error), str(error)) for error in handled] == [(ValueError, "wrong")]


def test_what_never_runs_tells_of_the_error_without_it(huey: Nephew, work: Work):
    @huey.task(name="login", redact="token")
    def login(token: str) -> None:
        raise ValueError(token)

    huey.enqueue(login.s(SECRET).then(huey.task(name="next")(lambda user: None)))
    work(huey)

    assert len(huey.jobs(state="cancelled")) == 1
    assert_hidden(everything(huey))


@pytest.mark.parametrize("raised", [CancelExecution, RetryTask])
def test_other_ends_show_nothing_of_it_either(huey: Nephew, work: Work, raised: type[Exception]):
    @huey.task(redact="token")
    def login(token: str) -> None:
        if current_job().attempt == 1:
            raise raised(token)

    login(SECRET)
    work(huey)

    assert_hidden(everything(huey))


# -- what is said -------------------------------------------------------------------------------------
def test_progress_shows_nothing_of_it(huey: Nephew, work: Work):
    @huey.task(redact="token")
    def login(token: str) -> None:
        current_job().progress(0.5, f"trying {token}")

    result = login(SECRET)
    work(huey)

    assert result.progress is not None
    assert result.progress.message == f"trying {HIDDEN}"


@pytest.mark.parametrize("formatter", [logging.Formatter("%(message)s"), JsonFormatter()], ids=["text", "json"])
def test_log_lines_show_nothing_of_it(huey: Nephew, work: Work, formatter: logging.Formatter):
    """Neither the function's own, nor the engine's, which tells of the exception."""
    log = logging.getLogger("shop")

    @huey.task(redact="token")
    def login(token: str) -> None:
        log.warning("trying %s", token, extra={"given": token})
        try:
            raise KeyError(token)
        except KeyError:
            log.exception("first try failed")
        raise ValueError(token)

    with handler("", formatter) as shop, handler("huey", formatter) as engine:
        login(SECRET)
        work(huey)

    assert_hidden(shop.getvalue())
    assert_hidden(engine.getvalue())
    assert "Unhandled exception" in engine.getvalue() and "ValueError" in engine.getvalue()
    assert_hidden(everything(huey))


@pytest.mark.parametrize("formatter", [logging.Formatter("%(given)s"), JsonFormatter()], ids=["text", "json"])
@pytest.mark.parametrize("given", [{"user": "ann", "tokens": [SECRET]}, SECRET.encode(), Exception(SECRET)])
def test_what_a_line_brings_besides_its_text_shows_nothing_of_it(
    huey: Nephew, work: Work, formatter: logging.Formatter, given: Any
):
    @huey.task(redact="token")
    def login(token: str) -> None:
        logging.getLogger("shop").warning("trying", extra={"given": given, "tries": 3})

    with handler("", formatter) as shop:
        login(SECRET)
        work(huey)

    assert_hidden(shop.getvalue())
    assert isinstance(formatter, JsonFormatter) is ('"tries": 3' in shop.getvalue())


def test_tags_show_nothing_of_it(huey: Nephew, work: Work):
    login = huey.task(redact="token", tags=lambda token: f"of {token}")(lambda token: None)

    login(SECRET)

    assert_hidden(everything(huey))


def test_a_step_that_gets_no_tags_is_told_of_without_it(huey: Nephew, work: Work):
    def tags(token: str, before: int) -> str:
        raise ValueError(token)

    first = huey.task(name="first")(lambda: 1)
    login = huey.task(redact="token", tags=tags)(lambda token, before: None)

    with handler("huey", logging.Formatter("%(message)s")) as engine:
        huey.enqueue(first.s().then(login, SECRET))
        work(huey)

    assert "goes without tags" in engine.getvalue()
    assert_hidden(engine.getvalue())


@pytest.mark.parametrize("kind", ["step", "handler", "callback"])
def test_a_middleware_that_fails_for_what_follows_shows_nothing_of_it(
    make_huey: Callable[..., Nephew], work: Work, kind: str
):
    class Refusal(Middleware):
        def enqueue(self, job: Draft, call_next: Callable[[Draft], Any]) -> Any:
            if job.args[:1] == (SECRET,):
                raise RuntimeError(f"refused {job.args}")
            return call_next(job)

    huey = make_huey(middleware=[Refusal()])
    first, fail = huey.task(name="first")(lambda: 1), huey.task(name="fail")(lambda: 1 / 0)
    login = huey.task(redact="token")(lambda token, before=None: None)
    late = first.s()
    late.expires = -60

    with handler("huey", logging.Formatter("%(message)s")) as engine:
        if kind == "callback":
            huey.enqueue(chord([late], login.s(SECRET)))
            Expiry(huey).step()
        else:
            huey.enqueue(first.s().then(login, SECRET) if kind == "step" else fail.s().error(login, SECRET))
        work(huey)

    assert_hidden(everything(huey))
    assert_hidden(engine.getvalue())


def test_receivers_of_signals_who_fail_with_it_are_logged_without_it(huey: Nephew, work: Work):
    @huey.signal("error")
    def fail(signal: str, task: Any, error: Exception) -> None:
        raise RuntimeError(str(error))

    @huey.task(redact="token")
    def login(token: str) -> None:
        raise ValueError(token)

    with handler("huey", logging.Formatter("%(message)s")) as engine:
        login(SECRET)
        work(huey)

    assert "RuntimeError" in engine.getvalue()
    assert_hidden(engine.getvalue())


def test_a_line_whose_arguments_do_not_fit_does_not_fail_the_job(huey: Nephew, work: Work, capsys: Any):
    @huey.task(redact="token")
    def login(token: str) -> None:
        logging.getLogger("shop").warning("trying %s %s", token)

    with handler("shop", logging.Formatter("%(message)s")):
        result = login(SECRET)
        work(huey)

    assert result.state == "succeeded"
    assert SECRET not in capsys.readouterr().err
    assert_hidden(everything(huey))


def test_a_unique_key_shows_nothing_of_it(huey: Nephew):
    login = huey.task(redact="token", unique=lambda user, token: (user, token))(lambda user, token: None)

    login("ann", SECRET)
    second, other = login("ann", SECRET), login("ann", "another")

    assert (second.duplicate, other.duplicate) == (True, False)
    assert_hidden(everything(huey))


def test_a_task_that_hides_nothing_is_not_touched(huey: Nephew, work: Work):
    hiding = huey.task(name="hiding", redact="token")(lambda token: None)

    @huey.task(name="open")
    def fail(token: str) -> None:
        raise ValueError(token)

    hiding(SECRET)
    fail(SECRET)
    work(huey)

    (job,) = huey.jobs(state="failed")
    assert job.args == (SECRET,)
    assert job.error == repr(ValueError(SECRET))


# -- which texts ---------------------------------------------------------------------------------------
@dataclass
class Card:
    number: int
    owner: str = dataclasses.field(repr=False)


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("abc123", "key abc123.", "key [redacted]."),
        ("abc123", "https://x/?k=abc123&l", "https://x/?k=[redacted]&l"),
        ("a b/c", "https://x/?k=a%20b%2Fc", "https://x/?k=[redacted]"),
        ("a b/c", "https://x/a%20b/c?k=a+b%2Fc", "https://x/[redacted]?k=[redacted]"),
        ("abc123", "Basic YWJjMTIz", "Basic [redacted]"),
        (dt.datetime(2001, 2, 3, 4, 5), "2001-02-03T04:05:00, 2001-02-03 04:05:00", "[redacted], [redacted]"),
        ("ab", "ab, about ab", "[redacted], about [redacted]"),
        ("", "nothing", "nothing"),
        (b"abc123", "got b'abc123' and abc123", "got b'[redacted]' and [redacted]"),
        (b"\xff\x00key!", r"got b'\xff\x00key!'", "got b'[redacted]'"),
        (493817, "pin 493817, 14938170", "pin [redacted], 14938170"),
        (-12.5678, "at -12.5678", "at [redacted]"),
        (42, "42 tries", "42 tries"),
        (None, "None given", "None given"),
        (True, "True or not", "True or not"),
        ({"user": "abc123", "pins": [(98765,)]}, "user abc123 98765", "user [redacted] [redacted]"),
        (Card(49381700, "Ann Lee"), "Card(number=49381700) of Ann Lee", "Card(number=[redacted]) of [redacted]"),
        ("line one of it\nline two of it", "found line two of it here", "found [redacted] here"),
        (["long secret", "long"], "a long secret, long", "a [redacted], [redacted]"),
    ],
)  # fmt: skip
def test_the_texts_of_a_value_are_hidden(secret: Any, said: str, shown: str):
    assert Secrets([secret]).hide(said) == shown


@given(st.text(min_size=SHORT).filter(str.strip), st.text())
def test_however_it_is_quoted_it_is_hidden(secret: str, around: str):
    said = f"{around} {secret} {around}"
    quoted = [
        said,
        repr(said),
        ascii(said),
        json.dumps(said),
        json.dumps(said, ensure_ascii=False),
        repr([{1: (said,)}]),
        repr(KeyError(said)),
        repr(ValueError(f"{said!r} is wrong")),
        repr(ValueError(repr(KeyError(said)))),
    ]

    assert [shown for shown in quoted if HIDDEN not in Secrets([secret]).hide(shown)] == []


def test_a_very_long_secret_is_hidden_in_no_time():
    secret = "0123456789abcdef" * 500_000

    assert Secrets([secret]).hide(f"a {secret} b") == "a [redacted] b"
