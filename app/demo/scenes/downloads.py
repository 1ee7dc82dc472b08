"""Downloading from the local server."""

from __future__ import annotations

import hashlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rich.progress import BarColumn, Progress, TextColumn

from app.database import db
from app.demo.stage import Stage, expect, record
from nephew import Result
from tasks.downloads import Fetched, download

SIZE_BYTES = 8 << 20

#: Makes a download take one to two seconds.
PAUSE_SECONDS = 0.025


def download_a_file(stage: Stage) -> str:
    """Follow one download and compare what arrived."""
    content = _offer(stage, "/film.bin")
    stage.say(f"The local server offers /film.bin, {len(content):,} bytes. A worker fetches it:")
    result = download(f"{stage.files.url}/film.bin")
    seen = _follow(stage, result)
    fetched = stage.value(result)
    _compare(fetched, content)
    expect(seen > 0, True, "the progress seen on the way")
    stage.say(f"Its SHA-256 is {fetched['sha256'][:16]}…, as on the server.")
    return f"{len(content):,} bytes, checksum right"


def download_once(stage: Stage) -> str:
    """Two threads ask for one URL at the same moment."""
    content = _offer(stage, "/song.bin")
    first, second = _ask_together(f"{stage.files.url}/song.bin")
    expect({first.duplicate, second.duplicate}, {False, True}, "which call found the other's job")
    expect(first.id, second.id, "the job of both callers")
    stage.say("Two callers, one job: the second call was given the first one's handle.")
    fetched = stage.value(first)
    expect(stage.value(second), fetched, "what the second caller got")
    _compare(fetched, content)
    expect(stage.files.requests["/song.bin"], 1, "the number of requests that reached the server")
    stage.say("The server was asked once, and both callers have the file.")
    return "1 request, 2 callers served"


def _offer(stage: Stage, path: str) -> bytes:
    content = random.Random(path).randbytes(SIZE_BYTES)
    stage.files.files[path] = content
    stage.files.pause = PAUSE_SECONDS
    return content


def _follow(stage: Stage, result: Result[Fetched]) -> int:
    """Show the job's progress until it ends; returns how many different steps were seen."""
    columns = TextColumn("  {task.description}"), BarColumn(), TextColumn("{task.percentage:3.0f} %")
    seen = set()
    with Progress(*columns, console=stage.console) as bar:
        shown = bar.add_task("downloading", total=1.0)

        def look() -> bool:
            progress = result.progress
            if progress is not None:
                seen.add(progress.fraction)
                bar.update(shown, completed=progress.fraction, description=progress.message or "")
            return record(result).ended

        stage.until(look, "the download to end")
    return len(seen)


def _ask_together(url: str) -> tuple[Result[Fetched], Result[Fetched]]:
    start = threading.Barrier(2)

    def ask() -> Result[Fetched]:
        with db.connection_context():
            start.wait(timeout=10)
            return download(url)

    with ThreadPoolExecutor(2) as callers:
        calls = [callers.submit(ask), callers.submit(ask)]
        return calls[0].result(), calls[1].result()


def _compare(fetched: Fetched, content: bytes) -> None:
    expect(fetched["sha256"], hashlib.sha256(content).hexdigest(), "the checksum that the job returned")
    expect(Path(fetched["path"]).read_bytes() == content, True, "that the file has the server's bytes")
