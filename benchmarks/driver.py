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
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from redis import Redis

from benchmarks import imports, machine, place, runners
from benchmarks.plan import Plan
from benchmarks.runner import About
from tests.servers import PostgresServer, RedisServer, Server

ROOT = Path(__file__).resolve().parents[1]

S = TypeVar("S", bound=Server)


class SessionError(Exception):
    """A session ended without figures."""


@dataclass(frozen=True, slots=True)
class Servers:
    """Those of our own that run, as far as one of the runners needs them."""

    postgres: PostgresServer | None
    redis: RedisServer | None


@dataclass(slots=True)
class Findings:
    """Everything that one run found out."""

    plan: Plan
    machine: str
    #: The load before each round: what else went on.
    loads: list[float] = field(default_factory=list)
    #: The servers' versions.
    postgres: str = ""
    redis: str = ""
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
    with _servers(names) as servers:
        found.postgres = _postgres_version(servers.postgres) if servers.postgres else ""
        found.redis = _redis_version(servers.redis) if servers.redis else ""
        for number in range(plan.rounds):
            found.loads.append(machine.load())
            turn = number % len(names)
            for name in [*names[turn:], *names[:turn]]:
                say(f"round {number + 1} of {plan.rounds}: {name}")
                found.add(name, _session(plan, name, servers, number))
    say("imports")
    found.imports = imports.measure(plan.imports, ROOT)
    return found


@contextmanager
def _servers(names: Sequence[str]) -> Iterator[Servers]:
    with ExitStack() as started:

        def start(kind: type[S], needed_by: frozenset[str]) -> S | None:
            return None if needed_by.isdisjoint(names) else started.enter_context(running(kind()))

        yield Servers(start(PostgresServer, runners.NEEDS_POSTGRES), start(RedisServer, runners.NEEDS_REDIS))


@contextmanager
def running(server: S) -> Iterator[S]:
    """The server, started; it is gone after the block."""
    try:
        server.start()
        yield server
    finally:
        server.remove()


def _postgres_version(server: PostgresServer) -> str:
    with psycopg.connect(server.url) as connection:
        return str(connection.info.parameter_status("server_version"))


def _redis_version(server: RedisServer) -> str:
    with Redis.from_url(server.url) as client:
        return str(client.info("server")["redis_version"])


def _session(plan: Plan, name: str, servers: Servers, number: int) -> dict[str, Any]:
    """The answer of one session, in a new folder and a new database."""
    folder = Path(tempfile.mkdtemp(prefix="nephew-benchmark-"))
    try:
        (folder / "plan").write_text(json.dumps(asdict(plan)))
        with _database(servers.postgres, f"{name}_{number}") as postgres, _emptied(servers.redis) as redis:
            _run_session(name, folder, place.environment(folder, postgres, redis), plan.session_seconds)
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


@contextmanager
def _emptied(server: RedisServer | None) -> Iterator[str]:
    """The URL of the Redis, which is empty before and afterwards."""
    if server is None:
        yield ""
        return
    with Redis.from_url(server.url) as client:
        client.flushall()
        try:
            yield server.url
        finally:
            client.flushall()


def _run_session(name: str, folder: Path, where: dict[str, str], seconds: float) -> None:
    log = folder / "session.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.session", name],
            cwd=ROOT,
            env=_environment() | where,
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
