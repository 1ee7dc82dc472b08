"""The archive of a queue on Redis as the consumer and the command line have it: real processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from nephew import Nephew
from nephew.job import State
from tests.eventually import eventually
from tests.shop import declare


def test_a_consumer_archives_and_the_command_line_tells(redis_url: str, sqlite_url: str, name: str):
    shop = os.environ | {"SHOP_URL": redis_url, "SHOP_NAME": name, "NEPHEW_APP": "tests.shop.huey"}
    archived = shop | {"NEPHEW_DATABASE_URL": sqlite_url}
    huey = Nephew(name, redis_url, database_url=sqlite_url)
    failed = declare(huey).fail("oops")

    with start("-m", "nephew", "run", environment=archived) as consumer:
        try:
            eventually(lambda: huey.store.counts() == {State.FAILED: 1})
            eventually(lambda: huey.inspection.status().archive.behind == 0)
        finally:
            consumer.terminate()

    assert huey.backend.locks() == []
    huey.close()
    commands = ("status", archived), ("jobs show " + failed.id, archived), ("status", shop)
    started = [start("-m", "nephew", *words.split(), environment=environment) for words, environment in commands]
    status, shown, without = (process.communicate()[0] for process in started)
    assert "0 events behind" in status
    assert "oops" in shown
    assert "the last 100,000 ended jobs, kept by Redis" in without


def test_the_command_line_only_looks_at_an_archive_and_names_one_that_is_away(
    redis_url: str, tmp_path: Path, name: str
):
    shop = os.environ | {"SHOP_URL": redis_url, "SHOP_NAME": name, "NEPHEW_APP": "tests.shop.huey"}
    away = shop | {"NEPHEW_DATABASE_URL": "postgresql://nobody:cret@127.0.0.1:1/x"}
    huey = Nephew(name, redis_url)
    waiting = declare(huey).add(1)
    huey.close()

    commands = (
        ("status", shop | {"NEPHEW_DATABASE_URL": f"sqlite:///{tmp_path}/new.db"}),
        ("check", away),
        ("jobs show " + waiting.id, away),
    )
    started = [start("-m", "nephew", *words.split(), environment=environment) for words, environment in commands]
    status, checked, shown = (process.communicate()[0] for process in started)

    assert "new.db, 0 events behind" in status
    assert list(tmp_path.iterdir()) == []
    assert "- the archive cannot be used: postgresql" in checked
    assert "Warning: Redis keeps nothing on disk" in checked
    assert shown.count("Warning: The archive cannot be reached") == 1
    assert f"Job {waiting.id} is queued" in shown
    assert "cret" not in checked + shown


def start(*arguments: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
