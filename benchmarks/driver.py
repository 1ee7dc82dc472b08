"""The driver: starts the servers, lets the runners take turns, and collects what their sessions found."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from benchmarks import imports, machine, place, runners
from benchmarks.plan import Plan
from benchmarks.runner import About
from tests.servers import PostgresServer

ROOT = Path(__file__).resolve().parents[1]


class SessionError(Exception):
    """A session ended without figures."""


@dataclass(slots=True)
class Findings:
    """Everything that one run found out."""

    plan: Plan
    machine: str
    #: The load before each round: what else went on.
    loads: list[float] = field(default_factory=list)
    postgres: str = ""
    abouts: dict[str, About] = field(default_factory=dict)
    #: For each runner and each measure, one figure a round.
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    imports: imports.Times = field(default_factory=dict)

    def add(self, name: str, answer: dict[str, Any]) -> None:
        """Take what a session found."""
        self.abouts[name] = About(**answer["about"])
        for key, figure in answer["figures"].items():
            self.figures.setdefault(name, {}).setdefault(key, []).append(figure)


def run(plan: Plan, names: Sequence[str], say: Callable[[str], None] = print) -> Findings:
    """Measure these runners.

    :param say: is told what begins.
    :raises SessionError: when one of them cannot be measured; it has what the session and its consumers said.
    """
    found = Findings(plan, machine.describe())
    with _postgres(names) as server:
        found.postgres = _version(server) if server else ""
        for number in range(plan.rounds):
            found.loads.append(machine.load())
            turn = number % len(names)
            for name in [*names[turn:], *names[:turn]]:
                say(f"round {number + 1} of {plan.rounds}: {name}")
                found.add(name, _session(plan, name, server, number))
    say("imports")
    found.imports = imports.measure(plan.imports, ROOT)
    return found


@contextmanager
def _postgres(names: Sequence[str]) -> Iterator[PostgresServer | None]:
    """A server of our own, if one of the runners needs it."""
    if runners.NEEDS_POSTGRES.isdisjoint(names):
        yield None
        return
    server = PostgresServer()
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _version(server: PostgresServer) -> str:
    with psycopg.connect(server.url) as connection:
        return str(connection.info.parameter_status("server_version"))


def _session(plan: Plan, name: str, server: PostgresServer | None, number: int) -> dict[str, Any]:
    """The answer of one session, in a new folder and a new database."""
    folder = Path(tempfile.mkdtemp(prefix="nephew-benchmark-"))
    try:
        (folder / "plan").write_text(json.dumps(asdict(plan)))
        with _database(server, f"{name}_{number}") as url:
            _run_session(name, folder, url, plan.session_seconds)
        answer = json.loads((folder / "figures").read_text())
        assert isinstance(answer, dict)
        return answer
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _database(server: PostgresServer | None, name: str) -> Iterator[str]:
    """The URI of a new, empty database; it is gone afterwards, so that rounds do not weigh on each other."""
    if server is None:
        yield ""
        return
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield f"{server.url.rpartition('/')[0]}/{name}"
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _run_session(name: str, folder: Path, url: str, seconds: float) -> None:
    log = folder / "session.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.session", name],
            cwd=ROOT,
            env=_environment() | place.environment(folder, url),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        code: int | str = process.wait(seconds)
    except subprocess.TimeoutExpired:
        code = f"none within {seconds:g} s"
    finally:
        with suppress(ProcessLookupError):  # its consumers are in its process group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if code != 0:
        said = "".join(path.read_text(errors="replace") for path in sorted(folder.glob("*.log")))
        raise SessionError(f"{name}: exit code {code}\n{said}")


def _environment() -> dict[str, str]:
    """Ours, without what would change a runner's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("NEPHEW_", "PG"))}
