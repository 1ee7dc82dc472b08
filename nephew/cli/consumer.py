"""`nephew run`: the consumer that the stock `huey_consumer` starts, with the same options and logging."""

from __future__ import annotations

import logging
import sys
from typing import Any

import click
from huey.constants import WORKER_PROCESS, WORKER_THREAD, WORKER_TYPES
from huey.consumer_options import ConsumerConfig

from nephew import Nephew
from nephew.cli.application import with_huey


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
@with_huey
def run(huey: Nephew, no_periodic: bool, **options: Any) -> None:
    """Run jobs and schedules.

    The same consumer as `huey_consumer PATH`, until SIGTERM or Ctrl-C.
    """
    config = ConsumerConfig(periodic=not no_periodic, **options)
    if sys.platform == "win32" and config.worker_type == WORKER_PROCESS:
        raise click.UsageError("there are no worker processes on Windows; expected -k thread")
    try:
        config.setup_logger(logging.getLogger("huey"))
        consumer = huey.create_consumer(**config.values)
    except OSError as error:
        raise click.ClickException(f"the log file cannot be written: {error}") from error
    except ImportError as error:  # gevent is not installed
        raise click.ClickException(str(error)) from error
    consumer.run()
