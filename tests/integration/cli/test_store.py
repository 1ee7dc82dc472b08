"""Migrating the store and checking it."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any

import pytest

from tests.integration.cli.shop import Shop
from tests.places import DATABASES


@pytest.mark.parametrize("backend_url", DATABASES, indirect=True)
def test_migrate_tells_the_versions_before_and_after(everywhere: Shop) -> None:
    first = everywhere.run("migrate")
    again = everywhere.run("migrate")

    assert (first.returncode, again.returncode) == (0, 0)
    if everywhere.url.startswith("sqlite"):
        assert "was version 0 and is version" in first.stdout
    assert ": up to date (version" in again.stdout


def test_check_finds_nothing_wrong_and_makes_nothing(shop: Shop) -> None:
    done = shop.run("check")

    assert done.returncode == 0, done.stdout
    assert "No problem found: 7 tasks" in done.stdout
    assert not (shop.folder / "nephew.db").exists()


def test_check_prints_every_problem_at_once(shop: Shop) -> None:
    done = shop.run(
        "check",
        NEPHEW_PREFETCH="many",
        NEPHEW_DRAIN="-1",
        NEPHEW_LEESE="60",
        NEPHEW_QUEUES="male,default",
        NEPHEW_URL="oracle:shop",
        NEPHEW_RUN_DIR=str(shop.folder / "shop.py" / "run"),
        SHOP_URL=f"sqlite:///{shop.folder}/nowhere/nephew.db",
    )

    assert done.returncode == 1
    problems = done.stdout.splitlines()
    for said in (
        "expected NEPHEW_PREFETCH to be a whole number, got 'many'",
        "expected drain to be 0 or more",
        "NEPHEW_LEESE is no setting; did you mean NEPHEW_LEASE?",
        "NEPHEW_QUEUES names 'male', which no task uses; did you mean mail?",
        "NEPHEW_URL: expected a URL like",
        "set NEPHEW_RUN_DIR to one that can",
    ):
        assert sum(said in problem for problem in problems) == 1, (said, done.stdout)
    assert f"{len(problems)} problems found" in done.stderr


def test_check_finds_a_store_that_cannot_be_reached_without_telling_its_password(shop: Shop) -> None:
    done = shop.run("check", SHOP_URL="postgresql://shop:se:cret@127.0.0.1:1/shop?sslpassword=hidden")

    assert done.returncode == 1
    assert "the store cannot be reached: postgresql" in done.stdout
    assert not any(secret in done.stdout + done.stderr for secret in ("cret", "hidden"))


def test_check_finds_tables_that_are_newer(shop: Shop, module: Any) -> None:
    module.huey.inspection.migrate()
    with contextlib.closing(sqlite3.connect(shop.folder / "nephew.db")) as database, database:
        database.execute("INSERT INTO nephew_schema (version) VALUES (1000)")

    checked, looked = shop.run("check"), shop.run("status")

    assert (checked.returncode, looked.returncode) == (1, 1)
    assert "got version 1000: this Nephew is older" in checked.stdout
    assert "got version 1000: this Nephew is older" in looked.stderr


def test_check_finds_two_schedules_of_one_name(shop: Shop) -> None:
    with (shop.folder / "shop.py").open("a") as file:
        file.write('huey.periodic_task(every(hours=2), name="hourly")(add.func)\n')

    done = shop.run("check")

    assert done.returncode == 1
    assert "task shop.hourly: expected one function of this name" in done.stdout
    assert "(shop.py, line " in done.stdout
