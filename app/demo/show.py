"""The whole demonstration: starts servers and consumer, plays the scenes, checks what is left, sums up."""

from __future__ import annotations

import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

import app.main  # noqa: F401 - registers every job, so that the calls below can be made
from app.config import settings
from app.demo import WORKSPACE_PREFIX
from app.demo.consumer import consuming
from app.demo.files import FileServer, serving
from app.demo.guest import visiting
from app.demo.mail import receiving_mail
from app.demo.scenes import SCENES, Scene
from app.demo.stage import Different, Stage, expect
from app.models import create_tables
from app.queue import huey

#: How much of the consumer's log is shown when something went wrong.
LOG_LINES = 40

#: What a shell shows for a program that Ctrl-C has ended.
INTERRUPTED = 130

UNFINISHED = ("scheduled", "queued", "running", "retrying", "parked")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scene went: a few words when it ended as expected, else what differed."""

    title: str
    words: str
    seconds: float
    passed: bool


def main() -> int:
    """Play all scenes; 0 when every job reached its expected end, 130 after Ctrl-C."""
    if not (settings.demo and settings.data_dir.name.startswith(WORKSPACE_PREFIX)):
        sys.exit("Start the demonstration with `python -m app.demo`: it makes a workspace of its own.")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    console = Console(soft_wrap=True)
    started = time.monotonic()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # held back since there is a workspace
        create_tables()
        with _stage(console) as stage:
            outcomes = list(_play_all(stage))
    except KeyboardInterrupt:  # somebody has seen enough
        shutil.rmtree(settings.data_dir)
        console.print("\nEnded by Ctrl-C; nothing is left behind.")
        return INTERRUPTED
    except SystemExit:
        shutil.rmtree(settings.data_dir)
        raise
    _sum_up(console, outcomes, time.monotonic() - started)
    if all(outcome.passed for outcome in outcomes):
        shutil.rmtree(settings.data_dir)
        return 0
    _show_evidence(stage)
    return 1


@contextmanager
def _stage(console: Console) -> Iterator[Stage]:
    log = settings.data_dir / "consumer.log"
    with (
        visiting(settings.redis_url, settings.queue_name),
        serving(FileServer()) as files,
        receiving_mail() as mailbox,
        consuming(log, {"SMTP_URL": mailbox.url}) as consumer,
    ):
        yield Stage(console, settings.data_dir, files, mailbox, consumer)


def _play_all(stage: Stage) -> Iterator[Outcome]:
    """One scene after the other, as long as there is a consumer."""
    for scene in (Scene("The consumer starts", _start), *SCENES):
        outcome = _play(stage, scene)
        yield outcome
        if not outcome.passed and not stage.consumer.alive:
            stage.say("The consumer has ended; the other scenes cannot be shown.", style="red")
            return
    yield _play(stage, Scene("The consumer is stopped with SIGTERM", _stop))


def _play(stage: Stage, scene: Scene) -> Outcome:
    stage.console.print(f"\n[bold]{scene.title}[/bold]")
    started = time.monotonic()
    try:
        words, passed = scene.play(stage), True
    except Different as difference:
        words, passed = str(difference), False
        stage.say(f"Not as expected: {difference}", style="red")
    except Exception as error:
        words, passed = f"{type(error).__name__}: {error}", False
        stage.console.print_exception()
    return Outcome(scene.title, words, time.monotonic() - started, passed)


def _start(stage: Stage) -> str:
    stage.say("The real consumer was started: huey_consumer app.main.huey -k process -w 2")
    stage.until(lambda: len(huey.workers()) >= 2, "two workers")
    stage.say(f"Jobs are kept in {huey.inspection.status().backend}")
    pids = ", ".join(str(worker.pid) for worker in huey.workers())
    stage.say(f"Two worker processes are ready: {pids}.")
    return f"workers {pids}"


def _stop(stage: Stage) -> str:
    """Nothing may be unfinished, and nothing may have failed but what was made to."""
    stage.until(lambda: not _count(UNFINISHED), "every job to reach an end")
    failed = [job.task for job in huey.jobs(state="failed", limit=None)]
    expect(failed, ["tasks.demo.broken"], "the tasks whose jobs failed")
    expect(_count(("cancelled", "expired")), 0, "the number of cancelled and expired jobs")
    succeeded = _count(("succeeded",))
    expect(stage.consumer.stop(), 0, "the consumer's exit code after SIGTERM")
    expect(_count(("running",)), 0, "the number of jobs left running")
    stage.say(f"{succeeded} jobs succeeded, 1 failed as it should, none is unfinished.")
    return f"{succeeded} succeeded, 1 failed as it should"


def _count(states: tuple[str, ...]) -> int:
    return len(huey.jobs(state=states, limit=None))


def _sum_up(console: Console, outcomes: list[Outcome], seconds: float) -> None:
    table = Table("", "scene", "outcome", "seconds", title="\nSummary", title_justify="left")
    for outcome in outcomes:
        mark = "[green]✓[/green]" if outcome.passed else "[red]✗[/red]"
        table.add_row(mark, outcome.title, escape(outcome.words), f"{outcome.seconds:.1f}")
    console.print(table)
    failed = sum(not outcome.passed for outcome in outcomes)
    verdict = f"[red]{failed} not as expected[/red]" if failed else "[green]all as expected[/green]"
    console.print(f"{len(outcomes)} scenes in {seconds:.1f} s: {verdict}.")


def _show_evidence(stage: Stage) -> None:
    stage.console.print(f"\nThe end of the consumer's log ({stage.consumer.log}):")
    stage.console.print(stage.consumer.last_lines(LOG_LINES), markup=False, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
