"""`nephew run`: the consumer that the stock `huey_consumer` starts, with the same options and logging."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from pathlib import Path
from typing import Any

import click
from huey.constants import WORKER_GREENLET, WORKER_PROCESS, WORKER_THREAD, WORKER_TYPES
from huey.consumer_options import ConsumerConfig

from nephew.cli.application import Selected, app_option


@click.command()
@click.option("-w", "--workers", type=click.IntRange(min=1), default=1, show_default=True, help="How many workers.")
@click.option(
    "-k",
    "--worker-type",
    type=click.Choice(list(WORKER_TYPES)),
    default=WORKER_THREAD,
    show_default=True,
    help="What a worker is; process for work that needs the processor.",
)
@click.option(
    "-t",
    "--shutdown-timeout",
    type=click.FloatRange(min=0),
    metavar="SECONDS",
    help="How long running jobs may go on after SIGTERM or Ctrl-C (else NEPHEW_DRAIN, 8 s).",
)
@click.option(
    "-M",
    "--max-tasks",
    type=click.IntRange(min=1),
    metavar="COUNT",
    help="Replace a worker after so many jobs.",
)
@click.option("-n", "--no-periodic", is_flag=True, help="Leave the schedules to other consumers.")
@click.option("-f", "--flush-locks", is_flag=True, help="Break the locks of `lock_task` first.")
@click.option("-L", "--extra-locks", metavar="NAMES", help="More locks to break, separated by commas.")
@click.option("-v/-q", "--verbose/--quiet", default=None, help="Log more, or only warnings and errors.")
@click.option("-l", "--logfile", type=click.Path(dir_okay=False), metavar="FILE", help="Log there, not to stderr.")
@click.option("-S", "--simple", "simple_log", is_flag=True, help="Log time and message only.")
@app_option()
@click.pass_obj
def run(selected: Selected, /, no_periodic: bool, **options: Any) -> None:
    """Run jobs and schedules.

    The same consumer as `huey_consumer PATH`, until SIGTERM or Ctrl-C. With -k greenlet gevent's patches are
    applied before the application is imported.
    """
    config = ConsumerConfig(periodic=not no_periodic, **options)
    if sys.platform == "win32" and config.worker_type == WORKER_PROCESS:
        raise click.UsageError("there are no worker processes on Windows; expected -k thread")
    if config.worker_type == WORKER_GREENLET:
        _be_patched()
    huey = selected.load()
    try:
        config.setup_logger(logging.getLogger("huey"))
        consumer = huey.create_consumer(**config.values)
    except OSError as error:
        raise click.ClickException(f"the log file cannot be written: {error}") from error
    consumer.run()


def _be_patched() -> None:
    """Have gevent's patches; returns if they are applied, else this process begins anew with them.

    Huey has been imported by now, and some of what it holds cannot be patched any more.
    """
    if importlib.util.find_spec("gevent") is None:
        raise click.ClickException("greenlet workers need gevent, which is not installed; run `pip install gevent`")
    from gevent import monkey

    if not monkey.is_module_patched("threading"):
        script = str(Path(__file__).with_name("green.py"))
        os.execv(sys.executable, [sys.executable, script, *sys.argv[1:]])
