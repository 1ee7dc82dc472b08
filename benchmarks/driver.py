"""The driver: starts the servers, lets the runners take turns, and collects what their sessions found."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from redis import Redis

from benchmarks import environments, imports, machine, messages, place
from benchmarks.environments import ROOT
from benchmarks.findings import Findings
from benchmarks.plan import Plan
from benchmarks.runners import RUNNERS
from tests.servers import PostgresServer, RedisServer, Server, ServerError, end_with_the_parent

S = TypeVar("S", bound=Server)
T = TypeVar("T")

#: How the variables begin that a session does not see.
_KEPT_OUT = ("NEPHEW_", "PG", "PYTHONPATH", "NODE_OPTIONS", "HUEY_", "CELERY_")

#: The Python that a runner is measured with.
Interpreter = Callable[[str], Path]


class SessionError(Exception):
    """A session ended without an answer; has what it and its consumers said."""


@dataclass(slots=True)
class Servers:
    """Those of our own that run, as far as one of the runners needs them."""

    postgres: PostgresServer | None = None
    redis: RedisServer | None = None

    def pid(self, name: str) -> int | None:
        """The process of the server that this runner is measured on; none for a file."""
        by_kind: dict[str, Server | None] = {"postgres": self.postgres, "redis": self.redis}
        server = by_kind.get(RUNNERS[name].server)
        return server.pid if server else None


def run(
    found: Findings, interpreter: Interpreter = environments.interpreter, say: Callable[[str], None] = print
) -> None:
    """Measure the runners of these findings, and add what is found. A runner that fails does not hold up the others.

    :param interpreter: makes a runner's environment, where it has none; else as `environments.interpreter`.
    :param say: is told what begins.
    """
    pythons = dict(_available(found, interpreter, say))
    began = time.monotonic()
    with _servers(found, pythons) as servers:
        found.postgres = postgres_version(servers.postgres) if servers.postgres else ""
        found.redis = redis_version(servers.redis) if servers.redis else ""
        for number in range(found.plan.rounds):
            found.loads.append(machine.load())
            for name in turned(list(pythons), number):
                say(f"{(time.monotonic() - began) / 60:.1f} min, round {number + 1} of {found.plan.rounds}: {name}")
                plan = found.plan if found.recovers_quickly(name) else found.plan.without_crashes()
                try:
                    found.add(name, _session(plan, name, pythons[name], servers, number))
                except SessionError as error:
                    found.add_failure(name, str(error))
                found.minutes = (time.monotonic() - began) / 60
    say("imports")
    found.imports = imports.measure(found.plan.imports, ROOT)
    found.messages = messages.measure(found.plan.imports)


def _available(found: Findings, interpreter: Interpreter, say: Callable[[str], None]) -> Iterator[tuple[str, Path]]:
    for name in found.names:
        say(f"environment: {name}")
        try:
            yield name, interpreter(name)
        except environments.UnavailableError as error:
            found.add_failure(name, str(error))


def turned(items: Sequence[T], number: int) -> list[T]:
    """Each round begins with another one; every second goes backwards, so that none always follows the same one."""
    turn = number % len(items) if items else 0
    order = [*items[turn:], *items[:turn]]
    return order[::-1] if number % 2 else order


@contextmanager
def _servers(found: Findings, pythons: dict[str, Path]) -> Iterator[Servers]:
    """Those that are needed; the runners of one that cannot be started are taken away."""
    servers = Servers()
    with ExitStack() as started:
        for kind in sorted({RUNNERS[name].server for name in pythons} - {""}):
            try:
                if kind == "postgres":
                    servers.postgres = started.enter_context(running(PostgresServer()))
                else:
                    servers.redis = started.enter_context(running(RedisServer(redis_program())))
            except (ServerError, OSError) as error:
                for name in [name for name in pythons if RUNNERS[name].server == kind]:
                    del pythons[name]
                    found.add_failure(name, str(error))
        yield servers


@contextmanager
def running(server: S) -> Iterator[S]:
    """The server, started; it is gone after the block."""
    try:
        server.start()
        yield server
    finally:
        server.remove()


def redis_program() -> Path | None:
    """The system's, where it has one, since the wheel's is too old for some; none for what the tests take."""
    own = Path(sys.executable).parent  # where the wheel's is, too
    path = os.pathsep.join(folder for folder in os.get_exec_path() if Path(folder) != own)
    found = os.environ.get("REDIS_SERVER") or shutil.which("redis-server", path=path)
    return Path(found) if found else None


def postgres_version(server: PostgresServer) -> str:
    with psycopg.connect(server.url) as connection:
        return str(connection.info.parameter_status("server_version"))


def redis_version(server: RedisServer) -> str:
    with Redis.from_url(server.url) as client:
        return str(client.info("server")["redis_version"])


def _session(plan: Plan, name: str, python: Path, servers: Servers, number: int) -> dict[str, Any]:
    """The answer of one session, in a new folder and a new database."""
    folder = Path(tempfile.mkdtemp(prefix="nephew-benchmark-"))
    try:
        (folder / "plan").write_text(json.dumps(asdict(plan)))
        with database(servers.postgres, f"{name}_{number}") as postgres, _emptied(servers.redis) as redis:
            command = [str(python), "-m", "benchmarks.session", name]
            ended = _run_session(command, folder, postgres, redis, servers.pid(name), plan.session_seconds)
        return _answer(folder, ended)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server: PostgresServer | None, name: str) -> Iterator[str]:
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


def _run_session(
    command: Sequence[str], folder: Path, postgres: str, redis: str, server: int | None, seconds: float
) -> str:
    """How it ended; nothing when well."""
    with open(folder / "session.log", "wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment() | place.environment(folder, postgres, redis, server),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            preexec_fn=end_with_the_parent,
        )
    try:
        code = process.wait(seconds)
        return f"exit code {code}" if code else ""
    except subprocess.TimeoutExpired:
        return f"no end within {seconds:g} s"
    finally:
        with suppress(ProcessLookupError):  # its consumers are in its process group
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _answer(folder: Path, ended: str) -> dict[str, Any]:
    """What the session left, if that was only its first measures with the reason why there are no more."""
    said = "".join(path.read_text(errors="replace")[-4000:] for path in sorted(folder.glob("*.log")))
    if not (folder / "answer").exists():
        raise SessionError(f"{ended}\n{said}")
    answer = json.loads((folder / "answer").read_text())
    assert isinstance(answer, dict)
    if ended:
        answer["failures"]["session"] = f"{ended}\n{said}"
    return answer


def environment() -> dict[str, str]:
    """Ours, without what would change a runner's settings or programs."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_OUT)}
