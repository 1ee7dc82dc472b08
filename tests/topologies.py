"""Redis in other shapes than a server alone: with TLS, under Sentinels, in a cluster; and as Valkey."""

from __future__ import annotations

import os
import subprocess
import sys
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
