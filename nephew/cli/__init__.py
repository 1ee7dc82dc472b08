"""The command `nephew`. Each module has one noun's commands; they ask the instance and its inspection."""

from __future__ import annotations

import io
import platform
import sys

import click
import huey
from huey.exceptions import HueyException

from nephew.cli.application import Selected, app_option
from nephew.cli.bulk import cancel, delete, rerun, retry
from nephew.cli.check import check
from nephew.cli.consumer import run
from nephew.cli.importing import import_jobs
from nephew.cli.jobs import jobs
from nephew.cli.locks import locks
from nephew.cli.output import clean, without_passwords
from nephew.cli.prune import prune
from nephew.cli.schedules import schedules
from nephew.cli.status import status
from nephew.cli.steering import change, run_now
from nephew.cli.store import migrate
from nephew.cli.tasks import call, tasks
from nephew.cli.timetable import add, pause, remove, restore, resume
from nephew.cli.timetable import change as change_schedule
from nephew.cli.timetable import run as run_schedule
from nephew.version import __version__

#: What a shell shows for a program that Ctrl-C has ended.
INTERRUPTED = 130

VERSION = f"nephew {__version__} (huey {huey.__version__}, Python {platform.python_version()})"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message=VERSION)
@app_option(envvar="NEPHEW_APP")
@click.pass_context
def nephew(context: click.Context) -> None:
    """Run background jobs, look at them and steer them.

    Every command works on one instance, named by the path that huey_consumer takes: -A app.main.huey, or the
    variable NEPHEW_APP. The current folder is importable.

    \b
    Exit codes: 0 done, 1 a problem, nothing found or a failed job, 2 a command that makes no sense.
    """
    context.ensure_object(Selected)


for command in (run, migrate, check, status, jobs, schedules, tasks, call, locks, prune, import_jobs):
    nephew.add_command(command)
for command in (retry, rerun, cancel, delete, change, run_now):
    jobs.add_command(command)
for command in (pause, resume, run_schedule, add, change_schedule, restore, remove):
    schedules.add_command(command)


def main() -> None:
    """Run the command line and exit."""
    _never_fail_to_print()
    try:
        code = nephew.main(prog_name="nephew", standalone_mode=False)
    except click.UsageError as error:
        click.UsageError(clean(error.format_message()), error.ctx).show()
        code = error.exit_code
    except (click.ClickException, HueyException) as error:  # ours, and those of Huey itself
        click.ClickException(clean(without_passwords(str(error)))).show()
        code = 1
    except (click.Abort, KeyboardInterrupt):
        code = INTERRUPTED
    sys.exit(code)


def _never_fail_to_print() -> None:
    """Show what a terminal's encoding lacks by its number."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


__all__ = ["main", "nephew"]
