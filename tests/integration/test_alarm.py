"""The dead-man's switch with real consumers, one of which is killed while it tells."""

from __future__ import annotations

from datetime import timedelta

import pytest

from nephew import Nephew, every
from nephew.alarm import Alarm
from nephew.lapses import SIGNAL_LAPSED, SIGNAL_RECOVERED, TAKEOVER
from tests.consumers import Bench
from tests.eventually import eventually
from tests.webhooks import webhook

LAPSED, RECOVERED = (SIGNAL_LAPSED, "hourly"), (SIGNAL_RECOVERED, "hourly")


def test_what_a_killed_consumer_was_about_to_tell_is_told_by_others(
    redis_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")  # no proxy stands before local servers
    bench, schedules = redis_bench, redis_bench.huey.schedules
    schedules.add("hourly", bench.tasks.note, every(hours=1), ["run"], expect_within=timedelta(seconds=0.1))
    with webhook() as hook:
        hook.answering.clear()
        killed = bench.consumer("thread", 1, alert_webhook=hook.url)
        eventually(lambda: hook.told() == [LAPSED])
        killed.kill()
        assert "Schedule hourly has not succeeded" in killed.log()
        hook.answering.set()

        look_a_minute_later(bench, hook.url)
        assert hook.told() == [LAPSED, LAPSED]
        assert hook.alerts[0]["id"] == hook.alerts[1]["id"]

        schedules.change("hourly", expect_within=timedelta(hours=2))
        schedules.run("hourly")
        bench.consumer("process", 1, alert_webhook=hook.url, reaper=0.1)
        eventually(lambda: schedules.get("hourly").succeeded_at is not None)
        schedules.pause("hourly")  # a change is looked at at once
        eventually(lambda: hook.told() == [LAPSED, LAPSED, RECOVERED])


def look_a_minute_later(bench: Bench, url: str) -> None:
    """What another consumer does once nothing was heard of the one that began."""
    huey = Nephew(bench.huey.name, bench.url, alert_webhook=url)
    alarm = Alarm(huey, lambda: huey.backend.now() + TAKEOVER + 1)
    alarm.step()
    assert alarm.teller is not None
    alarm.teller.join(30)
    huey.backend.close()
