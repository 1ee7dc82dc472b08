"""The dead-man's switch of schedules: who is told that one does not succeed any more, when, and how often."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from nephew import Nephew, every
from nephew import webhook as webhooks
from nephew.alarm import Alarm
from nephew.errors import Undelivered
from nephew.lapses import SIGNAL_LAPSED, SIGNAL_RECOVERED, TAKEOVER, Lapse, Mark
from tests.contract.conftest import Work, end
from tests.contract.crowd import at_once
from tests.contract.jobs import fails
from tests.webhooks import Webhook, webhook

DAY = 86400.0
NIGHTLY = f"{__name__}.nightly"
LAPSED, RECOVERED = (SIGNAL_LAPSED, NIGHTLY), (SIGNAL_RECOVERED, NIGHTLY)


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> Iterator[Webhook]:
    for name in ("NO_PROXY", "no_proxy"):  # no proxy stands before local servers
        monkeypatch.setenv(name, "127.0.0.1")
    with webhook() as server:
        yield server


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are none between attempts."""
    monkeypatch.setattr(webhooks, "PAUSES", (0.0, 0.0))


@pytest.fixture
def alone(name: str, hook: Webhook) -> Iterator[Nephew]:
    """An instance that nobody else sees, with a schedule that has lapsed; its alerts go to the webhook."""
    huey = watching(Nephew(name, "memory://", alert_webhook=hook.url))
    yield huey
    end(huey)


def watching(huey: Nephew, function: Callable[[], None] = lambda: None, days_known: float = 1.5) -> Nephew:
    """Give it a schedule that has to succeed each day."""
    huey.periodic_task(every(days=1), name="nightly", expect_within=timedelta(days=1))(function)
    huey.backend.begin_schedules([NIGHTLY], huey.backend.now() - days_known * DAY)
    return huey


def look(huey: Nephew, later: float = 0.0) -> None:
    """What a consumer does that looks for lapses, so many seconds from now."""
    now = huey.backend.now() + later
    alarm = Alarm(huey, lambda: now)
    alarm.step()
    if alarm.teller is not None:
        alarm.teller.join(30)


def succeed(huey: Nephew, work: Work) -> None:
    huey.schedules.run("nightly")
    work(huey)
    huey.backend.close_ticks()


def mark(huey: Nephew) -> str | None:
    row = huey.schedules.get("nightly").row
    return row.lapse if row is not None else None


def heard(huey: Nephew) -> list[tuple[str, Lapse]]:
    """What its signals tell."""
    told: list[tuple[str, Lapse]] = []

    @huey.signal(SIGNAL_LAPSED, SIGNAL_RECOVERED)
    def listen(signal: str, name: str, lapse: Lapse) -> None:
        assert name == lapse.schedule == NIGHTLY
        told.append((signal, lapse))

    return told


# -- when --------------------------------------------------------------------------------------------
def test_a_schedule_that_never_began_lapses_once_and_recovers_once(
    huey: Nephew, work: Work, caplog: pytest.LogCaptureFixture
):
    watching(huey, days_known=0.5)
    told = heard(huey)

    for later in (0.0, 0.4 * DAY, 0.6 * DAY, 0.7 * DAY, 5 * DAY):
        look(huey, later)

    ((signal, lapse),) = told
    assert (signal, lapse.succeeded_at, lapse.recovered, lapse.expect_within) == (
        SIGNAL_LAPSED, None, False, timedelta(days=1)
    )  # fmt: skip
    (record,) = (each for each in caplog.records if each.name == "huey.nephew.alarm")
    assert record.levelno == logging.ERROR
    assert record.getMessage() == (
        f"Schedule {NIGHTLY} has not succeeded; known only since {lapse.since:%Y-%m-%d %H:%M:%SZ}, expected within "
        "1 day, 0:00:00; it had no tick."
    )

    succeed(huey, work)
    for later in (1.0, 2.0, 0.9 * DAY):
        look(huey, later)
    assert [signal for signal, _ in told] == [SIGNAL_LAPSED, SIGNAL_RECOVERED]
    assert told[1][1].succeeded_at is not None
    assert mark(huey) is None

    look(huey, 1.1 * DAY)
    assert [signal for signal, _ in told] == [SIGNAL_LAPSED, SIGNAL_RECOVERED, SIGNAL_LAPSED]


def test_a_failure_is_no_success_and_is_named(huey: Nephew, work: Work):
    watching(huey, lambda: fails())
    told = heard(huey)
    succeed(huey, work)

    look(huey)

    (job,) = huey.jobs()
    assert f"was enqueued (by hand), and its job {job.id} is failed" in str(told[0][1])


def test_a_paused_schedule_lapses_too_and_says_so(alone: Nephew, hook: Webhook):
    alone.schedules.pause("nightly")

    look(alone)

    (alert,) = hook.alerts
    assert alert["paused"] is True
    assert "expected within 1 day, 0:00:00; it is paused; " in alert["text"]


def test_a_schedule_that_is_defined_anew_has_its_time_again(alone: Nephew, hook: Webhook):
    alone.schedules.change("nightly", every(hours=1))

    look(alone)
    look(alone, 1.1 * DAY)

    assert hook.told() == [LAPSED]


def test_no_time_to_succeed_no_lapse(alone: Nephew, hook: Webhook):
    alone.schedules.change("nightly", expect_within=None)

    look(alone, 1000 * DAY)

    assert hook.told() == []


def all_look(instances: list[Nephew]) -> None:
    """Twice, all at the same moment."""

    def one(index: int) -> None:
        look(instances[index])
        instances[index].backend.close()

    for _ in range(2):
        at_once(instances[0].backend, len(instances), one)


# -- who ---------------------------------------------------------------------------------------------
def test_of_many_consumers_one_tells(make_huey: Callable[..., Nephew], hook: Webhook, work: Work):
    instances = [watching(make_huey(alert_webhook=hook.url)) for _ in range(5)]

    all_look(instances)
    assert hook.told() == [LAPSED]

    succeed(instances[0], work)
    all_look(instances)
    assert hook.told() == [LAPSED, RECOVERED]


def test_what_a_dead_teller_left_is_told_by_another_one(alone: Nephew, hook: Webhook, work: Work):
    def dies(word: str) -> None:
        before, now = mark(alone), alone.backend.now()
        since = Mark.read(before).since if before else now - 1.5 * DAY
        assert alone.backend.mark_lapse(NIGHTLY, before, str(Mark(word, since, now)))

    for word in ("telling", "calling"):
        dies(word)
        look(alone, TAKEOVER - 10)
        look(alone, TAKEOVER + 1)
    assert hook.told() == [LAPSED, LAPSED]
    assert len({alert["id"] for alert in hook.alerts}) == 1

    succeed(alone, work)
    for word in ("recovering", "closing"):
        dies(word)
        look(alone, TAKEOVER - 10)
        look(alone, TAKEOVER + 1)
        assert mark(alone) is None
        hook.alerts.pop()
        assert hook.told() == [LAPSED, LAPSED]


# -- how ---------------------------------------------------------------------------------------------
def test_the_webhook_is_told_whatever_a_program_or_a_chat_wants_to_know(alone: Nephew, hook: Webhook):
    look(alone)

    (alert,) = hook.alerts
    since = alone.schedules.get("nightly").since
    assert since is not None
    assert alert == {
        "id": f"{alone.name}:{NIGHTLY}:schedule-lapsed:{since.timestamp():.6f}",
        "event": "schedule-lapsed",
        "instance": alone.name,
        "schedule": NIGHTLY,
        "task": NIGHTLY,
        "since": since.isoformat(),
        "expect_within_seconds": DAY,
        "succeeded_at": None,
        "paused": False,
        "latest_tick": None,
        "text": alert["text"],
    }
    assert alert["text"].startswith(f"{alone.name}: schedule {NIGHTLY} has not succeeded; known only since ")


def test_a_webhook_that_is_down_is_told_when_it_is_back(
    alone: Nephew, hook: Webhook, pauses: None, caplog: pytest.LogCaptureFixture
):
    told = heard(alone)
    hook.answers = [503, 429, 500, 502]

    look(alone)
    assert (len(hook.alerts), str(mark(alone)).split()[0]) == (3, "calling")
    assert "The webhook was not told" in caplog.text
    assert "got status 500; trying again within a minute" in caplog.text
    assert "secret" not in caplog.text

    look(alone, TAKEOVER + 1)
    look(alone, 2 * TAKEOVER + 2)
    assert (len(hook.alerts), str(mark(alone)).split()[0]) == (5, "told")
    assert [signal for signal, _ in told] == [SIGNAL_LAPSED]


@pytest.mark.parametrize("status", [302, 404])
def test_a_webhook_that_refuses_is_not_asked_again(
    alone: Nephew, hook: Webhook, status: int, caplog: pytest.LogCaptureFixture
):
    hook.answers = [status]

    look(alone)
    look(alone, TAKEOVER + 1)

    assert hook.told() == [LAPSED]
    assert f"got status {status}; it is not told of this one again" in caplog.text


def test_a_lapse_that_the_webhook_never_heard_of_ends_with_its_recovery(
    alone: Nephew, hook: Webhook, pauses: None, work: Work
):
    hook.answers = [503] * 3
    look(alone)
    succeed(alone, work)
    hook.alerts.clear()

    look(alone, TAKEOVER + 1)

    assert (hook.told(), mark(alone)) == ([RECOVERED], None)


def test_a_webhook_that_never_answers_silences_no_later_lapse(alone: Nephew, hook: Webhook, pauses: None, work: Work):
    told = heard(alone)
    hook.answers = [503] * 20
    look(alone)
    succeed(alone, work)

    look(alone, TAKEOVER + 1)
    look(alone, 3 * DAY)

    assert [signal for signal, _ in told] == [SIGNAL_LAPSED, SIGNAL_RECOVERED, SIGNAL_LAPSED]


def test_a_server_that_is_not_there_is_an_error_that_says_so():
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}/secret"
    stopping = threading.Event()
    stopping.set()
    expected = r"expected http://127\.0\.0\.1:\d+/… to take a message, got .*refused"

    with pytest.raises(Undelivered, match=expected) as caught:
        webhooks.deliver(url, {}, stopping)

    assert not caught.value.final


def test_a_receiver_that_fails_keeps_no_other_one_from_being_told(
    alone: Nephew, hook: Webhook, caplog: pytest.LogCaptureFixture
):
    alone.signal(SIGNAL_LAPSED)(lambda *_: fails())
    told = heard(alone)
    everything: list[str] = []
    alone.signal()(lambda signal, task: everything.append(task.id))

    look(alone)

    assert [signal for signal, _ in told] == [SIGNAL_LAPSED]
    assert (hook.told(), everything) == ([LAPSED], [])
    assert "A receiver of the signal schedule-lapsed failed" in caplog.text


def test_a_webhook_that_is_down_holds_up_no_signal(alone: Nephew, hook: Webhook, pauses: None):
    other = NIGHTLY.replace("nightly", "hourly")
    alone.periodic_task(every(hours=1), name="hourly", expect_within=timedelta(hours=2))(lambda: None)
    alone.backend.begin_schedules([other], alone.backend.now() - DAY)
    told: list[str] = []
    alone.signal(SIGNAL_LAPSED)(lambda signal, name, lapse: told.append(name))
    hook.answers = [503] * 3

    look(alone)
    assert (sorted(told), hook.told()) == ([other, NIGHTLY], [(SIGNAL_LAPSED, other)] * 3)

    look(alone, TAKEOVER + 1)
    assert hook.told()[3:] == [(SIGNAL_LAPSED, other), LAPSED]


def test_listening_to_lapses_makes_no_job_slower(alone: Nephew):
    heard(alone)
    assert not alone.has_listeners()

    alone.signal("complete")(lambda signal, task: None)
    assert alone.has_listeners()
