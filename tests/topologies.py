"""Redis in other shapes than a server alone: with TLS, under Sentinels, in a cluster; and as Valkey."""

from __future__ import annotations

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.servers import RedisServer, ServerError, _free_port, find_program


class TlsRedisServer(RedisServer):
    """A Redis that speaks TLS on `tls_port`, with a certificate for 127.0.0.1 that `certificate` signs itself."""

    def __init__(self) -> None:
        super().__init__(find_tls_redis())
        self.certificate, key = self.folder / "certificate.pem", self.folder / "key.pem"
        make = ("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        names = ("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-days", "2")
        done = subprocess.run([*make, *names, "-keyout", key, "-out", self.certificate], capture_output=True, text=True)
        if done.returncode:
            raise ServerError(f"openssl made no certificate:\n{done.stderr}")
        self.tls_port = _free_port()
        self.settings = {
            "tls-port": str(self.tls_port),
            "tls-cert-file": str(self.certificate),
            "tls-key-file": str(key),
            "tls-auth-clients": "no",
        }


class SentinelServer(RedisServer):
    """A Sentinel that watches over the master on a port, called `service`."""

    title = "Redis Sentinel"
    keeps_jobs = False
    service = "jobs"

    def __init__(self, program: Path, master: int, quorum: int) -> None:
        super().__init__(program)
        self._watched = f"sentinel monitor {self.service} 127.0.0.1 {master} {quorum}"

    def command(self) -> list[str | Path]:
        # It wants a file that it can write to.
        file = self.folder / "sentinel.conf"
        timing = (
            f"sentinel down-after-milliseconds {self.service} 300",
            f"sentinel failover-timeout {self.service} 2000",
        )
        file.write_text("\n".join([f"port {self.port}", "bind 127.0.0.1", self._watched, *timing]))
        return [self.program, file, "--sentinel"]

    def hurry(self) -> None:
        """Let it look after its servers more often than once a second."""
        with self.client() as client:
            for period in ("ping-period", "info-period", "ask-period", "publish-period"):
                client.execute_command("SENTINEL", "DEBUG", period, 100)

    def knows(self, others: int, replicas: int) -> bool:
        """Whether it has found so many other Sentinels and replicas."""
        with self.client() as client:
            found = client.sentinel_master(self.service)
        return bool(found["num-other-sentinels"] == others and found["num-slaves"] == replicas)


class ClusterNode(RedisServer):
    """A node of a cluster, without slots at first."""

    title = "Redis Cluster"

    def __init__(self, program: Path | None = None) -> None:
        super().__init__(program, {"cluster-enabled": "yes", "cluster-node-timeout": "1000"})

    def free_port(self) -> int:
        """One with another 10,000 above it, where the nodes talk to each other."""
        while (port := super().free_port()) > 55000:
            pass
        return port

    def is_joined(self, nodes: int) -> bool:
        """Whether the cluster has so many nodes and all slots, as this one sees it."""
        with self.client() as client:
            info = client.execute_command("CLUSTER INFO")
        return bool(info["cluster_state"] == "ok" and int(info["cluster_known_nodes"]) == nodes)


def find_tls_redis() -> Path:
    """The system's `redis-server`, which speaks TLS as the wheel's does not; installed where that is possible."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    outside = [folder for folder in folders if not Path(folder).is_relative_to(sys.prefix)]
    return Path(find_program("redis-server", os.pathsep.join(outside)))


def find_valkey() -> Path:
    """The program `valkey-server`: named by VALKEY_SERVER, or the system's, or one that was fetched and is kept."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    fetched = cache / "nephew-tests" / "valkey" / "valkey-server"
    for program in (os.environ.get("VALKEY_SERVER"), shutil.which("valkey-server"), fetched):
        if program and os.access(program, os.X_OK):
            return Path(program)
    _fetch_valkey(fetched)
    return fetched


def _fetch_valkey(program: Path) -> None:
    """Unpack the package of the machine's release or of its backports; nothing is installed."""
    if not shutil.which("apt-get"):
        raise ServerError("found no Valkey server: install valkey-server, or name the program in VALKEY_SERVER")
    home = program.parent
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="fetching-", dir=home.parent) as folder:
        unpacked = Path(folder, "unpacked")
        said = _unpack_with_backports("valkey-server", Path(folder), unpacked)
        if not (unpacked / "usr/bin/valkey-server").exists():
            raise ServerError(
                "found no Valkey server and apt got none: install valkey-server, or name the program in "
                f"VALKEY_SERVER\n{said}"
            )
        libraries = {str(home / file.parent.relative_to(unpacked)) for file in unpacked.rglob("*.so.*")}
        path = shlex.quote(f"LD_LIBRARY_PATH={':'.join(sorted(libraries))}")
        starter = unpacked / program.name
        starter.write_text(f'#!/bin/sh\nexec env {path} {shlex.quote(str(home / "usr/bin/valkey-server"))} "$@"\n')
        starter.chmod(0o755)
        with suppress(OSError):  # another test run was faster
            unpacked.rename(home)


def _unpack_with_backports(package: str, folder: Path, target: Path) -> str:
    """Unpack a package and what it needs that is not installed, from where apt gets its own; what apt said."""
    for part in ("sources", "lists/partial", "cache/archives/partial"):
        (folder / part).mkdir(parents=True)
    for number, source in enumerate([Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]):
        if source.is_file():
            (folder / "sources" / f"{number}{source.suffix}").write_text(_with_backports(source.read_text()))
    places = {
        "Dir::Etc::SourceList": "/dev/null",
        "Dir::Etc::SourceParts": folder / "sources",
        "Dir::State::Lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",  # another could not get into our folder
        "Debug::NoLocking": "true",  # the system's packages are only read
    }
    options = [f"-o{name}={value}" for name, value in places.items()]
    said = ""
    for command in (["update"], ["install", "--yes", "--download-only", "--no-install-recommends", package]):
        done = subprocess.run(["apt-get", "-q", *options, *command], capture_output=True, text=True)
        said += done.stdout + done.stderr
    for archive in (folder / "cache" / "archives").glob("*.deb"):
        subprocess.run(["dpkg", "-x", archive, target], check=True)
    return said


def _with_backports(sources: str) -> str:
    """Those of apt's sources, in either of its formats, that are of this release, each with its backports."""
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "stable")
    lines = re.findall(rf"^(deb\s.*\s){release}(\s.*)$", sources, re.MULTILINE)
    both = [f"{before}{release}{suite}{behind}" for before, behind in lines for suite in ("", "-backports")]
    for stanza in re.split(r"\n\s*\n", sources):
        wider, found = re.subn(
            rf"^(Suites:(?:.*\s)?{release})(?!\S)", rf"\1 {release}-backports", stanza, flags=re.MULTILINE
        )
        both += [wider, ""] * found
    return "\n".join([*both, ""])
