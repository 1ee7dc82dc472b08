"""Running a consumer, and waiting for what it runs."""

from __future__ import annotations

import json
import os
import signal
from typing import Any

from tests.eventually import eventually
from tests.integration.cli.shop import ROOT, Shop


def test_run_runs_what_call_waits_for_until_sigterm(everywhere: Shop) -> None:
    consumer = everywhere.start("run", "-w", "2", "-k", "thread", "-l", "consumer.log")
    try:
        added = everywhere.run("call", "add", '{"a": 1, "b": 2}', "--wait", "--timeout", "20")
        failed = everywhere.run("call", "shop.fail", '["sold out"]', "--wait", "--timeout", "20")
        identified = everywhere.run("call", "identify", "--wait", "--timeout", "20")
        workers = everywhere.json("status")["workers"]
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=20)
    finally:
        consumer.kill()

    assert (added.returncode, added.stdout) == (0, "3\n")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "sold out" in failed.stderr and "nephew jobs show" in failed.stderr
    assert json.loads(identified.stdout) == identified.stderr.strip()
    assert [(worker["type"], worker["pid"]) for worker in workers] == [("thread", consumer.pid)]
    assert consumer.returncode == 0
    log = (everywhere.folder / "consumer.log").read_text()
    assert "2 thread workers" in log and "INFO:huey.consumer:MainThread:" in log


def test_a_consumer_started_as_a_module_restarts_itself_on_sighup(shop: Shop) -> None:
    log = shop.folder / "consumer.log"

    def starts() -> int:
        return log.read_text().count("Scheduler runs every") if log.exists() else 0

    consumer = shop.start("run", "-n", "-l", str(log))
    try:
        eventually(lambda: starts() == 1)
        consumer.send_signal(signal.SIGHUP)
        eventually(lambda: starts() == 2)
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=20)
    finally:
        consumer.kill()

    assert consumer.returncode == 0


def test_greenlet_workers_run_an_application_that_knows_nothing_of_gevent(shop: Shop) -> None:
    with (shop.folder / "shop.py").open("a") as file:
        file.write(
            "import sys, threading\n"
            "monkey = sys.modules.get('gevent.monkey')\n"
            "patched = monkey is not None and monkey.is_module_patched('threading')\n"
            "both = threading.Barrier(2)\n"
            "@huey.task()\n"
            "def meet():\n"
            "    both.wait(20)\n"
            "    return patched\n"
        )
    log = shop.folder / "consumer.log"
    consumer = shop.start("run", "-k", "greenlet", "-w", "2", "-l", str(log))
    try:
        shop.run("call", "meet")
        met = shop.run("call", "meet", "--wait", "--timeout", "20")
        (worker,) = {(worker["type"], worker["pid"]) for worker in shop.json("status")["workers"]}
        consumer.send_signal(signal.SIGHUP)
        eventually(lambda: log.read_text().count("Scheduler runs every") == 2)
        consumer.send_signal(signal.SIGTERM)
        consumer.communicate(timeout=20)
    finally:
        consumer.kill()

    assert met.stdout == "true\n", met.stderr
    assert worker == ("greenlet", consumer.pid), "it is the same process"
    assert "patch" not in log.read_text(), "Huey warns of nothing"
    assert consumer.returncode == 0


def test_greenlet_workers_without_gevent_say_what_to_install(shop: Shop) -> None:
    (shop.folder / "sitecustomize.py").write_text("import sys\nsys.modules['gevent'] = None\n")

    done = shop.run("run", "-k", "greenlet", PYTHONPATH=f"{shop.folder}{os.pathsep}{ROOT}")

    assert done.returncode == 1
    assert "run `pip install gevent`" in done.stderr


def test_waiting_in_vain_ends_at_the_timeout_and_leaves_the_job(shop: Shop, module: Any) -> None:
    done = shop.run("call", "add", "[1]", "--wait", "--timeout", "0.1")

    assert done.returncode == 1
    assert "timed out" in done.stderr and "the job goes on" in done.stderr
    assert [job.state for job in module.huey.jobs()] == ["queued"]


def test_ctrl_c_while_waiting_is_quiet(shop: Shop, module: Any) -> None:
    waiting = shop.start("call", "add", "[1]", "--wait")
    try:
        eventually(lambda: len(module.huey.jobs()) == 1)
        waiting.send_signal(signal.SIGINT)
        out, error = waiting.communicate(timeout=20)
    finally:
        waiting.kill()

    assert waiting.returncode == 130
    assert out == ""
    assert error.strip() in ("", module.huey.jobs()[0].id)


def test_a_log_file_that_cannot_be_written_is_an_error_of_one_line(shop: Shop) -> None:
    done = shop.run("run", "-l", "nowhere/consumer.log")

    assert done.returncode == 1
    assert done.stderr.startswith("Error: the log file cannot be written:")
